//! Every check that this crate's subjects answer.

use rollup_model::Check;

pub(crate) const CHECKS: [Check; 12] = [
    Check::new("keepalived.readable", "PRE-3", "what keepalived says can be read").never_waived(),
    Check::new("vip.owner", "PRE-3", "the VIP is on exactly one node").never_waived(),
    Check::new("vip.state", "PRE-3", "MASTER where the VIP is, BACKUP elsewhere").never_waived(),
    Check::new("vip.proof", "PRE-3", "the VIP can be moved, and will stay").never_waived(),
    Check::new("vip.leftover", "VIP-2", "nothing of an earlier move of the VIP is left"),
    Check::new("keepalived.active", "PRE-3", "keepalived is active on every node").never_waived(),
    Check::new("keepalived.config", "PRE-3", "a configuration that a program may change"),
    Check::new("keepalived.vip", "PRE-3", "the VIP is among the instance's addresses"),
    Check::new("keepalived.loaded", "PRE-3", "the daemon runs with what its file says"),
    Check::new("keepalived.test", "PRE-3", "`keepalived -t` finds nothing"),
    Check::new("keepalived.router", "PRE-3", "the same virtual_router_id on both nodes").never_waived(),
    Check::new("keepalived.interval", "PRE-3", "the same advert_int on both nodes"),
];

/// Those of the subject that listens.
pub(crate) const ADVERTS: [Check; 2] = [
    Check::new("adverts.readable", "PRE-2", "what was heard of VRRP adverts can be read"),
    Check::new("vip.adverts", "PRE-2", "VRRP adverts of the owner are heard on the other node"),
];
