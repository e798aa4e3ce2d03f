//! What is read from real answers.

use super::*;

#[test]
fn facts_are_read_from_what_a_real_node_answers() {
    let owner = facts(OWNER);
    assert!(owner.active && owner.vip_here && owner.refusal.is_none(), "{owner:?}");
    assert_eq!((owner.version.as_deref(), owner.test_status), (Some("2.2.7"), Some(0)));
    assert_eq!((owner.instance.as_deref(), owner.vip_interface.as_deref()), (Some("VI_1"), Some("eth0")));
    assert_eq!(owner.summary(), "MASTER, VIP on eth0, priority 110");
    let backup = facts(BACKUP);
    assert_eq!(backup.summary(), "BACKUP, no VIP, priority 100");
    assert!(backup.running.unwrap().adverts_received > Some(0));
    assert_eq!(facts(BACKUP_NOPREEMPT).summary(), "BACKUP, no VIP, priority 100, nopreempt");
    let raised = facts(OWNER_AFTER);
    assert_eq!(raised.override_priority, Some(120));
    assert_eq!(raised.configured.as_ref().unwrap().priority, Some(100), "what the operator configured");
    assert_eq!(raised.summary(), "MASTER, VIP on eth0, priority 120, override 120 by rollup");
}

#[test]
fn no_password_reaches_the_facts_or_even_the_answer_of_the_node() {
    for text in [OWNER, BACKUP, OWNER_AFTER] {
        let hex = rollup_model::plan::hex(b"orders51");
        assert!(!text.contains("orders51") && !text.contains(&hex));
        assert!(!serde_json::to_string(&facts(text)).unwrap().contains("orders51"));
    }
}

#[test]
fn a_cut_off_answer_is_an_error_and_a_silent_daemon_is_a_fact() {
    let cut = OWNER.replace("\nend\n", "\n");
    assert!(KeepalivedSubject.parse(&cut, &inventory()).is_err());
    let silent: String = OWNER
        .lines()
        .map(|line| if line.starts_with("dump=") { "dump=\n".to_owned() } else { format!("{line}\n") })
        .collect();
    let silent = facts(&silent);
    assert_eq!((silent.running.as_ref(), silent.instance.as_deref()), (None, Some("VI_1")));
    assert_eq!(silent.summary(), "state unknown, VIP on eth0");
}

#[test]
fn the_newer_form_of_the_dump_is_read_too() {
    let list = OWNER.lines().find_map(|line| line.strip_prefix("dump=")).unwrap();
    let object = format!("{{\"vrrp\":{list}}}");
    assert_eq!(dump::parse(&object), dump::parse(list));
    assert!(dump::parse(list).is_some());
    assert_eq!((dump::parse("{}"), dump::parse("[{}]"), dump::parse("Usage:")), (None, None, None));
}

#[test]
fn a_daemon_that_reads_another_file_is_not_edited() {
    let other = OWNER.replace("reads=/etc/keepalived/keepalived.conf", "reads=/etc/ha.conf");
    let refusal = facts(&other).refusal.unwrap();
    assert_eq!(refusal, "the daemon reads /etc/ha.conf, not /etc/keepalived/keepalived.conf");
}

#[test]
fn what_the_daemon_tracks_is_read_from_its_account_in_words() {
    let tracked = facts(include_str!("../fixtures/backup-tracker.txt"));
    let tracker = tracked.tracker.as_ref().unwrap();
    assert_eq!((tracker.file.as_str(), tracker.value, tracker.volatile), ("/run/rollup.prio", 0, true));
    assert_eq!(tracker.weights, BTreeMap::from([("VI_1".to_owned(), 1)]));
    assert_eq!((tracked.traces(), tracked.link, tracked.refusal), (false, None, None));
    let mut inventory = inventory();
    inventory.keepalived.track_link = Some("rollup0".to_owned());
    let linked = KeepalivedSubject.parse(include_str!("../fixtures/backup-tracker.txt"), &inventory).unwrap();
    let link = linked.link.unwrap();
    assert!(link.up && !link.in_use && link.weights.is_empty(), "up, and nothing tracks it: {link:?}");
}

#[test]
fn without_a_json_dump_the_account_in_words_says_the_same() {
    let text = include_str!("../fixtures/backup-tracker.txt");
    let without: String =
        text.lines().filter(|line| !line.starts_with("dump=")).flat_map(|line| [line, "\n"]).collect();
    let (json, words) = (facts(text).running.unwrap(), facts(&without).running.unwrap());
    let counted = Running { adverts_received: None, adverts_sent: None, ..json };
    assert_eq!(words, counted);
}

#[test]
fn groups_links_and_short_intervals_are_read_from_words() {
    let account = dump::text::parse(include_str!("../fixtures/words-group.txt")).unwrap();
    let [one, two] = &account.instances[..] else { panic!("{account:?}") };
    assert_eq!((one.state, one.version, one.advert_interval), (State::Master, 3, Span::millis(300)));
    assert_eq!((one.nopreempt, two.nopreempt, two.virtual_router_id), (true, false, Some(52)));
    assert_eq!((one.addresses[0].as_str(), one.addresses_set), ("10.78.0.100", true));
    assert_eq!(account.groups["VI_1"], "G");
    let both = |weight| BTreeMap::from([("VI_1".to_owned(), weight), ("VI_2".to_owned(), weight)]);
    assert_eq!((&account.files["rollup"].weights, &account.links["rollup0"]), (&both(2), &both(0)));
    assert_eq!((dump::text::parse(""), dump::text::parse("Usage: keepalived")), (None, None));
}

#[test]
fn an_older_account_in_words_is_read_too() {
    let old = "------< VRRP Topology >------\n VRRP Instance = VI_1\n   Using VRRPv2\n   State = BACKUP\n   \
               Listening device = eth0\n   Virtual Router ID = 51\n   Priority = 100\n   Advert interval = 1 sec\n   \
               Preempt = disabled\n   Preempt delay = 5 secs\n   Virtual IP = 1\n     10.0.0.1/24 dev eth0 scope global\n";
    let account = dump::text::parse(old).unwrap();
    let running = &account.instances[0];
    assert_eq!((running.base_priority, running.effective_priority, running.version), (100, 100, 2));
    assert_eq!((running.nopreempt, running.preempt_delay), (true, Span::secs(5)));
    assert_eq!((running.interface.as_deref(), running.addresses[0].as_str()), (Some("eth0"), "10.0.0.1"));
}

#[test]
fn what_our_own_scripts_left_is_read_and_damage_is_an_error() {
    let with = |line: &str| OWNER.replace("end\n", &format!("{line}\nend\n"));
    let pushed = r#"pushed={"run":"20260301-100000-ab12","by":"link","what":"rollup0"}"#;
    let found = facts(&with(pushed));
    assert!(found.traces() && found.summary().ends_with("not let go: rollup0 is down, run 20260301-100000-ab12"));
    // A push that is under way lets go by itself.
    assert_eq!(facts(&with(&format!("{pushed}\nbusy=yes"))).pushed, None);
    let edited = r#"edited={"run":"20260301-100000-ab12","files":[{"path":"/e/k.conf","before":"aa","after":"bb"}],"priorities":{"VI_1":100}}"#;
    assert_eq!(facts(&with(edited)).lost, ["/e/k.conf"]);
    assert!(facts(&with(&format!("{edited}\nkept=aa"))).lost.is_empty());
    let drained = r#"drained={"run":"20260301-100000-ab12","interface":"eth0","arp_ignore":0,"arp_announce":0}"#;
    assert_eq!(facts(&with(drained)).drained.unwrap().interface, "eth0");
    let damaged = with(r#"pushed={"run":"#);
    assert!(KeepalivedSubject.parse(&damaged, &inventory()).unwrap_err().to_string().contains("is damaged"));
}

#[test]
fn a_node_that_cannot_test_in_place_is_not_edited() {
    let without = facts(&OWNER.replace("unshare=yes", "unshare=no"));
    assert!(without.refusal.unwrap().contains("unshare"));
}

#[test]
fn included_files_are_read_as_the_node_resolved_them_and_anything_else_is_refused() {
    let hex = |text: &str| rollup_model::plan::hex(text.as_bytes());
    let instance = "vrrp_instance VI_1 {\n  virtual_router_id 51\n  include prio.conf\n  virtual_ipaddress {\n    10.79.0.100\n  }\n}\n";
    let main = "/etc/keepalived/keepalived.conf";
    let head: String =
        OWNER.lines().filter(|l| !l.starts_with("file=") && *l != "end").flat_map(|l| [l, "\n"]).collect();
    let files = format!(
        "file=aa\t{}\t{main}\nfile=bb\t{}\t/etc/keepalived/vrrp.d/one.conf\nfile=cc\t{}\t/etc/keepalived/vrrp.d/prio.conf\n",
        hex("include vrrp.d/o*.conf\n"),
        hex(instance),
        hex("priority 110\n")
    );
    let one = format!("include=1\tinclude\t{main}\tvrrp.d/o*.conf\t/etc/keepalived/vrrp.d/one.conf\n");
    let inside = "include=3\tinclude\t/etc/keepalived/vrrp.d/one.conf\tprio.conf\t/etc/keepalived/vrrp.d/prio.conf\n";
    let found = facts(&format!("{head}{files}{one}{inside}end\n"));
    assert_eq!((found.refusal.as_deref(), found.configured.unwrap().priority), (None, Some(110)));
    assert_eq!(found.files["/etc/keepalived/vrrp.d/prio.conf"], "cc");
    let unfollowed = facts(&format!("{head}{files}{one}end\n")).refusal.unwrap();
    assert!(unfollowed.contains("`include prio.conf` was not followed"), "{unfollowed}");
    let deep = facts(&format!("{head}{files}{one}{inside}deep=/etc/keepalived/x.conf\nend\n")).refusal.unwrap();
    assert!(deep.contains("more than ten deep"), "{deep}");
}

#[test]
fn what_would_end_the_daemon_at_its_next_reload_is_not_edited() {
    let fatal = facts(&OWNER.replace("test=0", "test=2")).refusal.unwrap();
    assert!(fatal.contains("`keepalived -t` ends with 2"), "{fatal}");
    for warnings in ["test=5", "test=6"] {
        assert_eq!(facts(&OWNER.replace("test=0", warnings)).refusal, None);
    }
    let gone = facts(&OWNER.replace("unshare=yes", "unshare=yes\ninterfaces=lo eth1 ")).refusal.unwrap();
    assert!(gone.contains("is on eth0, which is not there"), "{gone}");
    assert_eq!(facts(&OWNER.replace("unshare=yes", "unshare=yes\ninterfaces=lo eth0 ")).refusal, None);
}
