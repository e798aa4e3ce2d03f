//! Which keywords have a block.
//!
//! keepalived knows its keywords, not its braces: after one that it does not know, `{` is ignored and `}` closes the
//! block around it; after one that needs a block and has none, the next block is taken for it. So where an instance
//! ends is certain only when each keyword with a block is known to have one, and each one known to have one has it.
//! The lists are those of versions 2.0 to 2.4.

/// Whether a keyword has a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Always,
    Never,
    /// Not known, and of no consequence.
    Either,
}

const TOP: &[&str] = &[
    "bfd_instance",
    "garp_group",
    "global_defs",
    "interface_up_down_delays",
    "linkbeat_interfaces",
    "static_ipaddress",
    "static_routes",
    "static_rules",
    "track_file",
    "track_group",
    "vrrp_instance",
    "vrrp_script",
    "vrrp_sync_group",
    "vrrp_track_file",
    "vrrp_track_process",
];

const INSTANCE: &[&str] = &[
    "auth_hmac",
    "authentication",
    "track_bfd",
    "track_file",
    "track_interface",
    "track_process",
    "track_script",
    "unicast_peer",
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
    "virtual_routes",
    "virtual_rules",
];

const GROUP: &[&str] = &["group", "track_bfd", "track_file", "track_interface", "track_process", "track_script"];

/// Those that stand at the top and nowhere else.
const OUTERMOST: &[&str] = &["global_defs", "vrrp_instance", "vrrp_script", "vrrp_sync_group"];

/// Whether this keyword has a block inside the blocks of these keywords, the outermost first.
pub(super) fn takes(outer: &[&str], keyword: &str) -> Takes {
    let known = |list: &[&str]| if list.contains(&keyword) { Takes::Always } else { Takes::Never };
    match outer {
        [] if TOP.contains(&keyword) => Takes::Always,
        // Blocks of servers are skipped by counting braces; an unknown keyword leaves its contents where they are.
        [] => Takes::Either,
        ["vrrp_instance"] => known(INSTANCE),
        ["vrrp_sync_group"] => known(GROUP),
        ["vrrp_instance" | "vrrp_sync_group" | "vrrp_script" | "vrrp_track_process", ..] => Takes::Never,
        ["track_file" | "vrrp_track_file", ..] => Takes::Never,
        _ if OUTERMOST.contains(&keyword) => Takes::Never,
        _ => Takes::Either,
    }
}
