# What this node is, for `rollup init`: one fact a line, its fields with tabs between. Reads only.
# What cannot be read is left out, and so becomes a question: nothing here ends the look but its end.
# Of command lines, scripts and configurations only names, numbers and paths leave the node: no other word.
set +eu
exec 2>/dev/null
cd /
emit() { local IFS=$'\t'; printf '%s\n' "${*//[$'\t\r\n']/?}"; }

emit node "$(uname -n)" "$(uname -m)"

# The service that a process belongs to; nothing for one that somebody's session or a container has started.
unit_of() {
  local line
  while IFS= read -r line; do
    case $line in
      *:/user.slice/*) ;;
      *:name=systemd:*.service*|0::*.service*) line=${line%.service*}; printf '%s.service' "${line##*/}"; return ;;
    esac
  done <"/proc/$1/cgroup"
}
# The processes of a program (`$@`: names) that no other process of it has started.
first_of() {
  local name exe pid parent tests=()
  for name in "$@"; do tests+=(-o -lname "*/$name" -o -lname "*/$name (deleted)"); done
  find /proc/[0-9]*/exe -maxdepth 0 \( "${tests[@]:1}" \) -printf '%p\t%l\n' | while IFS=$'\t' read -r exe name; do
    pid=${exe#/proc/}; pid=${pid%/exe}
    # A container's processes are none of the node's: their paths lead nowhere here.
    [ "/proc/$pid/ns/pid" -ef /proc/self/ns/pid ] || continue
    parent=$(awk '$1 == "PPid:" { print $2 }' "/proc/$pid/status")
    [ "$(readlink "/proc/$parent/exe")" = "$name" ] || printf '%s\n' "$pid"
  done
}
# The value of an option that a process was started with: PID SHORT LONG.
option() {
  tr '\0' '\n' <"/proc/$1/cmdline" | awk -v short="$2" -v long="$3" '
    take { print; exit }
    $0 == "-" short || $0 == "--" long { take = 1; next }
    index($0, "--" long "=") == 1 { print substr($0, length(long) + 4); exit }
    index($0, "-" short) == 1 { print substr($0, 3); exit }'
}

# --- services -----------------------------------------------------------------------------------------------------

# What packages own is the distribution's; /lib and /usr/lib are one directory.
declare -A owned seen place own
if command -v dpkg >/dev/null; then
  while IFS= read -r file; do owned[${file#/usr}]=1; done < <(grep -hE '/systemd/system/[^/]+\.service$' /var/lib/dpkg/info/*.list)
elif command -v rpm >/dev/null; then
  files=(/usr/lib/systemd/system/*.service /etc/systemd/system/*.service)
  for file in "${files[@]}"; do owned[${file#/usr}]=1; done
  while IFS= read -r line; do
    for file in $line; do unset "owned[${file#/usr}]"; done
  done < <(rpm -qf -- "${files[@]}" 2>&1 | sed -n 's/^file \(.*\) is not owned by any package$/\1/p')
fi

# Where a path that a service names belongs: UNIT PATH. Only what is there counts.
belongs() {
  local kind=code top=$2 a b c d
  [ -e "$2" ] || return
  IFS=/ read -r _ a b c d _ <<<"$2"
  case $2 in
    *..*|/usr/local/|/opt/|/srv/|/home/*/|/etc/) return ;;
    /etc/default/*|/etc/sysconfig/*|/usr/local/etc/*) kind=config ;;
    /etc/ssl*|/etc/pki*|/etc/systemd*|/etc/alternatives*|/etc/init.d*|/etc/java*|/etc/passwd) return ;;
    /etc/?*) kind=config top=/etc/$b ;;
    /usr/local/bin/?*|/usr/local/sbin/?*) ;;
    /usr/local/lib/?*|/usr/local/share/?*|/usr/local/libexec/?*) top=/usr/local/$c/$d ;;
    /usr/local/?*) top=/usr/local/$c ;;
    /home/*/?*) top=/home/$b/$c ;;
    /usr*|/bin*|/sbin*|/lib*|/dev*|/proc*|/sys*|/run*|/tmp*|/var*|/root*|/boot*|/) return ;;
    *) [ -n "$b" ] || return; top=/$a/$b ;;
  esac
  [ -z "${seen[$1 $top]:-}" ] || return
  seen[$1 $top]=1
  if [ -d "$top" ]; then place[$top]=$kind; emit "$kind" "$1" directory "$top"; else emit "$kind" "$1" file "$top"; fi
}

# The calls of rsync in a text on stdin: of each its paths, with `emit`'s first fields in $@. No option, no value of one.
rsync_calls() {
  awk '
    function take(word) {
      if (skip) { skip = 0; return }
      if (word == "--daemon") { daemon = 1; return }
      if (word ~ /^--/) {
        if (word !~ /=/ && word ~ valued) skip = 1
        return
      }
      if (word ~ /^-./) { if (word ~ /^-[A-Za-z0-9]+$/ && word ~ /[efTBM]$/) skip = 1; return }
      out = out "\t" word; count++
    }
    function call(text,  n, i, c, word, quote, has) {
      n = length(text); word = ""; quote = ""; has = 0; out = ""; skip = 0; count = 0; daemon = 0
      for (i = 1; i <= n + 1; i++) {
        c = i > n ? " " : substr(text, i, 1)
        if (quote != "" && i <= n) { if (c == quote) quote = ""; else word = word c; continue }
        if (c == "\"" || c == "\047") { quote = c; has = 1; continue }
        if (c == "#" && word == "" && !has) break
        if (c == "\\") { i++; word = word substr(text, i, 1); continue }
        if (c !~ /[ \t;|&<>()]/) { word = word c; continue }
        if (c ~ /[<>]/ && word ~ /^[0-9]$/) word = ""
        if (has || word != "") take(word)
        word = ""; has = 0
        if (c !~ /[ \t]/) break
      }
      if (count > 1 && !daemon) print out
    }
    BEGIN {
      valued = "^--(rsh|filter|exclude|include|exclude-from|include-from|files-from|log-file|log-file-format|password-file|temp-dir|backup-dir|suffix|bwlimit|timeout|contimeout|port|rsync-path|partial-dir|compare-dest|copy-dest|link-dest|chmod|chown|usermap|groupmap|address|sockopts|out-format|block-size|max-size|min-size|max-delete|modify-window|compress-level|skip-compress|iconv|info|debug|remote-option|protocol|checksum-choice|compress-choice|stop-after|stop-at)$"
    }
    {
      line = held $0
      if (line ~ /\\$/) { held = substr(line, 1, length(line) - 1) " "; next }
      held = ""
      if (line ~ /^[ \t]*[#;]/) next
      while (match(line, /(^|[ \t;|&(=\/@-])rsync[ \t]+/)) { line = substr(line, RSTART + RLENGTH); call(line) }
    }' | while IFS= read -r words; do IFS=$'\t' read -ra words <<<"${words#?}"; emit rsync "$@" "${words[@]}"; done
}
# Whether a file is a script that calls rsync.
is_copier() { [ -f "$1" ] && [ "$(stat -Lc %s -- "$1")" -le 65536 ] && [ "$(head -c 2 -- "$1" | tr -d '\0')" = '#!' ] && grep -qw rsync -- "$1"; }

flush() {
  local file=$fragment word words stem
  case $file in /run/*) file=$source ;; esac
  if [ -z "$id" ] || [ "$load" != loaded ] || [ -z "$file" ] || [ -n "${seen[unit $id]:-}" ]; then return; fi
  seen[unit $id]=1
  if [ -n "${owned[${file#/usr}]:-}" ]; then
    [ "$active" != active ] || case $state in enabled*) emit packaged "$id" ;; esac
    return
  fi
  case $file in /etc/init.d/*) [ -z "$(dpkg -S "$file" || rpm -qf "$file")" ] || return ;; esac
  # Instances of a distribution's template, such as postgresql@15-main, have its file.
  case $file in /lib/*@.service|/usr/lib/*@.service) [ -z "${owned[${file#/usr}]:-}" ] || return ;; esac
  own[$id]=1
  emit service "$id" "$file" "${state:-unknown}" "$active" "$type"
  for word in $after; do case $word in *.service) emit after "$id" "$word" ;; esac; done
  IFS=$' \t:=,;"'"'" read -ra words <<<"$exec $work $environment"
  for word in "${words[@]}"; do case $word in /*) belongs "$id" "$word" ;; esac; done
  stem=${id%.service}
  for word in "$stem" "${stem%%[-@._]*}"; do
    case $word in network|systemd|ssh|ssl|security|default|cron|apt|postgresql|keepalived|python*|java*|?|??) ;;
      *) [ ! -d "/etc/$word" ] || belongs "$id" "/etc/$word/" ;;
    esac
  done
  case $exec in *rsync*) sed -n '/^Exec/,/[^\\]$/p' "$file" | rsync_calls unit "$id" ;; esac
  for word in "${words[@]}"; do case $word in /*) ! is_copier "$word" || rsync_calls unit "$id" <"$word" ;; esac; done
}
unit_files() { local file; for file in /etc/systemd/system/*."$1" /usr/local/lib/systemd/system/*."$1"; do
  case $file in *\**|*@.*) ;; *) printf '%s\n' "${file##*/}" ;; esac; done; }
set -f
while IFS= read -r line; do
  case $line in
    '') flush; id='' load='' fragment='' source='' state='' active='' type='' after='' work='' exec='' environment='' ;;
    Id=*) id=${line#*=} ;;
    LoadState=*) load=${line#*=} ;;
    FragmentPath=*) fragment=${line#*=} ;;
    SourcePath=*) source=${line#*=} ;;
    UnitFileState=*) state=${line#*=} ;;
    ActiveState=*) active=${line#*=} ;;
    Type=*) type=${line#*=} ;;
    After=*) after=${line#*=} ;;
    WorkingDirectory=*) work=${line#*=} work=${work#[!]} work=${work#-} ;;
    EnvironmentFiles=*) line=${line#*=}; environment+=" ${line% (*}" ;;
    ExecStart=*) line=${line#*argv\[\]=}; exec+=" ${line% ; ignore_errors=*}" ;;
  esac
done < <(
  set +f
  systemctl show -p Id -p LoadState -p FragmentPath -p SourcePath -p UnitFileState -p ActiveState -p Type -p After \
    -p WorkingDirectory -p EnvironmentFiles -p ExecStart '*.service' $(unit_files service)
  echo
)
set +f
systemctl show -p Id -p Unit -p UnitFileState -p ActiveState '*.timer' $(unit_files timer) | awk -F = '
  function flush() { if (id != "" && unit != "" && !seen[id]++) print "timer\t" id "\t" unit "\t" (state == "" ? "unknown" : state) "\t" active
    id = unit = state = active = "" }
  $1 == "" { flush() } $1 == "Id" { id = $2 } $1 == "Unit" { unit = $2 } $1 == "UnitFileState" { state = $2 } $1 == "ActiveState" { active = $2 }
  END { flush() }'

for file in /etc/crontab /etc/cron.d/* /var/spool/cron/* /var/spool/cron/crontabs/*; do
  [ -f "$file" ] || continue
  number=0
  while IFS= read -r line; do
    number=$((number + 1))
    case $line in [\#]*|'') continue ;; *rsync*) printf '%s\n' "$line" | rsync_calls cron "$file:$number" ;; esac
    set -f
    for word in $line; do case $word in /*) ! is_copier "$word" || rsync_calls cron "$file:$number" <"$word" ;; esac; done
    set +f
  done <"$file"
done

for top in "${!place[@]}"; do
  timeout 2 find "$top" -xdev -maxdepth 4 -type f ! -name '*[[:cntrl:]]*' \( -iname '*.key' -o -iname '*root*key*' \) ! -perm /007 -printf 'key\t%p\t%m\t%u:%g\n'
  [ "${place[$top]}" = code ] || continue
  for name in VERSION VERSION.txt version version.txt RELEASE; do
    if [ -f "$top/$name" ]; then emit version "$top/$name"; break; fi
  done
done

# --- ports --------------------------------------------------------------------------------------------------------

declare -A asked
while read -r address pid; do
  unit=$(unit_of "$pid") port=${address##*:}
  [ -n "$unit" ] && [ -z "${seen[$unit $port]:-}" ] || continue
  seen[$unit $port]=1
  case ${address%:*} in 127.*|'[::1]') reach=local ;; *) reach=any ;; esac
  emit listen "$unit" "$port" "$reach"
  if [ -n "${own[$unit]:-}" ] && [ "${address%:*}" != '[::1]' ]; then asked[$port]=1; fi
done < <(ss -Hltnp | sed -n 's/^LISTEN *[0-9]* *[0-9]* *\([^ ]*\) .*pid=\([0-9]*\),.*/\1 \2/p')

# --- keepalived and addresses -------------------------------------------------------------------------------------

# A configuration with its includes in their places: FILE DEPTH.
flatten() {
  local line name
  [ "$2" -lt 8 ] && [ -f "$1" ] || return
  cd -- "$(dirname -- "$1")" || return
  while IFS= read -r line || [ -n "$line" ]; do
    if [[ $line =~ ^[[:space:]]*include[a-z]*[[:space:]]+\"?([^[:space:]\"\#!]+) ]]; then
      for name in ${BASH_REMATCH[1]}; do ( flatten "$name" $(($2 + 1)) ); done
    else
      printf '%s\n' "$line"
    fi
  done <"$(basename -- "$1")"
}
instances() {
  awk '
    { sub(/[#!].*/, ""); sub(/^[ \t]*@[^ \t]+[ \t]+/, ""); gsub(/"/, ""); gsub(/[{}]/, " & ")
      if ($0 ~ /^[ \t]*\$[A-Za-z0-9_]+[ \t]*=/) {
        split($0, part, /[$= \t]+/); defined["$" part[2]] = part[3]
        next
      }
      for (i = 1; i <= NF; i++) {
        part[1] = $i; sub(/\/.*/, "", part[1])
        if (part[1] in defined) sub(/^\$[A-Za-z0-9_]+/, defined[part[1]], $i)
      }
      first = 1
      for (i = 1; i <= NF; i++) {
        if ($i == "{") { depth++; first = 1; continue }
        if ($i == "}") { depth--; if (depth < list) list = 0; if (depth < inside) inside = 0; continue }
        if ($i == "vrrp_instance") { name = $(++i); inside = depth + 1; order[++count] = name }
        else if (inside && depth == inside && $i == "interface") interface[name] = $(++i)
        else if (inside && $i ~ /^virtual_ipaddress(_excluded)?$/) list = depth + 1
        else if (list && depth == list && first) { address = $i; sub(/\/.*/, "", address); print "vip\t" name "\t" address; first = 0 }
      }
    }
    END { for (i = 1; i <= count; i++) print "instance\t" order[i] "\t" interface[order[i]] }'
}
conf=/etc/keepalived/keepalived.conf
pid=$(first_of keepalived | head -n 1)
if [ -n "$pid" ]; then
  file=$(option "$pid" f use-file)
  conf=${file:-$conf}
  emit keepalived running "$(unit_of "$pid")" "$conf"
elif [ -f "$conf" ]; then
  emit keepalived stopped keepalived.service "$conf"
fi
( flatten "$conf" 0 ) | instances
ip -o addr show scope global | awk '$2 != "lo" { split($4, part, "/"); print "address\t" $2 "\t" part[1] "\t" part[2] }'

# --- database -----------------------------------------------------------------------------------------------------

# SQL on stdin, as the owner on the local socket: tool, data directory, owner, then the environment. Asks for no password.
sql() {
  local tool=$1 data=$2 user=$3 words=(); shift 3
  # gsql takes `-w` for something else.
  case $tool in */psql|psql) words=(-w) ;; esac
  timeout 5 runuser -u "$user" -- env "$@" HOME="$(getent passwd "$user" | cut -d : -f 6)" PGCONNECT_TIMEOUT=3 PGAPPNAME=rollup \
    "$tool" -X -A -t -q "${words[@]}" -F $'\t' -h "$(sed -n 5p "$data/postmaster.pid")" -p "$(sed -n 4p "$data/postmaster.pid")" -d postgres 2>&1
}
for pid in $(first_of postgres gaussdb); do
  exe=$(readlink "/proc/$pid/exe") exe=${exe% (deleted)}
  user=$(stat -c %U "/proc/$pid")
  data=$(option "$pid" D pgdata)
  case $data in /*) ;; *) data=$(readlink "/proc/$pid/cwd") ;; esac
  environment=()
  while IFS= read -r line; do environment+=("$line"); done < <(tr '\0' '\n' <"/proc/$pid/environ" | grep -E '^(LD_LIBRARY_PATH|GAUSSHOME)=')
  product=unknown
  case ${exe##*/} in
    postgres) product=postgresql ;;
    *) case $(timeout 3 runuser -u "$user" -- env "${environment[@]}" "$exe" -V) in *openGauss*) product=opengauss ;; *GaussDB*|*Gauss*) product=gaussdb ;; esac ;;
  esac
  emit database "$pid" "$product" "$exe" "$user" "$data" "$(sed -n 4p "$data/postmaster.pid")" "$(unit_of "$pid")"
  case $product in postgresql) tool=${exe%/*}/psql ;; *) tool=${exe%/*}/gsql ;; esac
  [ -x "$tool" ] || tool=${tool##*/}
  {
    sql "$tool" "$data" "$user" "${environment[@]}" <<'SQL'
select 'role', case when pg_is_in_recovery() then 'standby' else 'primary' end;
select 'name', datname, pg_get_userbyid(datdba), pg_database_size(oid) from pg_database where datallowconn and not datistemplate;
SQL
    [ "$product" != postgresql ] || sql "$tool" "$data" "$user" "${environment[@]}" <<'SQL'
select 'sends', usename, coalesce(host(client_addr), '') from pg_stat_replication where state = 'streaming';
select 'follows', coalesce(substring(conninfo from '(?:^|\s)user\s*=\s*''?([^ '']+)'), ''),
  coalesce(substring(conninfo from '(?:^|\s)host\s*=\s*''?([^ '']+)'), '')
  from (select current_setting('primary_conninfo') as conninfo) c where pg_is_in_recovery();
SQL
  } | while IFS= read -r line; do
    case $line in
      role$'\t'*|name$'\t'*|sends$'\t'*|follows$'\t'*) printf '%s\t%s\t%s\n' "${line%%$'\t'*}" "$pid" "${line#*$'\t'}" ;;
      *) emit silent "$pid" "$line" ;;
    esac
  done
done

# --- room, and the slow ones --------------------------------------------------------------------------------------

dir=/var/backups
while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
timeout 3 df -P -B 1 "$dir" | awk 'NR == 2 { print "room\t" $4 "\t" $6 }'
timeout 3 df -P -l -B 1 -x tmpfs -x devtmpfs -x squashfs -x efivarfs | awk 'NR > 1 && $6 !~ /^\/run\// && !seen[$1]++ { print "mount\t" $4 "\t" $6 }'
for port in "${!asked[@]}"; do
  (
    answer=$(curl -s -m 2 -w '\n%{http_code}' "http://127.0.0.1:$port/health")
    case $answer in *'"node"'*) names=yes ;; *) names=no ;; esac
    emit health "$port" "${answer##*$'\n'}" "$names"
  ) &
done
wait
emit end
