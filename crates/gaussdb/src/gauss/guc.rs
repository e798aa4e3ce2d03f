//! `gs_guc set` and `reload`: what became of it.
//!
//! Source: `pg_guc.cpp` and `cluster_guc.cpp` of openGauss-server.

use serde::Serialize;

use super::text::{Said, Shown, leading_number};

/// What became of `gs_guc set|reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guc {
    /// The setting was written.
    Done {
        /// For how many instances.
        instances: u64,
    },
    /// It found no instance and did nothing, **and calls that a success with exit status 0**.
    NoInstance,
    /// It failed for some instance.
    Failed(Shown),
    /// Another tool holds the lock; try again.
    OtherToolRuns,
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// Reads what `gs_guc set|reload -D DIR -c NAME=VALUE` printed. `status`: its exit status.
pub fn read(status: i32, text: &str) -> Guc {
    let said = Said::of(text);
    if said.other_tool_runs(status) {
        return Guc::OtherToolRuns;
    }
    let says = |part: &str| said.trimmed().any(|line| line.strip_prefix("ALL: ").unwrap_or(line) == part);
    if says("Failure to perform gs_guc!") {
        return Guc::Failed(Shown::of(text));
    }
    let counts = said.after("Total instances: ").and_then(|rest| {
        let (_, failed) = rest.split_once("Failed instances: ")?;
        Some((leading_number(rest)?, leading_number(failed)?))
    });
    match (status, says("Success to perform gs_guc!"), counts) {
        (0, true, Some((0, 0))) => Guc::NoInstance,
        (0, true, Some((instances, 0))) => Guc::Done { instances },
        _ => Guc::Unknown(Shown::of(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gauss::fixtures::{fixture, text};

    #[test]
    fn a_setting_is_written_where_the_tool_counts_an_instance_and_no_failure_db_1() {
        let of = |name| {
            let (status, text) = fixture(name);
            read(status, text)
        };
        assert_eq!(of("F09x_guc_ok"), Guc::Done { instances: 1 });
        assert_eq!(of("F09z_guc_no_instance_rc0"), Guc::NoInstance);
        let Guc::Failed(said) = of("F09y_guc_failed") else { panic!() };
        assert!(said.as_str().contains("[db1]"));
        let Guc::Unknown(_) = read(1, text("F09x_guc_ok")) else { panic!("with status 1") };
        let Guc::Unknown(_) = read(0, "Success to perform gs_guc!") else { panic!("without a count") };
        let Guc::Failed(_) = read(0, text("F09y_guc_failed")) else { panic!("with status 0") };
    }
}
