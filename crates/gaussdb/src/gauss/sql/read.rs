//! Reads complaints of gsql.

use super::{Blocker, Class, LockWait, Severity, Sql, SqlError};
use crate::gauss::text::{Said, Shown, leading_number};

/// How many lines a blocker's statement may take.
const STATEMENT_LINES: usize = 400;

/// How many colons a file's name may hold.
const COLONS: usize = 32;

/// What gsql says when the session ends in the middle.
const LOST: [&str; 2] = ["connection to server was lost", "server closed the connection unexpectedly"];

/// What gsql says when there is no session.
const NOT_CONNECTED: [&str; 4] =
    ["failed to connect ", "could not connect to server", "connect to server failed", "could not translate host name"];

/// Reads what gsql wrote on standard error. `status`: its exit status, 2 for a lost or refused connection, 3 for an error
/// with `ON_ERROR_STOP`.
pub fn read(status: i32, stderr: &str) -> Sql {
    let said = Said::of(stderr);
    let lines: Vec<&str> = said.trimmed().collect();
    let mut errors = Vec::new();
    let mut rest = lines.as_slice();
    while let [line, after @ ..] = rest {
        rest = after;
        match begin(line) {
            Some(Begin::Error(error)) => {
                let (error, after) = complete(error, rest);
                errors.push(*error);
                rest = after;
            }
            Some(Begin::Notice) => rest = skip_detail(rest),
            None => {}
        }
    }
    match (status, errors.is_empty()) {
        (_, false) => Sql::Errors(errors),
        (0, true) => Sql::NoError,
        _ => Sql::Unknown(Shown::of(stderr)),
    }
}

enum Begin {
    Error(Box<SqlError>),
    /// Something that is no error, of which details may follow.
    Notice,
}

/// What a line begins with.
fn begin(line: &str) -> Option<Begin> {
    const NOTICES: [&str; 6] = ["NOTICE", "WARNING", "INFO", "LOG", "DEBUG", "HINT"];
    let (place, text) = place(line);
    let severities = [("ERROR:", Severity::Error), ("FATAL:", Severity::Fatal), ("PANIC:", Severity::Panic)];
    let of_server = severities.iter().find_map(|(word, severity)| Some((*severity, text.strip_prefix(word)?.trim())));
    let is_notice = NOTICES.iter().any(|word| text.strip_prefix(word).is_some_and(|rest| rest.starts_with(':')));
    let own_words = LOST.iter().chain(&NOT_CONNECTED).any(|start| text.starts_with(start));
    let (severity, message) = match (of_server, &place) {
        (Some(of_server), _) => of_server,
        (None, _) if is_notice => return Some(Begin::Notice),
        (None, Place::Nowhere) if !own_words => return None,
        (None, _) => (Severity::Client, text),
    };
    let (file, line) = match place {
        Place::Line(file, line) => (Some(file.to_owned()), Some(line)),
        Place::Nowhere | Place::Gsql => (None, None),
    };
    let (sqlstate, message) = sqlstate(message);
    Some(Begin::Error(Box::new(SqlError {
        file,
        line,
        severity,
        message: Shown::of(message),
        sqlstate,
        detail: None,
        hint: None,
        class: Class::Other,
    })))
}

/// What a line says of where it comes from.
enum Place<'a> {
    Nowhere,
    /// gsql, without a file.
    Gsql,
    /// This line of this file.
    Line(&'a str, u64),
}

/// `gsql:FILE:LINE: `, `gsql: ` or neither; and what follows.
fn place(line: &str) -> (Place<'_>, &str) {
    let Some(rest) = line.strip_prefix("gsql:").or_else(|| line.strip_prefix("psql:")) else {
        return (Place::Nowhere, line);
    };
    if let Some(text) = rest.strip_prefix(' ') {
        return (Place::Gsql, text);
    }
    // A file's name may hold colons; the number is between the first two that have one between them.
    let numbered = |(at, _): (usize, &str)| {
        let (file, after) = rest.split_at_checked(at)?;
        let (digits, text) = after.strip_prefix(':')?.split_once(": ")?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        Some((Place::Line(file, digits.parse().ok().filter(|_| is_number)?), text.trim()))
    };
    rest.match_indices(':').take(COLONS).find_map(numbered).unwrap_or((Place::Nowhere, line))
}

/// psql writes the code before the message.
fn sqlstate(message: &str) -> (Option<String>, &str) {
    let code = message.split_once(':').filter(|(code, _)| is_sqlstate(code));
    code.map_or((None, message), |(code, rest)| (Some(code.to_owned()), rest.trim()))
}

fn is_sqlstate(text: &str) -> bool {
    text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// Takes the lines that belong to an error; the others are given back.
fn complete<'a>(mut error: Box<SqlError>, mut rest: &'a [&'a str]) -> (Box<SqlError>, &'a [&'a str]) {
    let mut detail = None;
    while let [line, after @ ..] = rest {
        // With `VERBOSITY verbose` gsql breaks the line before the message and puts its own code there.
        let coded = line.strip_prefix("GAUSS-").and_then(|coded| coded.split_once(": "));
        if let Some((_, message)) = coded.filter(|_| error.message.as_str().is_empty()) {
            error.message = Shown::of(message);
        } else if let Some(code) = line.strip_prefix("SQLSTATE: ").filter(|code| is_sqlstate(code)) {
            error.sqlstate = Some(code.to_owned());
        } else if let Some(first) = line.strip_prefix("DETAIL:") {
            let (text, left) = whole_detail(first.trim(), after);
            detail = Some(text);
            rest = left;
            continue;
        } else if let Some(hint) = line.strip_prefix("HINT:") {
            error.hint = Some(Shown::of(hint));
        } else if begin(line).is_some() {
            break;
        }
        rest = after;
    }
    error.class = class(&error, detail.as_deref());
    error.detail = detail.map(|text| Shown::of(&text));
    (error, rest)
}

fn skip_detail<'a>(rest: &'a [&'a str]) -> &'a [&'a str] {
    match rest {
        [line, after @ ..] if line.starts_with("DETAIL:") => whole_detail(line.trim_start_matches("DETAIL:"), after).1,
        rest => rest,
    }
}

/// The blocker's statement stands in the detail as it was typed, over many lines, and may hold what looks like an error.
fn whole_detail<'a>(first: &str, rest: &'a [&'a str]) -> (String, &'a [&'a str]) {
    let ends = |line: &str| line.ends_with('.') && line.contains("lockmode ");
    if !first.starts_with("blocked by ") || ends(first) {
        return (first.to_owned(), rest);
    }
    match rest.iter().take(STATEMENT_LINES).position(|line| ends(line)) {
        Some(last) => {
            let (more, rest) = rest.split_at(last + 1);
            (format!("{first}\n{}", more.join("\n")), rest)
        }
        None => (first.to_owned(), rest),
    }
}

fn class(error: &SqlError, detail: Option<&str>) -> Class {
    let message = error.message.as_str();
    let state = |code: &str| error.sqlstate.as_deref() == Some(code);
    let waited = message.starts_with("Lock wait timeout: ")
        || message.starts_with("could not obtain lock on ")
        || message.starts_with("canceling statement due to lock timeout");
    if waited || state("YY003") || state("55P03") {
        return Class::LockWait(lock_wait(message, detail));
    }
    if LOST.iter().any(|start| message.starts_with(start)) || message.starts_with("terminating connection due to") {
        return Class::ConnectionLost;
    }
    if message.contains("due to default_transaction_read_only is on") {
        return Class::DiskFullReadOnly;
    }
    if message.ends_with(" in a read-only transaction") || state("25006") {
        return Class::ReadOnlyTransaction;
    }
    if message.starts_with("canceling statement due to statement timeout") {
        return Class::StatementTimeout;
    }
    if NOT_CONNECTED.iter().any(|start| message.starts_with(start))
        || (error.severity == Severity::Fatal && error.line.is_none())
    {
        return Class::ConnectionFailed;
    }
    Class::Other
}

/// `Lock wait timeout: thread N on node X waiting for MODE on TARGET after T ms`.
fn lock_wait(message: &str, detail: Option<&str>) -> LockWait {
    let blocker = detail.and_then(blocker);
    let parts = message.strip_prefix("Lock wait timeout: thread ").and_then(|rest| {
        let (thread, rest) = rest.split_once(" on node ")?;
        let (_, rest) = rest.split_once(" waiting for ")?;
        let (mode, rest) = rest.split_once(" on ")?;
        let (target, waited) = rest.rsplit_once(" after ")?;
        Some((thread, mode, target, waited))
    });
    let Some((thread, mode, target, waited)) = parts else { return LockWait { blocker, ..LockWait::default() } };
    LockWait {
        thread: thread.parse().ok(),
        mode: Some(mode.to_owned()),
        target: Some(target.to_owned()),
        waited_ms: leading_number(waited),
        blocker,
    }
}

/// `blocked by hold lock thread N, statement <…>, hold lockmode MODE.`, or of one that waits: `blocked by lock requested
/// waiter thread N, statement <…>, requested lockmode MODE.`.
fn blocker(detail: &str) -> Option<Blocker> {
    let rest = detail.strip_prefix("blocked by ")?;
    let (holds, rest) = match rest.strip_prefix("hold lock thread ") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix("lock requested waiter thread ")?),
    };
    let (thread, rest) = rest.split_once(", statement <")?;
    let (statement, mode) = rest.rsplit_once(if holds { ">, hold lockmode " } else { ">, requested lockmode " })?;
    Some(Blocker {
        holds,
        thread: thread.parse().ok()?,
        statement: Shown::of(statement),
        mode: mode.strip_suffix('.')?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gauss::fixtures::{fixture, text};

    fn errors(status: i32, text: &str) -> Vec<SqlError> {
        match read(status, text) {
            Sql::Errors(errors) => errors,
            other => panic!("{other:?}"),
        }
    }

    fn only(name: &str) -> SqlError {
        let (status, text) = fixture(name);
        let mut errors = errors(status, text);
        assert_eq!(errors.len(), 1, "{errors:#?}");
        errors.remove(0)
    }

    #[test]
    fn a_lock_that_was_not_had_names_who_holds_it_db_1() {
        let error = only("F12f_gsql_lock_timeout_stderr");
        assert_eq!(
            (error.file.as_deref(), error.line, error.severity),
            (Some("/tmp/step3.sql"), Some(4), Severity::Error)
        );
        let wait = LockWait {
            thread: Some(140_533_638_080_272),
            mode: Some("AccessExclusiveLock".to_owned()),
            target: Some("relation 16409 of database 13218".to_owned()),
            waited_ms: Some(5000),
            blocker: Some(Blocker {
                holds: true,
                thread: 140_533_655_910_144,
                statement: Shown::of("select * from t1;"),
                mode: "AccessShareLock".to_owned(),
            }),
        };
        assert_eq!(error.class, Class::LockWait(wait));
    }

    #[test]
    fn a_blocker_that_waits_itself_is_read_with_its_statement_of_many_lines_db_1() {
        let error = only("F12x_gsql_verbose_waiter");
        assert_eq!((error.sqlstate.as_deref(), error.line), (Some("YY003"), Some(4)));
        assert!(error.message.as_str().starts_with("Lock wait timeout: thread"));
        let Class::LockWait(LockWait { blocker: Some(blocker), .. }) = error.class else { panic!() };
        assert!(!blocker.holds);
        assert_eq!(blocker.mode, "RowExclusiveLock");
        assert_eq!(blocker.statement.as_str(), "update t1\nset a = 1\nwhere b = 'ERROR:  x';");
    }

    #[test]
    fn errors_are_told_from_each_other_db_1() {
        assert_eq!(only("F12u_gsql_read_only_c").class, Class::ReadOnlyTransaction);
        assert_eq!(only("F12w_gsql_statement_timeout").class, Class::StatementTimeout);
        assert_eq!(only("F12z_gsql_disk_full").class, Class::DiskFullReadOnly);
        assert_eq!(only("F12y_gsql_lost").class, Class::ConnectionLost);
        assert_eq!(errors(2, "server closed the connection unexpectedly\n")[0].class, Class::ConnectionLost);
        let refused = only("F12v_gsql_connect_failed");
        assert_eq!((refused.class, refused.severity), (Class::ConnectionFailed, Severity::Client));
        let starting = &errors(2, "gsql: FATAL:  the database system is starting up\n")[0];
        assert_eq!((&starting.class, starting.severity), (&Class::ConnectionFailed, Severity::Fatal));
        let command = &errors(3, "gsql:V1__x.sql:2: invalid command \\foo\n")[0];
        assert_eq!((&command.class, command.severity), (&Class::Other, Severity::Client));
        let psql = &errors(1, "psql:<stdin>:3: ERROR:  55P03: canceling statement due to lock timeout\n")[0];
        assert_eq!((psql.file.as_deref(), psql.sqlstate.as_deref()), (Some("<stdin>"), Some("55P03")));
        let Class::LockWait(LockWait { thread: None, blocker: None, .. }) = psql.class else { panic!() };
    }

    #[test]
    fn an_error_counts_with_status_0_and_a_notice_does_not_db_1() {
        assert_eq!(errors(0, text("F12u_gsql_read_only_c")).len(), 1);
        let notices = "gsql:V1__x.sql:1: NOTICE:  CREATE TABLE / PRIMARY KEY will create implicit index \"t_pkey\"\n\
                       DETAIL:  of a table\nWARNING:  there is no transaction in progress\n";
        assert_eq!(read(0, notices), Sql::NoError);
        let Sql::Unknown(_) = read(3, notices) else { panic!("status 3 without an error") };
        let Sql::Unknown(_) = read(127, "bash: gsql: command not found\n") else { panic!() };
        let two = errors(3, "gsql:a:b.sql:1: ERROR:  first\nHINT:  Try it.\ngsql:a:b.sql:9: ERROR:  second\n");
        assert_eq!(
            (two[0].file.as_deref(), two[0].hint.as_ref().map(Shown::as_str)),
            (Some("a:b.sql"), Some("Try it."))
        );
        assert_eq!((two[1].message.as_str(), two[1].line), ("second", Some(9)));
    }
}
