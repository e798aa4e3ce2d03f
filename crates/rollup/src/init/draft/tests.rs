//! Both captured pairs, and pairs made from them.

use rollup_model::{
    Inventory,
    inventory::{self, Ssh, SyncSource},
};

use super::*;
use crate::init::{
    parse::parse,
    render::{Written, render},
};

const LAB: [&str; 2] = [include_str!("../fixtures/node-a.txt"), include_str!("../fixtures/node-b.txt")];
const AWKWARD: [&str; 2] = [include_str!("../fixtures/awkward-a.txt"), include_str!("../fixtures/awkward-b.txt")];

fn drafted(texts: [&str; 2]) -> (Draft, Written) {
    let ssh = Ssh { user: Some("ops".to_owned()), ..Ssh::default() };
    let asked = Asked { name: None, ssh, hosts: ["10.78.0.11".to_owned(), "10.78.0.12".to_owned()] };
    let seen = texts.map(|text| parse(text).unwrap());
    let draft = draft(&asked, [&seen[0], &seen[1]]);
    let written = render(&draft, "by a test").unwrap();
    (draft, written)
}

fn loaded(written: &Written) -> Inventory {
    let page = |problems: Vec<rollup_model::Diagnostic>| {
        problems
            .iter()
            .map(|problem| problem.render("rollup.toml", &written.text, false))
            .collect::<Vec<_>>()
            .join("\n")
    };
    inventory::load(&written.text).unwrap_or_else(|problems| panic!("{}", page(problems)))
}

/// The lab's pair with some text of both nodes replaced.
fn lab_with(replaced: &[(&str, &str)]) -> [String; 2] {
    LAB.map(|text| replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)))
}

#[test]
fn a_whole_pair_is_an_inventory_that_loads_at_once() {
    let (draft, written) = drafted(LAB);
    let inventory = loaded(&written);
    assert_eq!(draft.differences, Vec::<String>::new());
    assert_eq!(inventory.cluster.name, "orders");
    assert_eq!(inventory.node_names().map(ToString::to_string).collect::<Vec<_>>(), ["node-a", "node-b"]);
    assert_eq!(inventory.vip.address.to_string(), "10.78.0.100");
    assert_eq!(inventory.keepalived.instance.as_deref(), Some("VI_1"));
    let database = &inventory.database;
    assert_eq!((database.name.as_str(), database.owner.as_deref(), database.port), ("orders", Some("orders"), 5432));
    assert_eq!(database.bin_dir.as_deref(), Some("/usr/lib/postgresql/15/bin"));
    assert_eq!(database.replication_user, "replicator");
    assert_eq!(inventory.service.units, ["orders-api.service", "orders-worker.service"]);
    assert_eq!(inventory.service.ports, [8080, 8081]);
    assert_eq!(
        (&inventory.service.code[..], &inventory.service.config[..]),
        (&["/opt/orders".to_owned()][..], &["/etc/orders".to_owned()][..])
    );
    assert_eq!(inventory.service.root_key.as_deref(), Some("/etc/orders/root.key"));
    let sync = inventory.sync.unwrap();
    assert_eq!((sync.unit.as_str(), sync.timer.as_str()), ("config-sync.service", "config-sync.timer"));
    assert_eq!((&sync.paths[..], sync.source), (&["/etc/orders/shared".to_owned()][..], SyncSource::Primary));
}

#[test]
fn each_question_stands_directly_above_its_key_at_the_line_that_is_told() {
    for texts in [LAB, AWKWARD] {
        let (_, written) = drafted(texts);
        let lines: Vec<_> = written.text.lines().collect();
        assert!(!written.questions.is_empty());
        for question in &written.questions {
            assert!(lines[question.line - 1].starts_with("# QUESTION: "), "{question:?}");
            let key = lines[question.line..].iter().find(|line| !line.starts_with("#   ")).unwrap();
            assert!(key.contains(" = ") || key.starts_with("# ["), "{question:?} above {key}");
            let name = question.key.rsplit('.').next().unwrap();
            assert!(key.contains(name), "{question:?} above {key}");
            assert_eq!(key.contains("\"?\""), question.blocking, "{key}");
        }
        assert_eq!(written.text.matches("# QUESTION: ").count(), written.questions.len());
    }
}

#[test]
fn an_awkward_pair_is_refused_at_its_open_questions_and_loads_once_they_are_answered() {
    let (_, written) = drafted(AWKWARD);
    let problems = inventory::load(&written.text).unwrap_err();
    let page = problems.iter().map(|problem| problem.render("rollup.toml", &written.text, false)).collect::<Vec<_>>();
    let open: Vec<_> = written.questions.iter().filter(|question| question.blocking).collect();
    assert_eq!(open.len(), 2, "VIP and database unit: {open:?}");
    assert_eq!(page.len(), open.len());
    let mut text = written.text.clone();
    for (answer, question) in ["192.168.4.30", "gauss.service"].iter().zip(&open) {
        let above = text.lines().take(question.line).map(|line| line.len() + 1).sum::<usize>();
        let at = above + text[above..].find("\"?\"").unwrap();
        text.replace_range(at..at + 3, &format!("\"{answer}\""));
    }
    let inventory = loaded(&Written { text, questions: Vec::new() });
    assert_eq!(inventory.service.units, ["billing-engine.service", "billing-web.service"], "ordered by After=");
    assert_eq!(inventory.service.ports, [443, 9000], "a port that the system chose is not one of the service");
    assert_eq!(inventory.service.root_key, None, "no key is guessed");
    assert_eq!(inventory.service.code, ["/opt/acme", "/usr/local/bin/billing"]);
    assert_eq!((inventory.database.os_user.as_str(), inventory.database.port), ("omm", 15400));
    assert_eq!(inventory.database.name, "archive", "the largest");
    assert_eq!(inventory.sync, None, "a job in a crontab cannot be held back");
    assert_eq!(inventory.meter, None);
}

#[test]
fn what_is_odd_about_a_pair_is_said() {
    let (draft, written) = drafted(AWKWARD);
    for text in [
        "db01 has no keepalived",
        "both databases are primaries: they share no data",
        "the data directory is /data/gauss/dn1 on db01 and /data/gauss/dn2 on db02",
        "the database of db02 did not answer: gsql: could not connect to server",
        "billing-report.service is enabled on db01 alone; db02 does not start it at boot",
        "billing-engine.service is enabled but does not run on db02",
        "/opt/acme/conf/license.key is on db01 alone",
        "port 41873 listens on db01 alone and is not taken",
    ] {
        assert!(draft.differences.iter().any(|difference| difference == text), "{text} in {:#?}", draft.differences);
        let comment = written.text.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        assert!(comment.replace(" #   ", " ").contains(text), "{text} in {comment}");
    }
    let asked = |part: &str| written.questions.iter().any(|question| question.text.contains(part));
    for part in [
        "The nodes have 192.168.4.21, 192.168.4.30 and 192.168.4.22.",
        "/var/spool/cron/root:3 on db01: rsync /opt/acme/conf/ db02:/opt/acme/conf/.",
        "Found archive (11.1 GiB, owner billing) and billing (8.3 GiB, owner billing).",
        "Found /opt/acme/conf/license.key and /opt/acme/conf/tls.key.",
        "Does billing-report.service belong to the service?",
        "232.8 GiB in /data on db01",
    ] {
        assert!(asked(part), "{part} in {:#?}", written.questions);
    }
}

#[test]
fn a_split_brain_is_said_and_no_owner_is_made_up() {
    let both = LAB[1]
        .replace("address\teth0\t10.78.0.12\t24\n", "address\teth0\t10.78.0.12\t24\naddress\teth0\t10.78.0.100\t24\n");
    let (draft, written) = drafted([LAB[0], &both]);
    assert_eq!(draft.differences, ["both nodes have the VIP 10.78.0.100: split brain"]);
    assert!(written.questions.iter().any(|question| question.text.starts_with("Which node copies to the other")));
    let nobody = LAB[0].replace("address\teth0\t10.78.0.100\t24\n", "");
    let (draft, _) = drafted([&nobody, LAB[1]]);
    assert_eq!(draft.differences, ["no node has the VIP 10.78.0.100"]);
}

#[test]
fn a_vip_and_a_primary_on_different_nodes_are_said() {
    let texts = lab_with(&[("role\t46\tprimary", "role\t46\tstandby"), ("role\t51\tstandby", "role\t51\tprimary")]);
    let (draft, written) = drafted([&texts[0], &texts[1]]);
    assert!(draft.differences.contains(&"the VIP is on node-a, the database's primary on node-b".to_owned()));
    assert_eq!(loaded(&written).database.switchover, inventory::Switchover::Never);
}

#[test]
fn a_path_behind_a_variable_is_a_question_and_a_job_that_fetches_is_no_sync() {
    let texts = lab_with(&[("config-sync.service\t/etc/orders/shared/", "config-sync.service\t$FROM")]);
    let (_, written) = drafted([&texts[0], &texts[1]]);
    let open: Vec<_> = written.questions.iter().filter(|question| question.blocking).collect();
    assert!(matches!(open[..], [question] if question.text.ends_with("It calls rsync with $FROM.")), "{open:?}");
    let fetches = "rsync\tunit\tconfig-sync.service\troot@$PEER:/etc/orders/shared/\t/etc/orders/shared/";
    let pushes = "rsync\tunit\tconfig-sync.service\t/etc/orders/shared/\troot@$PEER:/etc/orders/shared/";
    let texts = lab_with(&[(pushes, fetches)]);
    let (_, written) = drafted([&texts[0], &texts[1]]);
    assert_eq!(loaded(&written).sync, None);
    assert!(written.questions.iter().any(|question| question.text.contains("fetches from the other node")));
}

#[test]
fn hosts_with_one_name_or_a_word_of_playbooks_get_names_of_their_own() {
    for name in ["node-a", "primary"] {
        let texts = [
            LAB[0].replace("node\tnode-a", &format!("node\t{name}")),
            LAB[1].replace("node\tnode-b", &format!("node\t{name}")),
        ];
        let (draft, written) = drafted([&texts[0], &texts[1]]);
        assert_eq!(loaded(&written).node_names().map(ToString::to_string).collect::<Vec<_>>(), ["node-a", "node-b"]);
        assert!(draft.differences[0].contains("which cannot name them here"), "{:?}", draft.differences);
    }
}

#[test]
fn an_address_the_peer_uses_is_written_where_it_is_another_one() {
    let texts = [
        LAB[0].replace("sends\t46\treplicator\t10.78.0.12", "sends\t46\treplicator\t172.16.0.2"),
        LAB[1].replace("address\teth0\t10.78.0.12\t24", "address\teth0\t10.78.0.12\t24\naddress\teth1\t172.16.0.2\t24"),
    ];
    let (_, written) = drafted([&texts[0], &texts[1]]);
    let peers: Vec<_> = loaded(&written).nodes.into_iter().map(|node| node.peer_address).collect();
    assert_eq!(peers, [None, Some("172.16.0.2".to_owned())]);
}

#[test]
fn odd_characters_in_what_a_node_says_stay_inside_their_values() {
    let texts = lab_with(&[("/opt/orders", "/opt/or\\\"de'rs # [x]"), ("VI_1", "VI\u{1b}[31m\"1")]);
    let (_, written) = drafted([&texts[0], &texts[1]]);
    let inventory = loaded(&written);
    assert_eq!(inventory.service.code, ["/opt/or\\\"de'rs # [x]"]);
    assert_eq!(inventory.keepalived.instance.as_deref(), Some("VI\u{1b}[31m\"1"));
    assert!(!written.text.contains('\u{1b}'));
}

#[test]
fn no_line_is_wider_than_a_terminal_unless_a_value_is() {
    for texts in [LAB, AWKWARD] {
        for line in drafted(texts).1.text.lines().filter(|line| line.chars().count() > 80) {
            assert!(!line.contains("  # ") && line.contains(" = "), "{line}");
        }
    }
}
