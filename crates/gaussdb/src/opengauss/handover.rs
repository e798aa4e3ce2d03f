//! What became of a change of roles, by what the tool said. Pure.
//!
//! No tool's exit status counts: `gs_ctl switchover` ends with 0 when it gave up waiting while the servers go on, and
//! `cm_ctl switchover` when some server did not change.

use crate::{
    engine::Promotion,
    gauss::{
        cm::{self, CmSwitchover},
        handover::{self, Failover, Switchover},
    },
};

/// What `promote.sh` adds when the server has become the primary.
const LATE: &str = "it is the primary";

/// Reads what `promote.sh` printed after its word: `asked TOOL`, `status N`, and the tool's own text.
pub(super) fn judge(said: &str) -> Result<(), Promotion> {
    let doubt = |why: String| Promotion::InDoubt(why);
    let unknown = || doubt(format!("expected what a tool said, found `{}`", crate::gauss::Shown::of(said)));
    let (asked, rest) = said.trim_start().split_once('\n').ok_or_else(unknown)?;
    let (status, text) = rest.split_once('\n').unwrap_or((rest, ""));
    // Seen by the script itself, after the tool had given up.
    let (text, late) = match text.trim_end().strip_suffix(LATE) {
        Some(text) => (text, true),
        None => (text, false),
    };
    let status = status.strip_prefix("status ").and_then(|status| status.parse().ok()).ok_or_else(unknown)?;
    match asked {
        "asked switchover" => match handover::read_switchover(status, text) {
            Switchover::Completed(_) => Ok(()),
            Switchover::TimedOut { .. } if late => Ok(()),
            Switchover::TimedOut { seconds } => Err(doubt(format!(
                "gs_ctl gave up waiting after {seconds} s; the servers may still change their roles"
            ))),
            Switchover::Refused(why) => Err(Promotion::NotAsked(why.to_string())),
            Switchover::OtherToolRuns => Err(Promotion::NotAsked("another gs_ctl works on that server".to_owned())),
            Switchover::Unknown(text) => Err(doubt(format!("gs_ctl said `{text}`"))),
        },
        "asked failover" => match handover::read_failover(status, text) {
            Failover::Completed(_) => Ok(()),
            Failover::Failed(_) if late => Ok(()),
            Failover::Failed(text) => Err(doubt(format!("gs_ctl failover: {text}"))),
            Failover::Refused(why) => Err(Promotion::NotAsked(why.to_string())),
            Failover::OtherToolRuns => Err(Promotion::NotAsked("another gs_ctl works on that server".to_owned())),
            Failover::Unknown(text) => Err(doubt(format!("gs_ctl said `{text}`"))),
        },
        "asked cm-switchover" => match cm::read_switchover(status, text) {
            CmSwitchover::Completed => Ok(()),
            CmSwitchover::Incomplete(_) | CmSwitchover::InDoubt(_) if late => Ok(()),
            CmSwitchover::Incomplete(text) | CmSwitchover::InDoubt(text) | CmSwitchover::Unknown(text) => {
                Err(doubt(format!("cm_ctl said `{text}`")))
            }
            CmSwitchover::MostAvailableSync => Err(Promotion::NotAsked(
                "the cluster manager does not switch over while most_available_sync is on".to_owned(),
            )),
            CmSwitchover::Refused(why) => Err(Promotion::NotAsked(why.to_string())),
            CmSwitchover::Unreachable => Err(Promotion::NotAsked("no cm_server answers".to_owned())),
        },
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tool: &str, status: i32, text: &str) -> Result<(), Promotion> {
        judge(&format!("\nasked {tool}\nstatus {status}\n{text}\n"))
    }

    #[test]
    fn only_words_make_a_success_and_a_time_out_is_in_doubt_vip_4() {
        let done = include_str!("../gauss/fixtures/F07_switchover_ok.txt");
        assert_eq!(of("switchover", 0, done), Ok(()));
        let late = include_str!("../gauss/fixtures/F08_switchover_timeout_v6.txt");
        let Err(Promotion::InDoubt(why)) = of("switchover", 0, late) else { panic!("a time-out is no success") };
        assert!(why.contains("gave up waiting after"), "{why}");
        assert_eq!(of("switchover", 0, &format!("{late}\nit is the primary\n")), Ok(()));
        assert!(matches!(of("switchover", 0, "what\nit is the primary"), Err(Promotion::InDoubt(_))));
        assert_eq!(of("cm-switchover", 0, "cm_ctl: switchover successfully.\n"), Ok(()));
        assert!(matches!(of("cm-switchover", 0, "cm_ctl: switchover incomplete.\n"), Err(Promotion::InDoubt(_))));
        assert!(matches!(
            of("cm-switchover", 255, "cm_ctl: can't connect to cm_server.\n"),
            Err(Promotion::NotAsked(_))
        ));
        for unknown in ["", "asked nobody\nstatus 0\n", "asked switchover\nstatus x\n", "asked switchover"] {
            assert!(matches!(judge(unknown), Err(Promotion::InDoubt(_))), "{unknown:?}");
        }
        assert!(matches!(of("switchover", 0, "done"), Err(Promotion::InDoubt(_))));
    }
}
