//! `db.switchover`: makes a standby the primary and the primary its standby.
//!
//! The order, and why it never has two writers and loses no acknowledged write:
//!
//! 1. *Demote* the old primary: its configuration says standby before it is stopped, so whatever starts it later starts
//!    a standby; then it stops cleanly, which sends the rest of its log.
//! 2. *Promote* the other only after it has replayed the old primary's very last record. Without that proof nothing is
//!    promoted and the old primary is *reinstated*.
//! 3. *Rejoin* the old primary as a standby, which costs no writer any time.
//!
//! A next primary that dies after the demotion is started again: nobody writes then, and it can only come up as a standby.
//!
//! Each state in between is recognised by looking at both servers, never by what was done before; so it can be left in
//! either direction. The way back from a change that nobody finished first brings up what it left stopped.

mod judge;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rollup_engine::{Action, ApplyCx, Cx, Forecast, State};
use rollup_model::{
    NodeName, Undo,
    inventory::{Node, Switchover as Wish},
    plan::ActionRef,
};
use rollup_remote::{Stdin, StdinStream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::judge::{Situation, judge};
use crate::{
    DatabaseSubject,
    engine::{At, Ending, Engine, Promotion, READY, engine_of},
    findings,
};

/// Makes one node's database the primary.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switchover {
    /// Role or name of the node that becomes the primary. Default: the step's node.
    primary: Option<String>,
}

/// What a clean stop right after a checkpoint and a promotion take by themselves: PostgreSQL 15 on two slow cores needs
/// about a quarter of a second for both.
const SERVERS: Duration = Duration::from_millis(400);

/// What taking it back needs.
#[derive(Serialize, Deserialize)]
struct Before {
    primary: NodeName,
}

/// The two servers by the part they are to play.
struct Pair<'a> {
    engine: &'static dyn Engine,
    old: At<'a>,
    new: At<'a>,
}

impl<'a> Pair<'a> {
    /// Both nodes, the old primary first.
    fn nodes(&self) -> (&'a Node, &'a Node) {
        (self.old.node, self.new.node)
    }

    async fn look(&self, cx: &Cx<'_>) -> Result<Situation> {
        let (old_at, new_at) = self.nodes();
        let old = cx.facts(&DatabaseSubject, &old_at.name).await?;
        let new = cx.facts(&DatabaseSubject, &new_at.name).await?;
        Ok(judge(old_at, &old, new_at, &new, &findings::start_standby(self.new.database())))
    }
}

impl Switchover {
    fn pair<'a>(&self, cx: &Cx<'a>) -> Result<Pair<'a>> {
        let inventory = cx.inventory();
        if inventory.nodes.len() != 2 {
            bail!("a switchover needs a pair: expected 2 nodes in the inventory, found {}", inventory.nodes.len());
        }
        let new = match &self.primary {
            Some(name) => cx.named(name)?,
            None => cx.node()?,
        };
        let old = inventory.peer_of(new).context("a switchover needs a second node")?;
        let engine = engine_of(&inventory.database);
        Ok(Pair { engine, old: At::new(cx, &old.name)?, new: At::new(cx, new)? })
    }
}

#[async_trait::async_trait]
impl Action for Switchover {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let pair = self.pair(cx)?;
        if cx.inventory().database.switchover == Wish::Never {
            return Ok(State::seen("not asked for: database.switchover is `never`"));
        }
        Ok(match pair.look(cx).await? {
            Situation::Done(evidence) => State::seen(evidence),
            Situation::Blocked(findings) => State::blocked(findings),
            Situation::Wait(because)
            | Situation::Demote(because)
            | Situation::Start(because)
            | Situation::Promote(because)
            | Situation::Rejoin(because)
            | Situation::Unmark(because)
            | Situation::Reinstate(because)
            | Situation::Return(because) => {
                let before = json!(Before { primary: pair.nodes().0.name.clone() });
                State::Needed { before, because }
            }
        })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let pair = self.pair(cx)?;
        match pair.look(cx).await? {
            Situation::Done(_) => Ok(()),
            // The look that follows is repeated for as long as the policy says.
            Situation::Wait(_) => Ok(()),
            Situation::Blocked(findings) => {
                let lines: Vec<_> = findings.iter().map(rollup_model::Finding::line).collect();
                Err(anyhow!("the databases are in no state to change their roles: {}", lines.join("; ")))
            }
            Situation::Unmark(_) => unmark(cx, &pair).await,
            Situation::Reinstate(_) => {
                unmark(cx, &pair).await?;
                rejoin(cx, &pair).await
            }
            Situation::Return(_) => {
                follow(cx, &pair, pair.new, pair.old).await?;
                change_roles(cx, &pair).await
            }
            Situation::Rejoin(_) => rejoin(cx, &pair).await,
            Situation::Start(_) => {
                rejoin(cx, &pair).await?;
                change_roles(cx, &pair).await
            }
            Situation::Demote(_) | Situation::Promote(_) => change_roles(cx, &pair).await,
        }
    }

    async fn forecast(&self, cx: &Cx<'_>) -> Result<Option<Forecast>> {
        let pair = self.pair(cx)?;
        if cx.inventory().database.switchover == Wish::Never {
            return Ok(None);
        }
        let began = Instant::now();
        let situation = pair.look(cx).await?;
        // Two looks were one after the other; each is a round trip, a shell and a session, as both commands are.
        let command = began.elapsed() / 2;
        Ok(match situation {
            Situation::Done(_) => None,
            _ => Some(Forecast {
                length: command * 2 + SERVERS,
                because: format!(
                    "two commands of {} ms each, and {} ms for a stop and a promotion",
                    command.as_millis(),
                    SERVERS.as_millis()
                ),
            }),
        })
    }

    fn undo(&self, before: &Value) -> Undo {
        // Without a look there is only the playbook's word for who was primary.
        let primary = Before::deserialize(before).map(|before| before.primary.to_string());
        let primary = primary.unwrap_or_else(|_| "original-primary".to_owned());
        let with = Map::from_iter([("primary".to_owned(), Value::String(primary))]);
        Undo::Action(ActionRef { uses: "db.switchover".to_owned(), with })
    }
}

/// Demote, prove, promote, rejoin. Writers wait from the stop inside the first command to the end of the second.
async fn change_roles(cx: &ApplyCx<'_>, pair: &Pair<'_>) -> Result<()> {
    let (old, new) = pair.nodes();
    cx.progress(format!("stopping the primary on {}, then promoting {}", old.name, new.name));
    let (old_host, new_host) = (cx.change_of(&old.name)?, cx.change_of(&new.name)?);
    // The next primary connects before the old one stops; its input stays open until there is a position to tell.
    let (mut teller, told) = tokio::io::duplex(64);
    let (mut heard, mut says) = tokio::io::duplex(64);
    let input = StdinStream::new(told);
    let promote = pair.engine.promote(pair.new).stdin(Stdin::Stream(input.clone()));
    let promoting = async move {
        let promoted = new_host.exec_to(&promote, &mut says).await;
        input.close();
        promoted
    };
    let demoting = async move {
        let mut word = [0; READY.len()];
        // Without a successor nobody is stopped; that one says why.
        if heard.read_exact(&mut word).await.is_err() || word != *READY.as_bytes() {
            return Ok(None);
        }
        let output = old_host.exec(&pair.engine.demote(pair.old, new)).await?;
        let ending = pair.engine.read_ending(&output.stdout)?;
        // Whether it was heard is for the one who promotes to say.
        let _told = teller.write_all(pair.engine.hand_over(ending).as_bytes()).await;
        drop(teller);
        let mut said = String::new();
        let _read = heard.read_to_string(&mut said).await;
        anyhow::Ok(Some((ending, said)))
    };
    let (promoted, ending) = tokio::join!(promoting, demoting);
    let (ending, why) = match (ending?, promoted) {
        (Some((ending, said)), Ok(_)) => match pair.engine.promoted(&said) {
            Ok(()) => return rejoin(cx, pair).await,
            // The command has ended and looked on for a while: the next try begins with a look at both.
            Err(Promotion::InDoubt(why)) => bail!("{} is not the primary, and may still become it: {why}", new.name),
            Err(Promotion::NotAsked(why)) => (ending, why),
        },
        (Some((ending, _)), Err(error)) => match pair.engine.promotion(&error) {
            Promotion::InDoubt(_) => return Err(error.into()),
            Promotion::NotAsked(why) => (ending, why),
        },
        (None, Err(error)) => return Err(anyhow::Error::from(error).context("nothing was stopped")),
        (None, Ok(_)) => bail!("{} said nothing of being ready to become the primary; nothing was stopped", new.name),
    };
    Err(reinstate(cx, pair, ending, &why).await)
}

/// The way back when nothing was promoted. Returns the error that the step ends with.
async fn reinstate(cx: &ApplyCx<'_>, pair: &Pair<'_>, ending: Ending, why: &str) -> anyhow::Error {
    let (old, new) = (&pair.old.node.name, &pair.new.node.name);
    let failed = anyhow!("{new} was not promoted: {why}");
    match ending {
        // It was no primary when this began; who is to write is not for this step to guess.
        Ending::Standby(_) => return failed.context(format!("no database writes now; {old} and {new} are standbys")),
        Ending::Running(_) => {
            return failed.context(format!("the roles were not changed and {old} is the primary still"));
        }
        Ending::Shutdown(_) => {}
    }
    cx.progress(format!("{new} was not promoted; starting {old} as primary again"));
    let result = match cx.change_of(old) {
        Ok(host) => host.exec(&pair.engine.reinstate(pair.old)).await.map_err(Into::into),
        Err(error) => Err(error),
    };
    match result {
        Ok(_) => failed.context(format!("the roles were not changed and {old} is the primary again")),
        Err(error) => failed.context(format!("no database writes now, and {old} could not be started: {error:#}")),
    }
}

async fn rejoin(cx: &ApplyCx<'_>, pair: &Pair<'_>) -> Result<()> {
    follow(cx, pair, pair.old, pair.new).await
}

async fn follow(cx: &ApplyCx<'_>, pair: &Pair<'_>, standby: At<'_>, primary: At<'_>) -> Result<()> {
    cx.progress(format!("starting {} as a standby of {}", standby.node.name, primary.node.name));
    cx.change_of(&standby.node.name)?.exec(&pair.engine.rejoin(standby, primary.node)).await?;
    Ok(())
}

/// The wanted primary is one, or was the last one; a demotion that was cut off has left its mark on it.
async fn unmark(cx: &ApplyCx<'_>, pair: &Pair<'_>) -> Result<()> {
    cx.change_of(&pair.new.node.name)?.exec(&pair.engine.reinstate(pair.new)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_it_back_names_the_node_that_was_primary_vip_4() {
        let action: Switchover = serde_json::from_value(json!({})).unwrap();
        let undo = |before: Value| match action.undo(&before) {
            Undo::Action(action) => (action.uses.clone(), action.with["primary"].clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(undo(json!({ "primary": "node-a" })), ("db.switchover".to_owned(), json!("node-a")));
        assert_eq!(undo(Value::Null), ("db.switchover".to_owned(), json!("original-primary")));
        assert!(serde_json::from_value::<Switchover>(json!({ "force": true })).is_err());
    }
}
