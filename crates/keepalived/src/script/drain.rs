//! What lets an old owner answer requests that it had received when the address left.

use super::common;

/// Keeps the address on `lo`, where it sends but is not announced, so that answers that are under way still leave this
/// node. The kernel takes it away by itself, whatever becomes of us; that is IPv4 alone.
///
/// `$1` the address, `$2` seconds until the kernel takes it away, `$3` run. Without the two settings this node would
/// answer neighbours that ask who has the address.
pub(crate) const DRAIN: &str = concat!(
    common!(),
    r#"
address=$1 seconds=$2 run=$3 mark=/run/rollup/drained.json
interface=$(holds "$address")
[ -n "$interface" ] || { echo "the VIP is not here"; exit 0; }
install -d -m 0755 /run/rollup
if [ ! -s "$mark" ]; then
  printf '{"run":"%s","interface":"%s","arp_ignore":%s,"arp_announce":%s}\n' "$run" "$interface" \
    "$(cat "/proc/sys/net/ipv4/conf/$interface/arp_ignore")" "$(cat "/proc/sys/net/ipv4/conf/$interface/arp_announce")" >"$mark.new"
  mv -f -- "$mark.new" "$mark"
fi
settings=/proc/sys/net/ipv4/conf/$interface
{ echo 1 >"$settings/arp_ignore" && echo 2 >"$settings/arp_announce"; } || { rm -f -- "$mark"; exit 1; }
ip addr replace "$address/32" dev lo valid_lft "$seconds" preferred_lft "$seconds"
"#
);

/// Waits until the last answer has left, at most so long, and puts the settings back.
///
/// `$1` the address, `$2` how many times 50 ms to wait.
pub(crate) const DRAINED: &str = r#"
address=$1 turns=$2 mark=/run/rollup/drained.json
if [ -s "$mark" ]; then
  for _ in $(seq "$turns"); do
    [ -n "$(ss -Htn state established src "$address")" ] || break
    sleep 0.05
  done
fi
ip addr del "$address/32" dev lo 2>/dev/null || true
[ -s "$mark" ] || exit 0
value() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p" "$mark"; }
conf=/proc/sys/net/ipv4/conf/$(value interface)
if [ -d "$conf" ]; then
  value arp_ignore >"$conf/arp_ignore"
  value arp_announce >"$conf/arp_announce"
fi
rm -f -- "$mark"
"#;
