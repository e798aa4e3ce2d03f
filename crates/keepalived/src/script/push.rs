//! What makes a node rise or give up without a change of its configuration, and the word to the neighbours.

use super::common;

/// Writes a value into the tracked file and proves that the daemon took it; else writes 0.
///
/// `$1` unit, `$2` file, `$3` value, then for each instance its name and the effective priority that must come of it, or
/// `-`: any. Written in place: the daemon watches the directory, and who may read the file stays as it is.
pub(crate) const TRACK: &str = concat!(
    common!(),
    r#"
unit=$1 file=$2 value=$3; shift 3
fail() { echo "$*" >&2; exit 1; }
pid=$(systemctl show -p MainPID --value "$unit")
[ ! -L "$file" ] || fail "$file is a link, so nothing is written"
before=$(cat -- "$file" 2>/dev/null || true)
# Some versions count wrongly from a failure to anything but 0.
case $before in ''|0) ;; *) [ "$value" = 0 ] || { printf '0\n' >"$file"; sleep 0.1; } ;; esac
printf '%s\n' "$value" >"$file"
[ "${pid:-0}" -gt 0 ] || exit 0
taken() {
  local now
  for at in $(seq 0 2 $((2 * (${#wanted[@]} / 2 - 1)))); do
    [ "${wanted[at + 1]}" != - ] || continue
    now=$(account "$pid" "${wanted[at]}"); now=${now% *}; now=${now#* }
    [ "$now" = "${wanted[at + 1]}" ] || { said="expected effective priority ${wanted[at + 1]} for ${wanted[at]}, found ${now:-none}"; return 1; }
  done
}
wanted=("$@")
for _ in $(seq 40); do
  if taken; then echo taken; exit 0; fi
  sleep 0.05
done
printf '0\n' >"$file"
fail "keepalived did not take $value from $file: $said; it holds 0 again"
"#
);

/// How a push lets go: `let_go fault FILE`, `let_go link NAME`, `let_go stop UNIT`. The mark goes last.
macro_rules! let_go {
    () => {
        r#"
mark=/var/lib/rollup/keepalived/pushed.json
let_go() {
  case $1 in
    fault) printf '0\n' >"$2" ;;
    link) ip link set dev "$2" up ;;
    stop) systemctl reset-failed "$2" 2>/dev/null || true; systemctl start "$2" ;;
  esac && rm -f -- "$mark"
}
"#
    };
}

/// Makes this node give the address up, waits until it has left, and lets go again: all in one command, which does so
/// also when it is told to end, when the address does not leave, and when nobody hears it any more.
///
/// `$1` `fault`, `link` or `stop`, `$2` file, interface or unit, `$3` the value that is a failure, `$4` the address,
/// `$5` how many times 10 ms to wait for it to leave, `$6` how many seconds longer the new owner needs, `$7` run.
pub(crate) const PUSH: &str = concat!(
    common!(),
    let_go!(),
    r#"
by=$1 what=$2 value=$3 address=$4 turns=$5 more=$6 run=$7
fail() { echo "$*" >&2; exit 1; }
exec 8>>/run/lock/rollup-keepalived-push.lock
flock -w 10 8 || fail "another push is under way"
[ -n "$(holds "$address")" ] || { echo "it has left already"; exit 0; }
[ "$by" != fault ] || [ ! -L "$what" ] || fail "$what is a link, so nothing is written"
install -d -m 0700 /var/lib/rollup "${mark%/*}"
ended() { trap - EXIT HUP INT TERM PIPE; let_go "$by" "$what"; }
trap ended EXIT
trap 'exit 1' HUP INT TERM PIPE
printf '{"run":"%s","by":"%s","what":"%s"}\n' "$run" "$by" "$what" >"$mark.new"
sync -- "$mark.new"
mv -f -- "$mark.new" "$mark"
sync -- "${mark%/*}"
case $by in
  fault) printf '%s\n' "$value" >"$what" ;;
  link) ip link set dev "$what" down ;;
  stop) systemctl stop "$what" 8>&- ;;
esac
for _ in $(seq "$turns"); do
  if [ -z "$(holds "$address")" ]; then
    # A node that is let go before the other one has the address could take it again.
    sleep "$more"
    ended && { echo "let go"; exit 0; }
    fail "$what could not be let go"
  fi
  sleep 0.01
done
fail "the VIP did not leave; what held this node down is let go"
"#
);

/// Lets go what a push left that was cut off by the loss of power. `$1` `fault`, `link` or `stop`, `$2` file, interface
/// or unit.
pub(crate) const LET_GO: &str = concat!(
    let_go!(),
    r#"
exec 8>>/run/lock/rollup-keepalived-push.lock
flock -w 60 8 || { echo "a push is under way" >&2; exit 1; }
let_go "$1" "$2" 8>&-
"#
);

/// Waits for the address on this node and tells the neighbours where it is now. `$1` the address, `$2` how many times
/// 20 ms to wait.
///
/// keepalived announces it once itself; when that one burst is lost, neighbours go on asking the old owner for up to a
/// minute. Without the address, or without arping, nothing is done: whether the move worked is for others to say.
pub(crate) const ANNOUNCE: &str = concat!(
    common!(),
    r#"
address=$1 turns=$2
for _ in $(seq "$turns"); do
  interface=$(holds "$address")
  [ -z "$interface" ] || break
  sleep 0.02
done
interface=$(holds "$address")
case $interface:$address in :*|*:*:*) exit 0 ;; esac
command -v arping >/dev/null || exit 0
for _ in 1 2 3; do
  # arping waits a second after its last packet; the packet itself leaves at once.
  timeout 0.1 arping -q -U -c 1 -I "$interface" "$address" >/dev/null 2>&1 || true
done
"#
);
