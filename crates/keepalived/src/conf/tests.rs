use proptest::prelude::*;

use super::*;

/// Configurations that keepalived 2.2.7 reads, each with an instance `VI_1`.
const LAYOUTS: [(&str, &str); 22] = [
    ("brace on the same line", "vrrp_instance VI_1 {\n    state BACKUP\n    priority 110\n}\n"),
    ("brace on the next line", "vrrp_instance VI_1\n{\n    priority 110\n}\n"),
    ("brace without a space", "vrrp_instance VI_1{\n\tpriority 110\n}\n"),
    ("one line", "vrrp_instance VI_1 { priority 110 }\n"),
    ("one line without a final newline", "vrrp_instance VI_1 { priority 110 }"),
    ("two braces together", "vrrp_instance VI_1 {\n priority 110\n virtual_ipaddress { 10.0.0.1/24 }}\n"),
    ("closing brace after a keyword", "vrrp_instance VI_1 {\n  priority 110\n  preempt_delay 3 }\n"),
    ("closing brace at the end of the file", "vrrp_instance VI_1 {\n  priority 110\n}"),
    ("closing brace indented by tabs", "vrrp_instance VI_1 {\n\tpriority 110\n\t\t}\n\n"),
    ("CRLF", "vrrp_instance VI_1 {\r\n  priority 110\r\n}\r\n"),
    ("braces in comments", "# }\nvrrp_instance VI_1 { # {\n  priority 110 ! }\n  # \" }\n}\n"),
    ("an escaped comment sign", "vrrp_instance VI_1 {\n  priority 110\n  notify /x\\#1 # }\n}\n"),
    ("braces in quotes", "vrrp_instance VI_1 {\n  priority 110\n  notify_master \"/bin/x '}' {\"\n}\n"),
    ("a quoted name", "vrrp_instance \"VI_1\" {\n  priority 110\n}\n"),
    (
        "several instances",
        "vrrp_instance A {\n priority 1\n}\nvrrp_instance VI_1 {\n priority 110\n}\nvrrp_instance B { }\n",
    ),
    ("a commented-out instance", "#vrrp_instance VI_1 {\n# priority 1\n#}\nvrrp_instance VI_1 {\n priority 110\n}\n"),
    ("a definition", "$PRIO=110\nvrrp_instance VI_1 {\n  priority $PRIO\n}\n"),
    ("a definition in braces", "$PRIO=110\nvrrp_instance VI_1 {\n  priority ${PRIO}\n}\n"),
    ("a condition", "vrrp_instance VI_1 {\n  @one priority 110\n  @two priority 90\n}\n"),
    ("no priority at all", "vrrp_instance VI_1 {\n  state BACKUP\n}\n"),
    ("a priority twice", "vrrp_instance VI_1 {\n  priority 90\n  priority 110 of many\n}\n"),
    ("an include outside", "include conf.d/*.conf\nvrrp_instance VI_1 {\n  priority 110\n}\n"),
];

#[test]
fn every_known_layout_is_raised_and_given_back_byte_for_byte() {
    for (name, text) in LAYOUTS {
        let raised = raise(text, "VI_1", 177).unwrap_or_else(|why| panic!("{name}: {why}"));
        let read = parse(&raised).unwrap();
        let instance = read.instances.iter().find(|instance| instance.name == "VI_1").unwrap();
        assert_eq!(override_of(&raised, "VI_1"), Some(177), "{name}: {raised}");
        if !name.contains("condition") {
            assert_eq!(instance.priority, Some(177), "{name}: the override must be the last priority");
        }
        assert!(!instance.nopreempt && instance.preempt_delay_millis == 0, "{name}");
        assert_eq!(clear(&raised).unwrap(), text, "{name}");
        assert_eq!(raise(&raised, "VI_1", 177).unwrap(), raised, "{name}: twice");
        assert_eq!(clear(&raise(&raised, "VI_1", 3).unwrap()).unwrap(), text, "{name}: replaced");
    }
}

#[test]
fn an_instance_is_read_with_everything_that_decides_about_the_address() {
    let text = "
global_defs { vrrp_version 3 }
vrrp_sync_group G { group { A B
 C } }
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 110
    advert_int 0.3
    preempt_delay 5
    nopreempt
    track_script { chk weight 20 }
    authentication { auth_type PASS
        auth_pass secret }
    virtual_ipaddress { 10.78.0.100/24 dev eth0 }
    virtual_ipaddress_excluded {
        fd00::100/64
    }
}
";
    let config = parse(text).unwrap();
    assert_eq!(config.groups, [("G".to_owned(), ["A", "B", "C"].map(str::to_owned).to_vec())]);
    let [instance] = &config.instances[..] else { panic!("{config:?}") };
    assert_eq!((instance.interface.as_deref(), instance.state.as_deref()), (Some("eth0"), Some("BACKUP")));
    assert_eq!((instance.virtual_router_id, instance.priority, instance.version), (Some(51), Some(110), 3));
    assert_eq!((instance.advert_millis, instance.preempt_delay_millis, instance.nopreempt), (Some(300), 5000, true));
    assert_eq!(instance.tracks, ["track_script"]);
    assert!(instance.holds("10.78.0.100".parse().unwrap()) && instance.holds("fd00::100".parse().unwrap()));
    assert!(text[instance.close..].starts_with("}\n") && instance.close + 2 == text.len());
}

#[test]
fn what_cannot_be_read_as_keepalived_reads_it_is_refused_by_name() {
    let name = || "VI_1".to_owned();
    let cases: [(&str, Refused); 15] = [
        ("", Refused::NotFound { name: name(), includes: false }),
        ("include x.conf\n", Refused::NotFound { name: name(), includes: true }),
        ("vrrp_instance VI_1 {\n}\nvrrp_instance VI_1 {\n}\n", Refused::Found { name: name(), times: 2 }),
        ("@a vrrp_instance VI_1 {\n}\n@b vrrp_instance VI_1 {\n}\n", Refused::Found { name: name(), times: 2 }),
        ("vrrp_instance VI_1 {\n include prio.conf\n}\n", Refused::IncludeInside { name: name(), line: 2 }),
        ("vrrp_instance VI_1 {\n x {\n includer a\n }\n}\n", Refused::IncludeInside { name: name(), line: 3 }),
        ("$X= \\\n priority 1\nvrrp_instance VI_1 {\n}\n", Refused::MultiLine { line: 1 }),
        ("vrrp_instance VI_1 {\n ~SEQ(i,1,3) x\n}\n", Refused::Sequence { line: 2 }),
        ("$X=a {\nvrrp_instance VI_1 {\n}\n", Refused::Definition { line: 1 }),
        ("vrrp_instance VI_$N {\n}\n", Refused::VariableName { line: 1 }),
        ("vrrp_instance VI_1 {\n notify \"x\n}\n", Refused::Quotes { line: 2 }),
        ("vrrp_instance VI_1 {\n notify '}'\n}\n", Refused::Quotes { line: 2 }),
        ("vrrp_instance VI_1 {\n priority 1\n", Refused::Unbalanced { line: 2 }),
        ("vrrp_instance VI_1 {\n}\n}\n", Refused::Unbalanced { line: 3 }),
        (
            "vrrp_sync_group G {\n group {\n VI_1\n }\n}\nvrrp_instance VI_1 {\n}\n",
            Refused::SyncGroup { name: name(), group: "G".to_owned() },
        ),
    ];
    for (text, why) in cases {
        assert_eq!(raise(text, "VI_1", 120), Err(why), "{text:?}");
    }
}

#[test]
fn a_priority_with_another_meaning_is_refused() {
    for priority in [0, 255] {
        assert_eq!(raise(LAYOUTS[0].1, "VI_1", priority), Err(Refused::Priority(priority)));
    }
}

#[test]
fn an_override_changed_by_hand_is_left_to_people() {
    let raised = raise(LAYOUTS[0].1, "VI_1", 120).unwrap();
    let begin = raised.lines().position(|line| line.trim() == "# BEGIN rollup").unwrap() + 1;
    for (from, to) in [("  preempt\n", ""), ("priority 120", "priority high"), ("  # END rollup\n", "")] {
        assert_eq!(clear(&raised.replacen(from, to, 1)), Err(Refused::HandEdited { line: begin }), "{from:?}");
    }
    assert!(matches!(clear(&raised.replacen("  # BEGIN rollup\n", "", 1)), Err(Refused::HandEdited { .. })));
}

#[test]
fn an_override_belongs_to_the_instance_it_stands_in() {
    let text = raise(LAYOUTS[14].1, "VI_1", 120).unwrap();
    assert_eq!(["A", "VI_1", "B"].map(|name| override_of(&text, name)), [None, Some(120), None]);
}

#[test]
fn a_priority_that_the_text_does_not_settle_is_not_guessed() {
    let of = |text: &str| parse(text).unwrap().instances[0].priority;
    assert_eq!(of("vrrp_instance V {\n priority $P\n}\n"), None);
    assert_eq!(of("vrrp_instance V {\n priority 10\n @x priority 20\n}\n"), None);
    assert_eq!(of("vrrp_instance V {\n priority 10\n priority 20\n}\n"), Some(20));
}

/// Lines and pieces that may stand inside an instance.
fn inside() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("priority 110"),
        Just("@main priority 90"),
        Just("nopreempt"),
        Just("preempt_delay 5 # wait } here"),
        Just("! a comment with { and \""),
        Just("notify \"/bin/x } {\""),
        Just("virtual_ipaddress { 10.0.0.1/24 }"),
        Just("virtual_ipaddress\n{\n10.0.0.1/24 dev eth0\n}"),
        Just("track_script { a b }"),
        Just("priority ${PRIO}"),
        Just("notify_master /x\\#y"),
        Just(""),
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\n\t"), Just("\n\n    ")];
    proptest::collection::vec((piece, end), 0..6)
        .prop_map(|lines| lines.into_iter().map(|(piece, end)| format!("{piece}{end}")).collect::<String>())
}

fn layout() -> impl Strategy<Value = String> {
    let before = prop_oneof![
        Just(""),
        Just("# }\n"),
        Just("global_defs {\n router_id x\n}\n"),
        Just("vrrp_instance OTHER { priority 5 }\n"),
        Just("$PRIO=110\r\n"),
    ];
    let open = prop_oneof![Just("VI_1 {"), Just("VI_1{"), Just("VI_1\n{\n"), Just("\"VI_1\" { "), Just("VI_1 { # {\n")];
    let close = prop_oneof![Just("}"), Just("  }"), Just("\t} # done"), Just(" priority 7 }"), Just("\n}")];
    let after = prop_oneof![Just(""), Just("\n"), Just("\r\n"), Just("\nvrrp_instance LAST {\n}\n"), Just("\n# end")];
    (before, open, inside(), close, after)
        .prop_map(|(before, open, inside, close, after)| format!("{before}vrrp_instance {open}{inside}{close}{after}"))
}

proptest! {
    #[test]
    fn taking_the_override_out_restores_any_layout_byte_for_byte(text in layout(), priority in 1_u8..=254) {
        let raised = raise(&text, "VI_1", priority).map_err(|why| TestCaseError::fail(format!("{why}: {text:?}")))?;
        prop_assert_eq!(override_of(&raised, "VI_1"), Some(priority));
        prop_assert_eq!(clear(&raised).unwrap(), text);
    }

    #[test]
    fn any_text_is_read_or_refused_but_never_changed_beyond_recognition(text in "[a-z{}\"'#!$@~\\\\ \r\n]{0,80}") {
        if let Ok(raised) = raise(&text, "VI_1", 120) {
            prop_assert_eq!(clear(&raised).unwrap(), text);
        }
    }
}
