# Prints what lies where an exchange of data directories works, and for which run it was made.
named() { local run; run=$(marker "$1"); printf '%s' "${run:--}"; }
printf 'data %s %s\n' "$(kind)" "$(named "$data")"
if [ ! -d "$new" ]; then echo 'new absent -'
elif [ -e "$new/standby.signal" ]; then printf 'new standby %s\n' "$(named "$new")"
else printf 'new primary %s\n' "$(named "$new")"; fi
[ -e "$old" ] && echo 'old yes' || echo 'old no'
[ -e "$part" ] || [ -e "$spent" ] && echo 'scrap yes' || echo 'scrap no'
