use super::*;
use crate::{engine::engine_of, facts::AppliedKind, fixtures, opengauss::OpenGauss, postgresql::PostgreSql};
use rollup_model::release::{Migration, MigrationPhase};

fn sent<M: Migrations>(engine: &M, sql: &str, kind: AppliedKind) -> Vec<(&'static str, Vec<String>, String)> {
    let inventory = fixtures::inventory();
    let at = At { inventory: &inventory, node: &inventory.nodes[0] };
    let migration = Migration {
        version: "2.0.0".to_owned(),
        name: "V2.0.0__x.sql".to_owned(),
        phase: MigrationPhase::Expand,
        sha256: "sum".to_owned(),
        sql: sql.to_owned(),
        down: None,
    };
    let commands = migrate(engine, at, &Change { migration: &migration, kind, run: "r" });
    let read = |cmd: Cmd| {
        let Stdin::Bytes(bytes) = cmd.stdin else { panic!("expected bytes") };
        (cmd.id, cmd.argv, String::from_utf8(bytes).unwrap())
    };
    commands.into_iter().map(read).collect()
}

#[test]
fn a_file_is_one_transaction_and_its_lines_stay_where_they_are_db_4() {
    let sql = "alter table a add b int;\nalter table c\n add d int";
    for (told, role) in
        [(sent(&PostgreSql, sql, AppliedKind::Applied), false), (sent(&OpenGauss, sql, AppliedKind::Applied), true)]
    {
        let [(id, _, text)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(*id, "db.migrate");
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("BEGIN; ") && lines[0].ends_with("alter table a add b int;"), "{text}");
        // Waits for the second lock have what the first has left; who may set that is the administrator.
        assert!(lines[1].ends_with("alter table c") && lines[1].contains("greatest(100, "), "{text}");
        assert_eq!(lines[1].starts_with("RESET ROLE; "), role, "{text}");
        assert_eq!(lines[2], " add d int");
        assert!(text.ends_with("COMMIT;\n"), "{text}");
    }
    // What is adopted is not run, whatever it is.
    let told = sent(&PostgreSql, "create index concurrently i on t (a)", AppliedKind::Baseline);
    assert!(told.len() == 1 && !told[0].2.contains("concurrently"), "{told:?}");
}

#[test]
fn a_file_that_cannot_be_one_transaction_is_sent_statement_by_statement_db_4() {
    let sql = "alter table t add a int;\n\ncreate index concurrently \"I\" on s.t (a);";
    let told = sent(&PostgreSql, sql, AppliedKind::Partial);
    assert_eq!(told.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), ["db.migrate-statement"; 2]);
    let last = |at: usize| told[at].1.iter().rev().take(4).rev().map(String::as_str).collect::<Vec<_>>();
    assert_eq!([last(0), last(1)], [vec!["1", "2", "", ""], vec!["2", "2", "I", "s.t"]]);
    let pieces = |at: usize| told[at].2.split(MARK).map(str::to_owned).collect::<Vec<_>>();
    let [_, _, _, first] = pieces(0).try_into().unwrap();
    assert!(first.starts_with("BEGIN; ") && first.ends_with("COMMIT;"), "{first}");
    let [look, close, forget, second] = pieces(1).try_into().unwrap();
    assert!(look.ends_with("COMMIT;") && look.contains("'partial'"), "{look}");
    assert!(close.contains("kind = 'applied'") && forget.starts_with("DELETE"), "{close} {forget}");
    // Its line is that of the file.
    assert_eq!(second.lines().position(|line| line.starts_with("create index")), Some(2));
    assert!(!second.contains("BEGIN"), "{second}");
}

#[test]
fn who_is_in_the_way_is_waited_for_and_a_mistake_is_not_upg_2() {
    let inventory = fixtures::inventory();
    let exit = |code: i32, stderr: &str| RemoteError::Exit {
        id: "db.migrate".to_owned(),
        host: "node-a".to_owned(),
        code,
        stdout: String::new(),
        stderr: stderr.to_owned(),
    };
    let locked = "psql:<stdin>:3: ERROR:  55P03: canceling statement due to lock timeout\nheld-by pid 7, user a";
    let error = failed(engine_of(&inventory.database), "V2__x.sql", (0, 1), exit(3, locked));
    assert!(error.is::<Busy>(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("V2__x.sql:3: ERROR") && text.contains("held-by pid 7"), "{text}");
    let wrong = "psql:<stdin>:3: ERROR:  42703: column \"55P03\" does not exist";
    let error = failed(&PostgreSql, "V2__x.sql", (1, 3), exit(3, wrong));
    assert!(!error.is::<Busy>());
    assert!(error.to_string().starts_with("statement 2 of 3 of migration `V2__x.sql` failed, nothing was"), "{error}");
    let lost = failed(&PostgreSql, "V2__x.sql", (0, 1), exit(2, locked));
    assert!(!lost.is::<Busy>() && lost.to_string().contains("whether it was run is not known"), "{lost}");
    let gauss = "gsql:/tmp/x:3: ERROR:  YY003: Lock wait timeout: thread 140 on node dn_6001 waiting for \
                 AccessExclusiveLock on relation 16409 of database 13218 after 3000.123 ms\n";
    assert!(failed(&OpenGauss, "V2__x.sql", (0, 1), exit(3, gauss)).is::<Busy>());
}
