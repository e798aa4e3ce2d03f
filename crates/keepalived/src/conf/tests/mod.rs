mod layouts;
mod random;
#[cfg(feature = "real-daemon")]
mod real;

use proptest::prelude::*;

use super::{clear as clear_files, parse as parse_files, raise as raise_files, *};

const MAIN: &str = "/etc/keepalived/keepalived.conf";

const PLAIN: &str = "vrrp_instance VI_1 {\n    state BACKUP\n    priority 110\n}\n";
const THREE: &str = "vrrp_instance A {\n}\nvrrp_instance VI_1 {\n}\nvrrp_instance B { }\n";

fn single(text: &str) -> Files {
    Files::single(MAIN, text)
}

fn raised(files: &Files, wanted: &BTreeMap<String, u8>) -> Result<Files, Refused> {
    Ok(super::edit::with(files, raise_files(files, wanted)?))
}

fn cleared(files: &Files) -> Result<Files, Refused> {
    Ok(super::edit::with(files, clear_files(files)?))
}

fn one(text: &str, texts: BTreeMap<String, String>) -> String {
    texts.into_values().next().unwrap_or_else(|| text.to_owned())
}

fn raise(text: &str, name: &str, priority: u8) -> Result<String, Refused> {
    Ok(one(text, raise_files(&single(text), &[(name.to_owned(), priority)].into())?))
}

fn clear(text: &str) -> Result<String, Refused> {
    Ok(one(text, clear_files(&single(text))?))
}

fn parse(text: &str) -> Result<Config, Refused> {
    parse_files(&single(text))
}

fn override_of(text: &str, name: &str) -> Option<u8> {
    overrides(&single(text)).get(name).copied()
}

fn at(line: usize) -> At {
    At { file: MAIN.to_owned(), line }
}

#[test]
fn every_known_layout_is_raised_and_given_back_byte_for_byte() {
    let all = layouts::all();
    assert!(all.len() >= 60);
    for layout in all {
        let (name, files) = (layout.name, layout.files("/etc/keepalived"));
        let read = parse_files(&files).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(read.editable(layout.raise[0]).unwrap().priority, layout.priority, "{name}");
        let raised = raised(&files, &layout.wanted(177)).unwrap_or_else(|why| panic!("{name}: {why}"));
        let read = parse_files(&raised).unwrap();
        for wanted in &layout.raise {
            let instance = read.editable(wanted).unwrap();
            assert_eq!(instance.priority, Some(177), "{name}: the override must be the last priority");
            assert!(!instance.nopreempt && instance.preempt_delay_millis == 0, "{name}");
        }
        assert_eq!(overrides(&raised), layout.wanted(177), "{name}");
        assert_eq!(cleared(&raised).unwrap(), files, "{name}");
        assert_eq!(raise_files(&raised, &layout.wanted(177)).unwrap(), BTreeMap::new(), "{name}: twice");
        let lower = super::edit::with(&raised, raise_files(&raised, &layout.wanted(3)).unwrap());
        assert_eq!(cleared(&lower).unwrap(), files, "{name}: replaced");
        assert_eq!(raise_files(&raised, &BTreeMap::new()).unwrap(), clear_files(&raised).unwrap(), "{name}: none");
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
    assert_eq!(config.groups[0].name, "G");
    assert_eq!(config.groups[0].members, ["A", "B", "C"]);
    let [instance] = &config.instances[..] else { panic!("{config:?}") };
    assert_eq!((instance.interface.as_deref(), instance.state.as_deref()), (Some("eth0"), Some("BACKUP")));
    assert_eq!((instance.virtual_router_id, instance.priority, instance.version), (Some(51), Some(110), 3));
    assert_eq!((instance.advert_millis, instance.preempt_delay_millis, instance.nopreempt), (Some(300), 5000, true));
    let script = Track { kind: TrackKind::Script, name: "chk".to_owned(), weight: Some(20), reverse: false };
    assert_eq!(instance.tracks, [script]);
    assert!(instance.holds("10.78.0.100".parse().unwrap()) && instance.holds("fd00::100".parse().unwrap()));
    assert!(text[instance.close..].starts_with("}\n") && instance.close + 2 == text.len());
}

#[test]
fn what_cannot_be_read_as_keepalived_reads_it_is_refused_by_name() {
    let name = || "VI_1".to_owned();
    let block = |line, word: &str| Refused::Block { at: at(line), word: word.to_owned() };
    let twice = |lines: [usize; 2]| Refused::Found { name: name(), at: lines.map(at).to_vec() };
    let include = |line| Refused::Include { at: at(line) };
    let definition = |line, name: &str| Refused::Definition { at: at(line), name: name.to_owned() };
    let undefined = |line, name: &str| Refused::Undefined { at: at(line), name: name.to_owned() };
    let cases: [(&str, Refused); 55] = [
        ("vrrp_instance VI_1 { priority 1 \\ }\n", Refused::Quotes { at: at(1) }),
        ("", Refused::NotFound { name: name(), files: vec![MAIN.to_owned()] }),
        ("include x.conf\n", Refused::IncludeNotFollowed { at: at(1), pattern: "x.conf".to_owned() }),
        ("vrrp_instance VI_1 {\n}\nvrrp_instance VI_1 {\n}\n", twice([1, 3])),
        ("include \"x.conf\"\n", include(1)),
        ("include x.conf y.conf\n", include(1)),
        ("$D=conf.d\ninclude $D/x.conf\n", include(2)),
        ("@main include x.conf\n", include(1)),
        ("vrrp_instance VI_1 { include prio.conf\n}\n", include(1)),
        ("$I=include x.conf\n$I\n", include(2)),
        ("@a vrrp_instance VI_1 {\n}\n", Refused::Condition { at: at(1) }),
        ("@a vrrp_instance VI_1\n{\n}\n", Refused::Condition { at: at(1) }),
        ("vrrp_instance VI_1 {\n @a virtual_ipaddress { 1.2.3.4 }\n}\n", Refused::Condition { at: at(2) }),
        ("vrrp_instance VI_1 { @a priority 3 }\n", Refused::Condition { at: at(1) }),
        ("$X= \\\n priority 1\nvrrp_instance VI_1 {\n}\n", Refused::MultiLine { at: at(1) }),
        ("vrrp_instance VI_1 {\n priority 1 # C:\\\n}\n", Refused::MultiLine { at: at(2) }),
        ("vrrp_instance VI_1 {\n ~SEQ(i,1,3) x\n}\n", Refused::Sequence { at: at(2) }),
        ("vrrp_instance VI_1 {\n ~LST(i,1,3) x\n}\n", Refused::Sequence { at: at(2) }),
        ("$X=a {\nvrrp_instance VI_1 {\n}\n", definition(1, "X")),
        ("$X=a\"b\nvrrp_instance VI_1 {\n}\n", Refused::Quotes { at: at(1) }),
        ("$X=a\\#b\nvrrp_instance VI_1 {\n auth_pass $X }\n", Refused::Quotes { at: at(1) }),
        ("vrrp_instance VI_1 { $X=5 }\n", definition(1, "X")),
        ("$X=$Y\n$Y=$X\nvrrp_instance VI_1 {\n priority $X\n}\n", Refused::Unreadable { at: at(4) }),
        ("vrrp_instance VI_1 {\n priority ${PRIO}\n}\n", undefined(2, "PRIO")),
        ("vrrp_instance VI_1 {\n priority ${1}\n}\n", undefined(2, "1")),
        ("vrrp_instance VI_1 {\n priority ${_HASH}\n}\n", Refused::Quotes { at: at(2) }),
        ("vrrp_instance VI_1 {\n ${_ENV KEYWORD} 5\n}\n", definition(2, "… 5")),
        ("vrrp_instance VI_$N {\n}\n", Refused::Name { at: at(1) }),
        ("vrrp_instance VI_1 extra {\n}\n", Refused::Name { at: at(1) }),
        ("vrrp_instance {\n}\n", Refused::Name { at: at(1) }),
        ("vrrp_instance VI_1 {\n notify \"x\n}\n", Refused::Quotes { at: at(2) }),
        ("vrrp_instance VI_1 {\n notify \"x\\\"\"\n}\n", Refused::Quotes { at: at(2) }),
        ("vrrp_instance VI_1 {\n notify '}'\n}\n", Refused::Quotes { at: at(2) }),
        ("vrrp_instance VI_1 {\n notify x\\#y }\n", Refused::Quotes { at: at(2) }),
        ("vrrp_instance VI_1 {\n \\# a comment?\n}\n", Refused::Quotes { at: at(2) }),
        ("vrrp_instance VI_1 {\n priority 1\n", Refused::Unbalanced { at: at(1) }),
        ("vrrp_instance VI_1 {\n}\n}\n", Refused::Unbalanced { at: at(3) }),
        ("{\n}\n", Refused::Unbalanced { at: at(1) }),
        ("vrrp_instance VI_1 {\n}\n{\n}\n", Refused::Unbalanced { at: at(3) }),
        ("vrrp_instance VI_1 {\n new_thing {\n x\n }\n priority 1\n}\n", block(2, "new_thing")),
        ("vrrp_instance VI_1 {\n state BACKUP { }\n}\n", block(2, "state")),
        ("vrrp_instance VI_1 {\n virtual_ipaddress\n priority 1\n}\n", block(2, "virtual_ipaddress")),
        ("vrrp_instance VI_1 {\n virtual_ipaddress\n}\n", block(2, "virtual_ipaddress")),
        ("vrrp_instance VI_1 {\n virtual_ipaddress { a { b } }\n}\n", block(2, "a")),
        ("vrrp_instance VI_0\nvrrp_instance VI_1 {\n}\n", block(1, "vrrp_instance")),
        ("vrrp_instance VI_1\n", block(1, "vrrp_instance")),
        ("vrrp_sync_group G {\n members { VI_1 }\n}\n", block(2, "members")),
        ("vrrp_script chk {\n script { x }\n}\n", block(2, "script")),
        ("track_file t {\n file { x }\n}\n", block(2, "file")),
        ("global_defs {\n vrrp_instance VI_1 {\n }\n}\n", block(2, "vrrp_instance")),
        ("unheard_of {\n vrrp_instance VI_1 {\n }\n}\n", block(2, "vrrp_instance")),
        ("vrrp_instance VI_1 {\n priority 1\u{1}\n}\n", Refused::Unreadable { at: at(2) }),
        ("vrrp_instance VI_1 {\n priority 1\rx\n}\n", Refused::Unreadable { at: at(2) }),
        ("\u{feff}vrrp_instance VI_1 {\n}\n", Refused::NotFound { name: name(), files: vec![MAIN.to_owned()] }),
        ("vrrp_instance VI_1 {\n  # END rollup\n}\n", Refused::HandEdited { at: at(2) }),
    ];
    for (text, why) in cases {
        assert_eq!(raise(text, "VI_1", 120), Err(why), "{text:?}");
    }
}

/// Files below `/k`, the first the main one.
fn several(texts: &[(&str, &str)]) -> Files {
    let path = |path: &str| format!("/k/{path}");
    let all = texts.iter().map(|(name, text)| (path(name), (*text).to_owned()));
    layouts::follow(Files { main: path(texts[0].0), texts: all.collect(), ..Files::default() })
}

#[test]
fn what_cannot_be_read_safely_over_several_files_is_refused_with_file_and_line() {
    let at = |file: &str, line| At { file: format!("/k/{file}"), line };
    let name = || "V".to_owned();
    const V: &str = "vrrp_instance V {\n}\n";
    type Texts<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Texts<'_>, Refused, &str); 11] = [
        (
            &[("m", "\ninclude a\n"), ("a", "include m")],
            Refused::IncludeLoop { at: at("a", 1), file: "/k/m".to_owned() },
            "/k/a:1: /k/m includes itself",
        ),
        (
            &[("m", "include a\ninclude a\n"), ("a", V)],
            Refused::IncludedTwice { name: name(), at: at("a", 1), times: 2 },
            "/k/a:1: `vrrp_instance V` is in a file that is included 2 times",
        ),
        (
            &[("m", "include *.conf\n"), ("a.conf", V), ("a.bak.conf", V)],
            Refused::Found { name: name(), at: vec![at("a.bak.conf", 1), at("a.conf", 1)] },
            "`vrrp_instance V` is defined 2 times: /k/a.bak.conf:1, /k/a.conf:1",
        ),
        (
            &[("m", "include a\n\n}\n"), ("a", "\nvrrp_instance V {\n")],
            Refused::Unbalanced { at: at("a", 2) },
            "/k/a:2: braces do not match",
        ),
        (
            &[("m", "vrrp_instance V {\ninclude a\n"), ("a", "}\n")],
            Refused::Unbalanced { at: at("a", 1) },
            "/k/a:1: braces do not match",
        ),
        (
            &[("m", "include a\n{\n}"), ("a", "vrrp_instance V")],
            Refused::Block { at: at("a", 1), word: "vrrp_instance".to_owned() },
            "/k/a:1: whether `vrrp_instance` has a block here is not as expected, so where the block around it ends is not certain",
        ),
        (
            &[("m", "vrrp_instance V\ninclude a\n"), ("a", "{\n}")],
            Refused::Unbalanced { at: at("a", 1) },
            "/k/a:1: braces do not match",
        ),
        (
            &[("m", "include a\nvrrp_instance V {\npriority ${P}\n}\ninclude b\n"), ("a", ""), ("b", "$P=5\n")],
            Refused::Undefined { at: at("m", 3), name: "P".to_owned() },
            "/k/m:3: `${P}` is not defined above, so keepalived takes its braces for a block",
        ),
        (
            &[("m", "include a\n"), ("a", "vrrp_instance V {\n notify \"\n}\n")],
            Refused::Quotes { at: at("a", 2) },
            "/k/a:2: quotes or escapes that cannot be read safely",
        ),
        (
            &[("m", "include a\n"), ("a", "\n# END rollup\n")],
            Refused::HandEdited { at: at("a", 2) },
            "/k/a:2: the block between `# BEGIN rollup` and `# END rollup` was changed by hand",
        ),
        (
            &[("m", "include a\n"), ("a", "vrrp_instance W {\n}\n")],
            Refused::NotFound { name: name(), files: vec!["/k/m".to_owned(), "/k/a".to_owned()] },
            "there is no `vrrp_instance V` in /k/m, /k/a",
        ),
    ];
    for (texts, why, words) in cases {
        assert_eq!(why.to_string(), words);
        assert_eq!(raise_files(&several(texts), &[(name(), 120)].into()), Err(why), "{texts:?}");
    }
}

#[test]
fn files_that_include_each_other_many_times_over_end() {
    let texts: Vec<(String, String)> =
        (0..20).map(|n| (format!("{n}"), format!("include {0}\ninclude {0}\n", n + 1))).collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(matches!(parse_files(&several(&texts)), Err(Refused::IncludeNotFollowed { .. })));
}

#[test]
fn an_unknown_config_id_leaves_values_open_but_not_blocks() {
    let text = "vrrp_instance V {\n@a priority 5\n@b nopreempt\n@a preempt\n@b preempt_delay 7\n}\n";
    let instance = &parse(text).unwrap().instances[0];
    assert_eq!((instance.priority, instance.nopreempt, instance.preempt_delay_millis), (None, true, 7000));
    let of = |id: &str| parse_files(&Files { id: Some(id.to_owned()), ..single(text) }).unwrap().instances[0].clone();
    let said = |instance: Instance| (instance.priority, instance.nopreempt, instance.preempt_delay_millis);
    assert_eq!((said(of("a")), said(of("b"))), ((Some(5), false, 0), (None, true, 7000)));
    let files = Files { id: Some("a".to_owned()), ..single("@a vrrp_instance V { }") };
    assert_eq!(parse_files(&files), Err(Refused::Condition { at: at(1) }));
}

#[test]
fn groups_trackers_and_members_are_read_over_all_files() {
    let layout = layouts::all().into_iter().find(|layout| layout.name == "a sync group that tracks").unwrap();
    let config = parse_files(&layout.files("/k")).unwrap();
    let track = |kind, name: &str, weight| Track { kind, name: name.to_owned(), weight, reverse: false };
    let [group] = &config.groups[..] else { panic!("{config:?}") };
    assert_eq!((group.name.as_str(), &group.members[..]), ("G", &["VI_1".to_owned(), "VI_2".to_owned()][..]));
    let tracks = [track(TrackKind::File, "rollup", Some(1)), track(TrackKind::Script, "chk", Some(-5))];
    assert_eq!((&group.tracks[..], group.member_weights), (&tracks[..], true));
    let names = |name| config.members(name).into_iter().map(|instance| instance.name.as_str()).collect::<Vec<_>>();
    assert_eq!((names("VI_1"), names("VI_2"), names("VI_3")), (vec!["VI_1", "VI_2"], vec!["VI_1", "VI_2"], vec![]));
    let [tracker] = &config.trackers[..] else { panic!("{config:?}") };
    assert_eq!((tracker.file.as_deref(), tracker.weight, tracker.reverse), (Some("/tmp/rollup.prio"), Some(1), false));
}

#[test]
fn a_priority_with_another_meaning_is_refused() {
    for priority in [0, 255] {
        assert_eq!(raise(PLAIN, "VI_1", priority), Err(Refused::Priority(priority)));
    }
}

#[test]
fn an_override_changed_by_hand_is_left_to_people() {
    let raised = raise(PLAIN, "VI_1", 120).unwrap();
    let begin = raised.lines().position(|line| line.trim() == "# BEGIN rollup").unwrap() + 1;
    for (from, to) in [("  preempt\n", ""), ("priority 120", "priority high"), ("  # END rollup\n", "")] {
        assert_eq!(clear(&raised.replacen(from, to, 1)), Err(Refused::HandEdited { at: at(begin) }), "{from:?}");
    }
    assert!(matches!(clear(&raised.replacen("  # BEGIN rollup\n", "", 1)), Err(Refused::HandEdited { .. })));
}

#[test]
fn an_override_belongs_to_the_instance_it_stands_in() {
    let text = raise(THREE, "VI_1", 120).unwrap();
    assert_eq!(["A", "VI_1", "B"].map(|name| override_of(&text, name)), [None, Some(120), None]);
}

#[test]
fn a_priority_that_the_text_does_not_settle_is_not_guessed() {
    let of = |text: &str| parse(text).unwrap().instances[0].priority;
    assert_eq!(of("vrrp_instance V {\n priority $P\n}\n"), None);
    assert_eq!(of("vrrp_instance V {\n priority 10\n @x priority 20\n}\n"), None);
    assert_eq!(of("vrrp_instance V {\n priority 10\n priority 20\n}\n"), Some(20));
}

proptest! {
    #[test]
    fn taking_the_overrides_out_restores_any_files_byte_for_byte((files, wanted) in random::edits()) {
        let raised = raised(&files, &wanted).map_err(|why| TestCaseError::fail(format!("{why}: {files:#?}")))?;
        prop_assert_eq!(overrides(&raised), wanted);
        prop_assert_eq!(cleared(&raised).unwrap(), files);
    }

    #[test]
    fn any_text_is_read_or_refused_but_never_changed_beyond_recognition(text in "[a-z{}\"'#!$@~\\\\ \r\n]{0,80}") {
        if let Ok(raised) = raise(&text, "VI_1", 120) {
            prop_assert_eq!(clear(&raised).unwrap(), text);
        }
    }

    #[test]
    fn any_lines_in_any_order_are_read_or_refused(lines in proptest::collection::vec(line(), 0..12)) {
        let text = lines.concat();
        if let Ok(raised) = raise(&text, "VI_1", 120) {
            prop_assert_eq!(override_of(&raised, "VI_1"), Some(120));
            prop_assert_eq!(clear(&raised).unwrap(), text);
        }
    }
}

/// Lines that mean something, or nearly.
fn line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "vrrp_instance VI_1 {\n",
        "vrrp_instance VI_1\n",
        "vrrp_instance ${N} {",
        "{\n",
        "{",
        "}\n",
        "}",
        "priority 5\n",
        "priority ${P} ",
        "$P=5\n",
        "$P=${P}\n",
        "$N=\"VI_1\"\n",
        "@a ",
        "@^a ",
        "include ",
        "x\n",
        "\n",
        "\"",
        "'",
        "# ",
        "\\#",
        "\\",
        "virtual_ipaddress {",
        "global_defs {\n",
        "  # BEGIN rollup\n  priority 9\n  preempt\n  preempt_delay 0\n  # END rollup\n",
        "  # BEGIN rollup inline\n",
    ])
}
