use super::*;

fn statements(text: &str, dialect: Dialect) -> Vec<String> {
    let split = split(text, dialect);
    split.statements.iter().map(|statement| text[statement.range.clone()].to_owned()).collect()
}

fn sql(text: &str) -> Vec<String> {
    statements(text, Dialect::Postgresql)
}

fn gauss(text: &str) -> Vec<String> {
    statements(text, Dialect::Opengauss)
}

#[test]
fn statements_end_at_semicolons_outside_of_what_is_quoted_db_5() {
    assert_eq!(sql("select 1;; ;\n select 2"), ["select 1", "select 2"]);
    let whole = [
        "select 'a;b', 'it''s;', E'it\\'s;', U&'\\0061;', \"q;\"\"r\", B'1'",
        "select $$;$$, $x$;$$;$x$, $1, a$b$",
        "select 1 /* ; /* ; */ ; */ + -- ;\n 2",
        "create rule r as on insert to t do also (insert into a values (1); delete from b)",
        "create function f() returns int language sql as $body$ select 1; $body$",
        "create or replace function f(a int default 1) returns int begin atomic select case a when 1 then 2 end; select 3; end",
        "create function f(a int) returns bool return a is null",
        "create function f(a int) returns bool language c as 'file;', 'link'",
        "do $$ begin perform 1; if true then raise notice 'x;'; end if; end $$",
    ];
    for text in whole {
        assert_eq!(sql(&format!("{text}; select 9;")), [text, "select 9"], "{text}");
        assert_eq!(gauss(&format!("{text}; select 9;")), [text, "select 9"], "{text}");
    }
}

#[test]
fn routines_and_packages_of_gaussdb_are_kept_whole_db_5() {
    let procedure = "CREATE OR REPLACE PROCEDURE p(a IN int DEFAULT 1) AS\n  b int := 1;\nBEGIN\n  IF a IS NULL THEN b := 2; \
                     END IF;\n  FOR i IN 1..3 LOOP b := CASE WHEN i = 1 THEN 2 ELSE 3 END; END LOOP;\n  CASE b WHEN 1 THEN \
                     NULL; END CASE;\n  BEGIN NULL; END;\nEND;";
    let text = format!("select 1;\n{procedure}\n/\nselect 2;");
    assert_eq!(gauss(&text), ["select 1", procedure.trim_end_matches(';'), "select 2"]);
    let oracle = "CREATE FUNCTION f RETURN integer IS\nBEGIN RETURN 1; END f";
    assert_eq!(gauss(&format!("{oracle};\n/\nselect 2")), [oracle, "select 2"]);
    let package = "CREATE PACKAGE BODY k AS\n PROCEDURE p IS BEGIN NULL; END;\n v int;\nBEGIN v := 1;\nEND k;";
    assert_eq!(gauss(&format!("{package}\n/\nselect 2;")), [package, "select 2"]);
    let block = "DECLARE a int; b int;\nBEGIN a := 1; BEGIN b := 2; END; END";
    assert_eq!(gauss(&format!("{block};\n/\nselect 2;")), [block, "select 2"]);
    let block = "BEGIN\n insert into t values (1);\n commit;\nEND";
    assert_eq!(gauss(&format!("{block};\n/\nselect 2;")), [block, "select 2"]);
    let forms: Vec<_> = split(&format!("{package}\n/\n{block};\n/\nbegin; select 1;"), Dialect::Opengauss).statements;
    let forms: Vec<_> = forms.iter().map(|statement| statement.form).collect();
    assert_eq!(forms, [Form::Package, Form::Block, Form::Plain, Form::Plain]);
}

#[test]
fn begin_is_a_transaction_where_nothing_of_a_block_follows_db_5() {
    for text in ["begin; select 1; commit;", "begin transaction; select 1; commit;"] {
        assert_eq!(gauss(text).len(), 3, "{text}");
    }
    assert_eq!(sql("begin select 1; end; select 2").len(), 3, "PostgreSQL has no blocks outside of quotes");
    assert_eq!(gauss("declare c cursor for select 1; fetch c;").len(), 2);
}

#[test]
fn a_slash_ends_only_what_needs_one_db_5() {
    assert_eq!(sql("select a\n/\nb; select 2"), ["select a\n/\nb", "select 2"]);
    assert_eq!(gauss("select 1;\n/\nselect 2;"), ["select 1", "select 2"]);
}

#[test]
fn the_data_of_copy_is_no_sql_db_5() {
    let text = "copy t (a, b) from stdin; select 'same line';\n1\tit's; drop table t;\n\\.\nselect 2;";
    assert_eq!(sql(text), ["copy t (a, b) from stdin", "select 'same line'", "select 2"]);
    let parts = split(text, Dialect::Postgresql);
    assert!(parts.statements[0].from_stdin && parts.commands.is_empty() && parts.open.is_none());
    assert_eq!(sql("copy t from stdin;\n1\n2"), ["copy t from stdin"], "data without its end");
    for text in ["copy t from '/srv/x'; select 1", "copy (select a from stdin) to '/x'; select 1"] {
        assert_eq!(sql(text).len(), 2, "{text}");
        assert!(!split(text, Dialect::Postgresql).statements[0].from_stdin, "{text}");
    }
}

#[test]
fn commands_of_the_client_are_found_wherever_they_are_db_5() {
    let text = "select 1;\n\\i it's.sql\nselect 2 \\gexec\n; \\set x 'y;'\nselect '\\o', E'\\\\';";
    let parts = split(text, Dialect::Postgresql);
    let commands: Vec<_> = parts.commands.iter().map(|range| &text[range.clone()]).collect();
    assert_eq!(commands, ["\\i it's.sql", "\\gexec", "\\set x 'y;'"]);
    assert_eq!(parts.statements.len(), 3);
    assert_eq!(parts.statements[2].words, ["SELECT"]);
}

#[test]
fn what_never_ends_is_told_db_5() {
    let cases = [
        ("select 1; select $x$ $y$;", "a $x$ without its end"),
        ("select 1; select $$ x", "a $$ without its end"),
        ("select 1; select E'open\\';", "a ' without its end"),
        ("select 1; select \"open", "a \" without its end"),
        ("select 1; /* /* */", "a comment without its end"),
    ];
    for (text, what) in cases {
        let open = split(text, Dialect::Postgresql).open.unwrap();
        assert_eq!(open.what, what);
        assert!(open.at >= 10, "{text}");
    }
}

#[test]
fn words_are_in_upper_case_and_a_quoted_name_is_none_db_5() {
    let parts = split("alter table \"Vacuum\" add a int", Dialect::Postgresql);
    assert_eq!(parts.statements[0].words, ["ALTER", "TABLE", "", "ADD", "A", "INT"]);
}
