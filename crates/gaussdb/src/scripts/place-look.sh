# Prints what lies where an exchange of data directories works, and for which run it was made.
# An exchange may be at work meanwhile: what it puts aside is looked at before what it puts in place, so that a new
# directory is never taken for the one that was replaced.
[ -e "$old" ] && aside=yes || aside=no
[ -e "$part" ] || [ -e "$spent" ] || [ -e "$data.rollup-catalog" ] && scrap=yes || scrap=no
named() { local run; run=$(marker "$1"); printf '%s' "${run:--}"; }
printf 'data %s %s\n' "$(kind)" "$(named "$data")"
if [ ! -d "$new" ]; then echo 'new absent -'
elif [ -e "$new/standby.signal" ]; then printf 'new standby %s\n' "$(named "$new")"
else printf 'new primary %s\n' "$(named "$new")"; fi
echo "old $aside"
echo "scrap $scrap"
