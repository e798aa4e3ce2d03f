//! Pure parsers of what the scripts print.

use anyhow::{Context, Result, bail};

use crate::{
    DatabaseFacts,
    facts::Login,
    shared::{control as read_control, plain},
};

/// Reads what `probe.sh` prints: lines of a key and its value.
pub(super) fn facts(text: &str) -> Result<DatabaseFacts> {
    let mut facts = DatabaseFacts {
        unit: String::new(),
        data_bytes: None,
        standby_signal: false,
        relaxed: None,
        leftovers: Vec::new(),
        control: None,
        server: None,
        silent: None,
        login_here: None,
        login_peer: None,
        history: None,
        gauss: None,
    };
    let mut control = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "unit" => facts.unit = value.to_owned(),
            "size-kb" => facts.data_bytes = value.parse::<u64>().ok().map(|kb| kb * 1024),
            "signal" => {
                facts.standby_signal = match value {
                    "yes" => true,
                    "no" => false,
                    _ => bail!("expected `signal yes` or `signal no`, found {line:?}"),
                }
            }
            "relaxed" => facts.relaxed = Some(value.to_owned()),
            "left" => facts.leftovers.push(value.to_owned()),
            "control" => control.push(value),
            "server" => facts.server = Some(serde_json::from_str(value).context("the server's answer")?),
            "silent" => facts.silent = Some(plain(value)),
            "history" => facts.history = Some(serde_json::from_str(value).context("the history of migrations")?),
            "login" => match value.split_once(' ') {
                Some(("here", said)) => facts.login_here = Some(login(said)),
                Some(("peer", said)) => facts.login_peer = Some(login(said)),
                _ => bail!("expected a login here or at the peer, found {line:?}"),
            },
            _ => bail!("unknown line {line:?}"),
        }
    }
    if control.is_empty() {
        bail!("expected what pg_controldata says of the data directory, found nothing");
    }
    facts.control = read_control(&control);
    Ok(facts)
}

fn login(said: &str) -> Login {
    if said.trim() == "ok" { Login::Works } else { Login::Fails(plain(said)) }
}

/// What psql said of a migration, with the file's name for its standard input.
pub(super) fn migration_error(name: &str, stderr: &str) -> Vec<String> {
    let lines = stderr.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("LOCATION:"));
    lines
        .map(|line| match line.strip_prefix("psql:<stdin>:") {
            Some(rest) => format!("{name}:{rest}"),
            None => line.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DatabaseRole, Lsn,
        facts::{Applied, AppliedKind},
        fixtures::{ABSENT, PRIMARY, SILENT, STANDBY, STOPPED},
        place::{Kind, Places, Unpacked},
        shared::places,
    };

    #[test]
    fn what_a_real_pair_says_is_read_db_1() {
        let primary = facts(PRIMARY).unwrap();
        assert_eq!(primary.summary(), "a primary at 0/3016000");
        assert_eq!(primary.data_bytes, Some(63_360 * 1024));
        let fails = Login::Fails("FATAL: role \"replicator\" is not permitted to log in".to_owned());
        assert_eq!((primary.login_here, primary.login_peer), (Some(Login::Works), Some(fails)));
        let server = primary.server.unwrap();
        assert_eq!((server.role, server.version.as_str()), (DatabaseRole::Primary, "15.20"));
        assert_eq!(server.walsenders[0].replay_lsn, Some(Lsn(0x0301_57A0)));

        let standby = facts(STANDBY).unwrap();
        assert_eq!(standby.summary(), "a standby at 0/30157A0, streaming");
        assert!(standby.is_streaming_standby() && standby.standby_signal);

        let stopped = facts(STOPPED).unwrap();
        assert_eq!(stopped.summary(), "a stopped server, `shut down in recovery` (unit inactive)");
        assert_eq!(stopped.control.unwrap().checkpoint, Lsn(0x0200_0060));
        let silent = facts(SILENT).unwrap();
        assert_eq!(silent.silent.as_deref(), Some("FATAL: database \"absent\" does not exist"));
        assert_eq!(facts(ABSENT).unwrap().summary(), "no server (unit inactive)");

        let row = r#"history [{"kind": "baseline", "name": "V1__x.sql", "phase": "expand", "version": "1", "checksum": "c"}]"#;
        let history = facts(&format!("{PRIMARY}{row}\n")).unwrap().history.unwrap();
        let [Applied { kind: AppliedKind::Baseline, .. }] = history.as_slice() else { panic!("{history:?}") };
    }

    #[test]
    fn what_lies_beside_the_data_is_read_and_unknown_text_is_an_error_rb_1() {
        let text = "data plain -\nnew primary 20260101-000000-ab\nold no\nscrap yes\n";
        let run = Some("20260101-000000-ab".to_owned());
        let new = Some(Unpacked { standby: false, run });
        assert_eq!(places(text).unwrap(), Places { kind: Kind::Plain, run: None, new, old: false, scrap: true });
        for (from, to) in [("plain", "odd"), ("primary", "odd"), ("yes", "maybe"), ("old no", ""), (" -", "")] {
            assert!(places(&text.replace(from, to)).is_err(), "{from}");
        }
    }

    #[test]
    fn facts_know_the_next_transaction_the_last_commit_and_who_brought_a_migration_in_rb_3() {
        let more = r#""next_xid": 771, "last_commit": "2026-11-20T09:15:00.123456Z", "timeline": 1"#;
        let text = format!("{}left /srv/db.rollup-old\n", PRIMARY.replace(r#""timeline": 1"#, more));
        let row = r#"[{"kind":"applied","name":"V1__x.sql","phase":"expand","version":"1","checksum":"c","run":"r"}]"#;
        let read = facts(&format!("{text}history {row}\n")).unwrap();
        assert_eq!(read.leftovers, ["/srv/db.rollup-old"]);
        assert_eq!(read.history.unwrap()[0].run.as_deref(), Some("r"));
        let server = read.server.unwrap();
        assert_eq!(server.next_xid, Some(771));
        assert_eq!(server.last_commit.unwrap().to_string(), "2026-11-20T09:15:00.123456Z");
    }

    #[test]
    fn unknown_text_is_an_error_and_never_a_guess_db_1() {
        let role = PRIMARY.replace("\"role\": \"primary\"", "\"role\": \"pending\"");
        for bad in ["", "bash: psql: not found", "unit active\n", "signal maybe\ncontrol x", &role] {
            assert!(facts(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_of_a_migration_is_told_in_the_words_of_its_file_upg_2() {
        let said =
            "psql:<stdin>:3: ERROR:  42703: column \"missing\" does not exist\nLINE 1: update x\nLOCATION:  a, b.c:1\n";
        assert_eq!(
            migration_error("V2__x.sql", said),
            ["V2__x.sql:3: ERROR:  42703: column \"missing\" does not exist", "LINE 1: update x"]
        );
    }
}
