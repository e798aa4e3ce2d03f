//! What only looks: facts of one node, the configuration as it is, and adverts over time.

use super::{common, walk};

/// Facts of one node. `$1` unit, `$2` configuration file, `$3` the address, `$4` name of our tracked file, `$5` our
/// tracked link or nothing.
///
/// Texts travel as hex, so that line ends and odd bytes arrive as they are, with passwords blotted out.
pub(crate) const PROBE: &str = concat!(
    common!(),
    walk!(),
    r#"
exec 2>/dev/null
unit=$1 conf=$2 address=$3 tracker=$4 link=$5 hide=1
state=/var/lib/rollup/keepalived
systemctl show -p ActiveState -p MainPID "$unit"
pid=$(systemctl show -p MainPID --value "$unit")
interface=$(holds "$address")
[ -z "$interface" ] || printf 'interface=%s\n' "$interface"
configuration=$(walk "$conf" 0)
printf '%s\n' "$configuration"
program=keepalived id=
if [ "${pid:-0}" -gt 0 ]; then
  # What runs, even where the file has been replaced since.
  program=/proc/$pid/exe
  file=$(option "$pid" f use-file)
  printf 'reads=%s\n' "${file:-/etc/keepalived/keepalived.conf}"
  id=$(option "$pid" i config-id)
  dump=$(json "$pid")
  printf 'dump=%s\n' "$dump"
  # Only in words does it say what it tracks.
  tracks=$(printf '%s\n' "$configuration" | sed -n 's/^file=[^\t]*\t\([^\t]*\)\t.*/\1/p' | grep -c 747261636b5f)
  if [ -z "$dump" ] || [ "$tracks" != 0 ]; then
    said=$(words "$pid")
    printf '%s\n' "$said" | awk '/^------</ { keep = /VRRP Topology|VRRP Track files|Interfaces/ } keep { print "|" $0 }'
    path=$(printf '%s\n' "$said" | awk -v name="$tracker" '/^ Track file = / { here = ($4 == name) } here && /^   File = / { print $3; exit }')
    [ -z "$path" ] || case $(stat -f -c %T "${path%/*}") in tmpfs|ramfs) echo volatile=yes ;; esac
  fi
fi
printf 'version=%s\n' "$("$program" --version 2>&1 | sed -n '1s/^Keepalived v\([^ ]*\).*/\1/p')"
name=$(uname -n)
printf 'config_id=%s\n' "${id:-${name%%.*}}"
if [ -r "$conf" ]; then
  keepalived -t -f "$conf" ${id:+-i "$id"} >/dev/null 2>&1
  printf 'test=%s\n' "$?"
fi
printf 'interfaces=%s\n' "$(ip -o link show | awk '{ sub(/[:@].*/, "", $2); printf "%s ", $2 }')"
unshare --mount true && echo unshare=yes || echo unshare=no
if [ -n "$link" ] && flags=$(ip -o link show dev "$link"); then
  case $flags in *[,\<]UP[,\>]*LOWER_UP*|*LOWER_UP*[,\<]UP[,\>]*) up=up ;; *) up=down ;; esac
  used=free
  [ -z "$(ip -o addr show dev "$link" scope global)$(ip -o route show dev "$link")" ] && [ "$link" != "$interface" ] || used=used
  printf 'link=%s %s\n' "$up" "$used"
fi
for mark in edited pushed; do
  [ ! -s "$state/$mark.json" ] || printf '%s=%s\n' "$mark" "$(cat "$state/$mark.json")"
done
for original in "$state"/[0-9a-f]*; do [ ! -f "$original" ] || printf 'kept=%s\n' "${original##*/}"; done
[ ! -s /run/rollup/drained.json ] || printf 'drained=%s\n' "$(cat /run/rollup/drained.json)"
[ ! -e /run/lock/rollup-keepalived-push.lock ] || flock -n /run/lock/rollup-keepalived-push.lock true || echo busy=yes
echo end
"#
);

/// The configuration as it is, for the edit. `$1` configuration file.
pub(crate) const CONFIG: &str = concat!(
    walk!(),
    r#"
hide=
walk "$1" 0
echo end
"#
);

/// Two accounts of the daemon, two adverts and a little apart. `$1` unit.
///
/// The time between them is the daemon's own interval, so it is known here alone.
pub(crate) const ADVERTS: &str = concat!(
    common!(),
    r#"
exec 2>/dev/null
pid=$(systemctl show -p MainPID --value "$1")
if [ "${pid:-0}" -gt 0 ]; then
  first=$(json "$pid")
  printf 'first=%s\n' "$first"
  wait=$(printf '%s\n' "$first" | tr '{,' '\n' | awk -F: '$1 == "\"adver_int\"" && $2 > most { most = $2 } END { if (most) { most *= 2.2; print (most > 30 ? 30 : most) } }')
  if [ -n "$wait" ]; then
    sleep "$wait"
    printf 'waited=%s\nsecond=%s\n' "$wait" "$(json "$pid")"
  fi
fi
echo end
"#
);
