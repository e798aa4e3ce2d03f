//! Actions of the testkit's own: one that stands in for what the command line provides, and ones that are broken on
//! purpose, so that the crash matrix is known to find what it looks for.

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{NodeName, Undo};
use rollup_remote::Cmd;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    call::{Answer, Call},
    world::World,
};

/// Writes a note on the node, once.
#[derive(Debug, Deserialize)]
pub struct Note {}

fn note(cx: &Cx<'_>) -> String {
    cx.step.id.to_string()
}

#[async_trait::async_trait]
impl Action for Note {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let found = cx.host()?.exec(&Cmd::read("note.look", "", [note(cx)])).await?.stdout;
        Ok(if found.is_empty() { State::needed(Value::Null) } else { State::done() })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        cx.change()?.exec(&Cmd::mutate("note.write", "", [note(cx)])).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "a note harms nobody".to_owned() }
    }
}

/// Broken: its check looks for a mark that is made after the change and apart from it.
#[derive(Debug, Deserialize)]
pub struct ChecksTheWrongThing {}

#[async_trait::async_trait]
impl Action for ChecksTheWrongThing {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        Note {}.check(cx).await
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        cx.change()?.exec(&Cmd::mutate("note.count", "", [note(cx)])).await?;
        Note {}.apply(cx).await
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "it is broken".to_owned() }
    }
}

/// Broken: a second run fails, since the first one's traces are in its way.
#[derive(Debug, Deserialize)]
pub struct BearsNoSecondRun {}

#[async_trait::async_trait]
impl Action for BearsNoSecondRun {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        Note {}.check(cx).await
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        cx.change()?.exec(&Cmd::mutate("note.create", "", [format!("{}.partial", note(cx))])).await?;
        cx.change()?.exec(&Cmd::mutate("note.rename", "", [format!("{}.partial", note(cx)), note(cx)])).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "it is broken".to_owned() }
    }
}

/// Broken: it stops the service of the node that serves.
#[derive(Debug, Deserialize)]
pub struct StopsTheWrongNode {}

#[async_trait::async_trait]
impl Action for StopsTheWrongNode {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        Note {}.check(cx).await
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let peer: &NodeName = cx.peer()?;
        let units = cx.inventory().service.units.clone();
        cx.change_of(peer)?.exec(&Cmd::mutate("units.stop", "", units.clone())).await?;
        cx.change_of(peer)?.exec(&Cmd::mutate("units.start", "", units)).await?;
        Note {}.apply(cx).await
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "it is broken".to_owned() }
    }
}

impl World {
    pub(crate) fn note(&mut self, node: &NodeName, call: &Call) -> Option<Answer> {
        let key = call.arg(0).to_owned();
        Some(match call.id.as_str() {
            "note.look" => Ok(self.at(node).notes.get(&key).cloned().unwrap_or_default()),
            "note.write" => {
                if self.machine(node).notes.insert(key.clone(), "written".to_owned()).is_none() {
                    self.changed("note.written", node, key);
                }
                Ok(String::new())
            }
            "note.count" => {
                self.changed("note.counted", node, key);
                Ok(String::new())
            }
            "note.create" => {
                if self.at(node).notes.contains_key(&key) {
                    return Some(Err(crate::call::Failed::saying(1, "it exists")));
                }
                self.machine(node).notes.insert(key, "partial".to_owned());
                Ok(String::new())
            }
            "note.rename" => {
                if self.machine(node).notes.remove(&key).is_some() {
                    self.machine(node).notes.insert(call.arg(1).to_owned(), "written".to_owned());
                }
                Ok(String::new())
            }
            _ => return None,
        })
    }
}
