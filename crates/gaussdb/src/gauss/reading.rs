//! Which tool a text is of, and what it means.

use serde::Serialize;

use super::{
    build, cm, control, dump, guc, handover, om, probackup, query, querybuild, sql,
    text::{Said, Shown},
    version,
};

/// Makes the list of tools whose texts are read here, and of what each text can mean.
macro_rules! readings {
    ($($(#[$about:meta])* $variant:ident = $name:literal: $module:ident :: $verdict:ident by $read:ident),+ $(,)?) => {
        /// A tool, with the verb where it has many.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Tool {
            $($(#[$about])* $variant),+
        }

        /// What a text means: the tool that wrote it and the verdict.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(tag = "tool", content = "verdict")]
        pub enum Reading {
            $($(#[$about])* #[serde(rename = $name)] $variant($module::$verdict)),+
        }

        impl Tool {
            /// Every tool.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As it is called, for example `gs_ctl query`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Reads a text of this tool. `status`: its exit status.
            pub fn read(self, status: i32, text: &str) -> Reading {
                match self { $(Self::$variant => Reading::$variant($module::$read(status, text))),+ }
            }
        }

        impl Reading {
            /// The tool that wrote the text.
            pub fn tool(&self) -> Tool {
                match self { $(Self::$variant(_) => Tool::$variant),+ }
            }

            /// What was printed, where it means nothing that is known.
            pub fn unknown(&self) -> Option<&Shown> {
                match self {
                    $(Self::$variant($module::$verdict::Unknown(shown)) => Some(shown),)+
                    _ => None,
                }
            }
        }
    };
}

readings! {
    /// The state of a server.
    Query = "gs_ctl query": query::Query by read,
    /// How far a build is.
    QueryBuild = "gs_ctl querybuild": querybuild::QueryBuild by read,
    /// A start.
    Start = "gs_ctl start": control::Start by read_start,
    /// A stop.
    Stop = "gs_ctl stop": control::Stop by read_stop,
    /// A restart.
    Restart = "gs_ctl restart": control::Restart by read_restart,
    /// A switchover.
    Switchover = "gs_ctl switchover": handover::Switchover by read_switchover,
    /// A failover.
    Failover = "gs_ctl failover": handover::Failover by read_failover,
    /// A build.
    Build = "gs_ctl build": build::Build by read,
    /// A setting.
    Guc = "gs_guc": guc::Guc by read,
    /// The state of the cluster, without CM.
    OmStatus = "gs_om status": om::Status by read_status,
    /// A refresh of the configuration.
    OmRefresh = "gs_om refreshconf": om::Refresh by read_refreshconf,
    /// The state of the cluster, by CM.
    CmQuery = "cm_ctl query": cm::CmQuery by read_query,
    /// A switchover by CM.
    CmSwitchover = "cm_ctl switchover": cm::CmSwitchover by read_switchover,
    /// A stop by CM.
    CmStop = "cm_ctl stop": cm::Outcome by read_stop,
    /// A start by CM.
    CmStart = "cm_ctl start": cm::Outcome by read_start,
    /// A build by CM.
    CmBuild = "cm_ctl build": cm::Outcome by read_build,
    /// A pause of CM.
    CmPause = "cm_ctl pause": cm::Outcome by read_pause,
    /// The end of a pause of CM.
    CmResume = "cm_ctl resume": cm::Outcome by read_resume,
    /// The catalogue of backups.
    Show = "gs_probackup show": probackup::Show by read_show,
    /// A backup.
    TakeBackup = "gs_probackup backup": probackup::TakeBackup by read_backup,
    /// A validation.
    Validate = "gs_probackup validate": probackup::Validate by read_validate,
    /// A restore of a backup.
    RestoreBackup = "gs_probackup restore": probackup::RestoreBackup by read_restore,
    /// A dump.
    Dump = "gs_dump": dump::Dump by read_dump,
    /// A restore of a dump.
    RestoreDump = "gs_restore": dump::RestoreDump by read_restore,
    /// A base backup.
    BaseBackup = "gs_basebackup": dump::BaseBackup by read_basebackup,
    /// A version.
    Version = "version": version::ReadVersion by read,
    /// Statements.
    Sql = "gsql": sql::Sql by read,
}

/// Tells by its text which tool wrote it. `None`: it is of none of them, or of several verbs alike, as
/// `another gs_ctl command is running` is.
///
/// For people and tests. Who ran a tool knows which, and reads with its own function.
pub fn recognise(text: &str) -> Option<Tool> {
    let said = Said::of(text);
    of_gs_ctl(&said)
        .or_else(|| of_cluster(&said))
        .or_else(|| of_cm_ctl(&said))
        .or_else(|| probackup::document(text).map(|_| Tool::Show))
        .or_else(|| of_lines(&said))
        .or_else(|| version::read(0, text).version().map(|_| Tool::Version))
        .or_else(|| of_gsql(&said))
}

/// gs_ctl says first what it was asked to do.
fn of_gs_ctl(said: &Said<'_>) -> Option<Tool> {
    const FIRST: [(&str, Tool); 10] = [
        ("gs_ctl query ,datadir is ", Tool::Query),
        ("gs_ctl build query ,datadir is ", Tool::QueryBuild),
        ("gs_ctl started,datadir is ", Tool::Start),
        ("gs_ctl stopped ,datadir is ", Tool::Stop),
        ("gs_ctl restarted ,datadir is ", Tool::Restart),
        ("gs_ctl switchover ,datadir is ", Tool::Switchover),
        ("gs_ctl failover ,datadir is ", Tool::Failover),
        ("gs_ctl full build ,datadir is ", Tool::Build),
        ("gs_ctl standby full build ,datadir is ", Tool::Build),
        ("gs_ctl incremental build ,datadir is ", Tool::Build),
    ];
    let first = |line: &str| FIRST.iter().find_map(|(start, tool)| line.starts_with(start).then_some(*tool));
    said.trimmed().find_map(first).or_else(|| {
        let titled = |title: &str| said.trimmed().any(|line| line.eq_ignore_ascii_case(title));
        let built = titled("Build state:") || said.holding(&[": Build completed", ": Build failed"]).is_some();
        titled("HA state:").then_some(if built { Tool::QueryBuild } else { Tool::Query })
    })
}

fn of_cluster(said: &Said<'_>) -> Option<Tool> {
    let titled = |title: &str| {
        said.trimmed().any(|line| {
            let inside = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            inside.is_some_and(|inside| inside.trim().eq_ignore_ascii_case(title))
        })
    };
    // A cluster without CM has no word on balance.
    if titled("CMServer State") || (titled("Cluster State") && said.begins("balanced ")) {
        return Some(Tool::CmQuery);
    }
    (titled("Cluster State") || (said.begins("cluster_name ") && said.begins("cluster_state ")))
        .then_some(Tool::OmStatus)
}

fn of_cm_ctl(said: &Said<'_>) -> Option<Tool> {
    const VERBS: [(&str, Tool); 8] = [
        ("switchover", Tool::CmSwitchover),
        ("switch-over", Tool::CmSwitchover),
        ("stop ", Tool::CmStop),
        ("start ", Tool::CmStart),
        ("build", Tool::CmBuild),
        ("Pausing the cluster", Tool::CmPause),
        ("Resuming the cluster", Tool::CmResume),
        ("can't connect to cm_server", Tool::CmQuery),
    ];
    let messages = said.trimmed().filter_map(|line| line.trim_start_matches('.').strip_prefix("cm_ctl: "));
    messages.into_iter().find_map(|line| VERBS.iter().find_map(|(part, tool)| line.contains(part).then_some(*tool)))
}

/// Tools that are known by a line of theirs.
fn of_lines(said: &Said<'_>) -> Option<Tool> {
    const LINES: [(&[&str], Tool); 8] = [
        (&["to perform gs_guc!"], Tool::Guc),
        (&["dynamic configuration"], Tool::OmRefresh),
        (&["gs_basebackup: "], Tool::BaseBackup),
        (&["gs_dump[", "gs_dump: "], Tool::Dump),
        (
            &["restore operation successful", "errors ignored on restore: ", "gs_restore[", "gs_restore: "],
            Tool::RestoreDump,
        ),
        (&["INFO: Backup start, gs_probackup version: "], Tool::TakeBackup),
        (
            &["INFO: Restore of backup ", "INFO: Restoring the database from backup ", "ERROR: Restore destination "],
            Tool::RestoreBackup,
        ),
        (&["INFO: Validating backup ", "INFO: Revalidating backup ", "INFO: Validate "], Tool::Validate),
    ];
    LINES.iter().find_map(|(parts, tool)| said.holding(parts).map(|_| *tool))
}

fn of_gsql(said: &Said<'_>) -> Option<Tool> {
    let starts = ["gsql:", "psql:", "ERROR:  ", "FATAL:  ", "failed to connect "];
    starts.iter().any(|start| said.begins(start)).then_some(Tool::Sql)
}
