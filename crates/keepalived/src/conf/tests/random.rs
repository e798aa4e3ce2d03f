//! Configurations nobody wrote: up to three instances over up to six files, in any mix of styles.

use proptest::{prelude::*, sample::subsequence};

use super::{super::*, layouts};

/// Lines that may stand inside an instance.
fn piece() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("priority 110"),
        Just("priority 7 of many"),
        Just("priority\t\"42\""),
        Just("@main priority 90"),
        Just("@^main priority 91 # {"),
        Just("@other virtual_routes { 10.8.0.0/24 via 10.9.0.1 }"),
        Just("priority $P"),
        Just("priority ${P} extra"),
        Just("include prio.inc"),
        Just("includem\tprio.inc ! and why }"),
        Just("$N"),
        Just("nopreempt"),
        Just("preempt"),
        Just("preempt_delay 5 # wait } here"),
        Just("! a comment with { and \""),
        Just("notify \"/bin/x } {\""),
        Just("notify \"/bin/x ${P} '#' \" # {"),
        Just("notify_master /x\\#y"),
        Just("advert_int 2"),
        Just("state BACKUP"),
        Just("track_interface { lo weight 5 }"),
        Just("track_interface\n{\nlo weight -9\n}"),
        Just("track_script{chk}"),
        Just("unicast_peer { 10.9.0.7 }"),
        Just("authentication{auth_type PASS\nauth_pass \"a}b\"}"),
        Just("debug 0 # \" } \\#"),
        Just("\t"),
        Just(""),
    ]
}

fn instance(number: usize) -> impl Strategy<Value = String> {
    let name = format!("VI_{number}");
    let quoted = format!("\"{name}\"");
    let open = prop_oneof![
        Just(" {\n"),
        Just("{debug 0\n"),
        Just("\n{\n"),
        Just(" { # {\n"),
        Just("\n\n! {\n\t{priority 6\n")
    ];
    let body = format!(
        "interface eth0\nvirtual_router_id {}\nvirtual_ipaddress {{\n10.9.0.{}/24 }}\n",
        50 + number,
        100 + number
    );
    let close =
        prop_oneof![Just("}"), Just("  }"), Just("\t} # done"), Just(" priority 8 }"), Just("\n}"), Just("preempt}")];
    let pieces = || proptest::collection::vec((piece(), prop_oneof![Just("\n"), Just(" \n\t"), Just("\n\n")]), 0..5);
    let joined =
        |lines: Vec<(&str, &str)>| lines.into_iter().map(|(line, end)| format!("{line}{end}")).collect::<String>();
    (prop_oneof![Just(name), Just(quoted)], open, pieces(), pieces(), close).prop_map(
        move |(name, open, one, two, close)| {
            format!("vrrp_instance {name}{open}{}{body}{}{close}\n", joined(one), joined(two))
        },
    )
}

fn header() -> impl Strategy<Value = String> {
    let all = [
        "# }\n",
        "global_defs {\n router_id x\n vrrp_version 3\n}\n",
        "vrrp_sync_group G { group { VI_1 } }\n",
        "$P=1\n$P=77\n",
        "@other $P=5\n",
        "@main $SEVEN=7\n$P = 3\n",
        "virtual_server_group $P{\n}\n",
        "include none/*.conf\n",
        "static_routes { }\n",
    ];
    subsequence(all.to_vec(), 0..=all.len()).prop_map(|parts| parts.concat())
}

/// The files, and the instances in them.
pub(super) fn files() -> impl Strategy<Value = (Files, Vec<String>)> {
    let instances = (1..=3_usize).prop_flat_map(|count| (1..=count).map(instance).collect::<Vec<_>>());
    let places = proptest::collection::vec(any::<bool>(), 3);
    let style = proptest::collection::vec((any::<bool>(), any::<bool>()), 3);
    let prio = prop_oneof![Just("priority 33\n"), Just("# nothing\n"), Just("nopreempt\npriority ${P}")];
    (header(), instances, places, style, prio).prop_map(|(header, instances, places, style, prio)| {
        let start = "$P=76\n$N=nopreempt\nvrrp_script chk { script /bin/true\n weight 3\n}\n";
        let mut texts: Vec<(String, String)> = vec![("keepalived.conf".to_owned(), format!("{start}{header}"))];
        let names = (1..=instances.len()).map(|number| format!("VI_{number}")).collect();
        for (number, text) in instances.into_iter().enumerate() {
            match places[number] {
                true => texts.push((format!("conf.d/{number}.conf"), text)),
                false => texts[0].1.push_str(&text),
            }
        }
        texts[0].1.push_str("include conf.d/*.conf\n");
        let mut files = Files {
            main: "/etc/keepalived/keepalived.conf".to_owned(),
            id: Some("main".to_owned()),
            ..Files::default()
        };
        for (number, (path, mut text)) in texts.into_iter().enumerate() {
            let (crlf, cut) = style[number.min(2)];
            if cut {
                text = text.trim_end().to_owned();
            }
            files.texts.insert(format!("/etc/keepalived/{path}"), if crlf { text.replace('\n', "\r\n") } else { text });
        }
        for path in ["prio.inc", "conf.d/prio.inc"] {
            files.texts.insert(format!("/etc/keepalived/{path}"), prio.to_owned());
        }
        (layouts::follow(files), names)
    })
}

/// The files, and which instances get which priority.
pub(super) fn edits() -> impl Strategy<Value = (Files, BTreeMap<String, u8>)> {
    files().prop_flat_map(|(files, names)| {
        let some = (subsequence(names.clone(), 1..=names.len()), 1..=254_u8);
        some.prop_map(move |(names, priority)| {
            (files.clone(), names.into_iter().map(|name| (name, priority)).collect())
        })
    })
}

/// An instance in which words, braces, quotes and line ends stand in any order.
#[cfg(feature = "real-daemon")]
pub(super) fn soup() -> impl Strategy<Value = String> {
    let scraps = vec![
        "priority 5",
        "priority ${P}",
        "priority $P",
        "$P=6",
        "$P=${Q}",
        "$Q=7 8",
        "$P ",
        "${P}",
        "@main ",
        "@other ",
        "@^main ",
        "@^other ",
        "track_interface",
        "track_interface {",
        "track_script {",
        "authentication",
        "lo",
        "lo weight 3",
        "{",
        "}",
        " { ",
        " } ",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\t",
        " ",
        "\"",
        "\"x\"",
        "'",
        "# ",
        "!",
        "\\#",
        "\\!",
        "\\",
        "notify ",
        "debug 1",
        "nopreempt",
        "preempt",
        "preempt_delay 3",
        "preempt_delay",
        "unheard_of",
        "include x",
        "~SEQ",
        "$",
        "${",
        "global_defs",
        "vrrp_instance VI_2",
        "group",
        "\u{7f}",
        "é",
        "${_INSTANCE}",
        "$_PWD ",
        "state MASTER",
    ];
    let scraps =
        || proptest::collection::vec(prop::sample::select(scraps.clone()), 0..7).prop_map(|some| some.concat());
    let body = "interface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\n10.9.0.100/24\n}";
    (scraps(), scraps(), scraps(), scraps()).prop_map(move |(before, start, middle, end)| {
        format!("$Q=1\n$P=2\n{before}\nvrrp_instance VI_1 {{{start}\n{body}{middle}\n{end}}}\n")
    })
}
