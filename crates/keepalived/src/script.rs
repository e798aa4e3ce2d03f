//! What runs on the nodes. Constants; arguments are passed, never spliced.
//!
//! The probe and the edit share how they ask the daemon for its own account. That is a signal and a file that is read
//! and removed again: nothing the daemon does or keeps changes, so it counts as reading. The signal goes out only to
//! a process that waits for it, since any other would be ended by it.

/// `dump PID`: the daemon's account of itself on one line, without passwords; status 1 when it gives none.
/// `option PID SHORT LONG`: the value of an option that the daemon was started with.
macro_rules! common {
    () => {
        r#"
dump() (
  pid=$1
  # A binary replaced since the start need not mean the same by its signals.
  case $(readlink "/proc/$pid/exe") in */keepalived) ;; *) exit 1 ;; esac
  sig=$(keepalived --signum=JSON 2>/dev/null) || exit 1
  case $sig in ''|*[!0-9]*) exit 1 ;; esac
  waits=0
  for mask in $(sed -n 's/^Sig\(Blk\|Cgt\):[[:space:]]*//p' "/proc/$pid/status"); do
    [ $(( 0x$mask >> (sig - 1) & 1 )) = 0 ] || waits=1
  done
  [ "$waits" = 1 ] || exit 1
  # Two askers would read each other's file.
  exec 9>>/run/lock/rollup-keepalived-dump.lock
  flock -w 3 9 || exit 1
  # The daemon's own /tmp: systemd may have given it a private one. Before 2.2.5 TMPDIR is ignored.
  dir=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^TMPDIR=//p' | tail -n 1)
  one=/proc/$pid/root${dir:-/tmp}/keepalived.json other=/proc/$pid/root/tmp/keepalived.json
  rm -f -- "$one" "$other"
  kill -s "$sig" "$pid" || exit 1
  for _ in $(seq 50); do
    for file in "$one" "$other"; do
      [ -f "$file" ] && [ ! -L "$file" ] && [ -O "$file" ] || continue
      text=$(tr -d '\n' <"$file" | sed 's/"auth_data":"[^"]*"/"auth_data":""/g')
      # Written in place, so a part of it can be seen: only a closed text is the whole.
      case $text in '['*']'|'{'*'}') rm -f -- "$file"; printf '%s\n' "$text"; exit 0 ;; esac
    done
    sleep 0.02
  done
  rm -f -- "$one" "$other"
  exit 1
)
option() {
  tr '\0' '\n' <"/proc/$1/cmdline" | awk -v short="$2" -v long="$3" '
    take { print; exit }
    $0 == "-" short || $0 == "--" long { take = 1; next }
    index($0, "--" long "=") == 1 { print substr($0, length(long) + 4); exit }
    index($0, "-" short) == 1 { print substr($0, 3); exit }'
}
"#
    };
}

/// Facts of one node. `$1` unit, `$2` configuration file, `$3` the address.
///
/// The configuration travels as hex, so that line ends and odd bytes arrive as they are, with passwords blotted out.
pub(crate) const PROBE: &str = concat!(
    common!(),
    r#"
exec 2>/dev/null
unit=$1 conf=$2 address=$3
systemctl show -p ActiveState -p MainPID "$unit"
pid=$(systemctl show -p MainPID --value "$unit")
printf 'version=%s\n' "$(keepalived --version 2>&1 | sed -n '1s/^Keepalived v\([^ ]*\).*/\1/p')"
# On `lo` an address receives, but does not own (load balancers and drained owners keep it there).
ip -o addr show | awk -v address="$address" '{ split($4, part, "/") } $2 != "lo" && part[1] == address { print "interface=" $2 }'
id=
if [ "${pid:-0}" -gt 0 ]; then
  file=$(option "$pid" f use-file)
  printf 'reads=%s\n' "${file:-/etc/keepalived/keepalived.conf}"
  id=$(option "$pid" i config-id)
  printf 'dump=%s\n' "$(dump "$pid")"
fi
if [ -r "$conf" ]; then
  keepalived -t -f "$conf" ${id:+-i "$id"} >/dev/null 2>&1
  printf 'test=%s\n' "$?"
  printf 'sha256=%s\n' "$(sha256sum <"$conf" | cut -d ' ' -f 1)"
  printf 'config=%s\n' "$(sed -E 's/(auth_pass[[:space:]]+)("[^"]*"|[^[:space:]}]+)/\1x/g' "$conf" | od -An -v -tx1 | tr -d ' \n')"
fi
echo end
"#
);

/// The configuration file as it is, for the edit: its SHA-256 and its bytes in hex. `$1` configuration file.
pub(crate) const CONFIG: &str = r#"
sha256sum <"$1" | cut -d ' ' -f 1
od -An -v -tx1 <"$1" | tr -d ' \n'
"#;

/// Replaces the configuration by the text on stdin and proves that the running daemon took it; else puts it back.
///
/// `$1` unit, `$2` configuration file, `$3` SHA-256 it must have now, `$4` SHA-256 of the new text, `$5` instance,
/// `$6` the base priority the daemon must have afterwards, or `!N`: any other than N, `$7` whether it must run with
/// `nopreempt` (`true`, `false`), `$8` run.
///
/// Run again, it finds the new text in place and does not reload a daemon that has it: each reload starts the node's
/// wait for the address anew. `reload` itself answers before anything was read, and answers well to a broken file,
/// hence the proof by the daemon's own account.
pub(crate) const OVERRIDE: &str = concat!(
    common!(),
    r#"
unit=$1 conf=$(readlink -f -- "$2") old=$3 new=$4 instance=$5 want=$6 held=$7 run=$8
fail() { echo "$*" >&2; exit 1; }
sum() { sha256sum <"$1" | cut -d ' ' -f 1; }
exec 8>>/run/lock/rollup-keepalived-edit.lock
flock -w 10 8 || fail "another edit of $conf is under way"
state=/var/lib/rollup/keepalived
# A leading dot: `include *.conf` does not match it.
beside=$(dirname -- "$conf")/.rollup.$(basename -- "$conf")
pid=$(systemctl show -p MainPID --value "$unit")
[ "${pid:-0}" -gt 0 ] || fail "$unit is not running, so nothing is changed"

taken() {
  now=$(dump "$pid" | tr '{' '\n' | grep -F "\"iname\":\"$instance\"," | head -n 1 |
    sed -n 's/.*"base_priority":\([0-9]*\).*"nopreempt":\(true\|false\).*/\1 \2/p') || now=
  case $want in
    !*) [ -n "$now" ] && [ "${now% *}" != "${want#!}" ] && [ "${now#* }" = "$held" ] ;;
    *) [ "$now" = "$want $held" ] ;;
  esac
}
replace() { # the file beside takes the place
  sync -- "$beside"
  mv -f -- "$beside" "$conf"
  if command -v restorecon >/dev/null; then restorecon -- "$conf" || true; fi
  sync -- "$(dirname -- "$conf")"
}
like_the_original() { # owner, mode and attributes, before any content
  rm -f -- "$beside"
  cp -a -- "$conf" "$beside"
}

found=$(sum "$conf")
replaced=
if [ "$found" != "$new" ]; then
  [ "$found" = "$old" ] || fail "$conf was changed meanwhile: expected sha256 $old, found $found"
  like_the_original
  cat >"$beside"
  [ "$(sum "$beside")" = "$new" ] || { rm -f -- "$beside"; fail "the new text did not arrive in full"; }
  count() { grep -c '^[^#!]*vrrp_instance' "$1" || true; }
  [ -s "$beside" ] && [ "$(count "$beside")" = "$(count "$conf")" ] || { rm -f -- "$beside"; fail "the new text has other instances"; }
  # Warnings are normal in files that work, so the status is compared, not asked to be 0.
  id=$(option "$pid" i config-id)
  rc=0; keepalived -t -f "$conf" ${id:+-i "$id"} >/dev/null 2>&1 || rc=$?
  new_rc=0; said=$(keepalived -t -f "$beside" ${id:+-i "$id"} 2>&1) || new_rc=$?
  [ "$new_rc" = "$rc" ] || { rm -f -- "$beside"; fail "keepalived -t ended with $rc for the present file, with $new_rc for the new one: $said"; }
  install -d -m 0700 /var/lib/rollup "$state"
  cp -a -- "$conf" "$state/.orig"
  sync -- "$state/.orig"
  mv -f -- "$state/.orig" "$state/orig"
  printf '%s\n' "$old" >"$state/orig.sha256"
  printf '{"run":"%s","file":"%s","before":"%s","after":"%s"}\n' "$run" "$conf" "$old" "$new" >"$state/marker"
  sync -- "$state/orig.sha256" "$state/marker" "$state"
  replace
  replaced=1
fi

if taken; then
  [ -n "$replaced" ] || { echo "in place"; exit 0; }
  # Nothing that can be asked for tells the new text from the old: give the reload time to be done, or to go wrong.
  systemctl reload "$unit" || true
  sleep 0.5
else
  systemctl reload "$unit" || true
fi
for _ in $(seq 40); do
  [ "$(systemctl show -p MainPID --value "$unit")" = "$pid" ] || break
  if taken; then echo "reloaded"; exit 0; fi
  sleep 0.05
done

# The daemon did not take it. What it runs with and what is on disk must not differ: back to the original.
if [ "$(cat "$state/marker" 2>/dev/null | grep -cF "\"after\":\"$new\"")" = 1 ] && [ "$(sum "$state/orig")" = "$(cat "$state/orig.sha256")" ]; then
  like_the_original
  cat "$state/orig" >"$beside"
  replace
  back="the original file is back"
else
  back="the file could not be put back, since its original is not known"
fi
if systemctl is-active --quiet "$unit"; then systemctl reload "$unit" || true; else
  systemctl reset-failed "$unit" || true
  systemctl start "$unit" || true
fi
fail "keepalived did not take the new priority: expected $want (nopreempt $held), found ${now:-nothing} for $instance; $back"
"#
);

/// Waits for the address on this node and tells the neighbours where it is now. `$1` the address, `$2` how many times
/// 20 ms to wait.
///
/// keepalived announces it once itself; when that one burst is lost, neighbours go on asking the old owner for up to a
/// minute. Without the address, or without arping, nothing is done: whether the move worked is for others to say.
pub(crate) const ANNOUNCE: &str = r#"
address=$1 turns=$2
here() { ip -o addr show | awk -v address="$address" '{ split($4, part, "/") } $2 != "lo" && part[1] == address { print $2; exit }'; }
for _ in $(seq "$turns"); do
  interface=$(here)
  [ -z "$interface" ] || break
  sleep 0.02
done
interface=$(here)
case $interface:$address in :*|*:*:*) exit 0 ;; esac
command -v arping >/dev/null || exit 0
for _ in 1 2 3; do
  # arping waits a second after its last packet; the packet itself leaves at once.
  timeout 0.1 arping -q -U -c 1 -I "$interface" "$address" >/dev/null 2>&1 || true
done
"#;
