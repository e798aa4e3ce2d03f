use super::*;

fn found(sql: &str) -> Vec<(usize, String)> {
    refuse(sql, Dialect::Postgresql).into_iter().map(|refusal| (refusal.line, refusal.found)).collect()
}

#[test]
fn an_ordinary_migration_is_let_through_db_4() {
    for sql in [
        "",
        ";;",
        "alter table orders add column note text not null default '';\ncreate index orders_note on orders (note);",
        "select 1; savepoint a; rollback to savepoint a; release savepoint a",
        "update a set b = E'it\\'s \\\\', c = 'C:\\dir', d = e'x''\\n' where f = \"we\"\"ird\\\";",
        "do $$ begin perform 1; if true then raise notice '\\o'; end if; end $$;",
        "create function f() returns int language sql as $body$ select $1; $$ vacuum; $body$;",
        "create or replace function f(a int) returns int begin atomic select case a when 1 then 2 end; select 3; end;",
        "create rule r as on insert to t do also (insert into a values (1); delete from b);",
        "/* vacuum; /* \\q */ commit; */ select 1 -- begin; \\q\n",
        "refresh materialized view concurrently v; copy t from '/srv/x'; comment on table t is 'commit; vacuum';",
        "insert into t values ($1, a$b$, 'x')",
    ] {
        assert_eq!(found(sql), [], "{sql}");
    }
}

#[test]
fn what_would_leave_the_transaction_is_refused_with_its_line_db_5() {
    let cases: [(&str, usize, &str); 12] = [
        ("select 1;\n\\i other.sql", 2, "\\i"),
        ("select 1 \\gexec", 1, "\\gexec"),
        ("copy t (a, b) from stdin;", 1, "COPY T A B"),
        ("-- first\n\nCREATE UNIQUE INDEX CONCURRENTLY ON t (a)", 3, "CREATE UNIQUE INDEX CONCURRENTLY"),
        ("drop index concurrently i;", 1, "DROP INDEX CONCURRENTLY I"),
        ("select 1;\nvacuum full t;", 2, "VACUUM FULL T"),
        ("select '1''; commit'; commit;", 1, "COMMIT"),
        ("create function f() returns int language sql as $$select 1$$; end;", 1, "END"),
        ("alter system set fsync = off", 1, "ALTER SYSTEM SET FSYNC"),
        ("start transaction", 1, "START TRANSACTION"),
        ("select $x$ $y$;\nselect 1", 1, "a $x$ without its end"),
        ("select 1;\n/* open", 2, "a comment without its end"),
    ];
    for (sql, line, what) in cases {
        assert_eq!(found(sql), [(line, what.to_owned())], "{sql}");
    }
    assert_eq!(found("select 'open")[0].1, "a ' without its end");
}

#[test]
fn a_file_that_cannot_be_one_transaction_is_taken_apart_db_4() {
    assert_eq!(apart("create table t (a int); insert into t values (1);", Dialect::Postgresql), None);
    let text = "-- first\nalter table t add b int; -- then\n\n  CREATE INDEX CONCURRENTLY \"B\" ON s.t (b);\nvacuum t";
    let parts = apart(text, Dialect::Postgresql).unwrap();
    let told: Vec<_> = parts.iter().map(|part| (part.line, part.sql, part.alone.is_some())).collect();
    assert_eq!(
        told,
        [
            (2, "alter table t add b int", false),
            (4, "CREATE INDEX CONCURRENTLY \"B\" ON s.t (b)", true),
            (5, "vacuum t", true)
        ]
    );
    let back = refuse_unless_whole(text, Dialect::Postgresql);
    assert_eq!(back.iter().map(|refusal| refusal.line).collect::<Vec<_>>(), [4, 5]);
    let gauss = "create procedure p is begin null; end;\n/\ncreate index concurrently i on t (a);";
    let parts = apart(gauss, Dialect::Opengauss).unwrap();
    assert_eq!(parts.iter().map(|part| part.end).collect::<Vec<_>>(), ["\n/\n", ";\n"]);
}

#[test]
fn what_is_put_between_statements_moves_no_line_and_enters_no_string_db_4() {
    let text = "select ';'; /* ; */ select 2\n;\n-- c;\nselect $$;$$";
    let told = between(text, Dialect::Postgresql, "X; ");
    assert_eq!(told, "select ';'; /* ; */ X; select 2\n;\n-- c;\nX; select $$;$$");
    for own in ["set local role a; select 1", "select 1; reset role", "set session authorization b; select 2"] {
        assert_eq!(between(own, Dialect::Postgresql, "X; "), own);
    }
}

#[test]
fn names_are_folded_as_the_server_does_db_4() {
    assert_eq!(["Orders_Note", "\"Or\"\"ders\""].map(folded), ["orders_note", "Or\"ders"]);
}
