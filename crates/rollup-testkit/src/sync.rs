//! The job that copies configuration between the machines: a oneshot unit, its timer, and the marks of a freeze.

use rollup_model::NodeName;
use serde::Serialize;
use serde_json::json;

use crate::{
    call::{Answer, Call, Failed},
    world::World,
};

/// The copying job on a machine.
#[derive(Debug, PartialEq, Clone, Serialize)]
pub(crate) struct ConfigSync {
    enabled: bool,
    active: bool,
    marker: Option<Marker>,
    dropin: bool,
    /// The files were listed when nothing copied any more.
    listed: bool,
    /// What the copied files hold, in a word.
    content: String,
    /// When the last copy began, in microseconds since the boot; 0: never.
    #[serde(skip)]
    started: u64,
}

/// The marker of a freeze, with what the timer was before.
#[derive(Debug, PartialEq, Clone, Serialize)]
struct Marker {
    run: String,
    enabled: bool,
    active: bool,
}

impl ConfigSync {
    /// Enabled on the source only.
    pub(crate) fn new(source: bool) -> Self {
        Self {
            enabled: source,
            active: source,
            marker: None,
            dropin: false,
            listed: false,
            content: "shared".to_owned(),
            started: if source { 1_000_000 } else { 0 },
        }
    }

    /// A timer that is enabled runs after a boot, frozen or not; when it last copied is forgotten.
    pub(crate) fn boots(&mut self) {
        (self.active, self.started) = (self.enabled, 0);
    }

    /// Whether a copy may begin at any time.
    pub(crate) fn copies(&self) -> bool {
        self.active && self.marker.is_none()
    }

    fn listing(&self) -> String {
        let (path, hash) = ("/etc/orders/shared/app.conf", "5e".repeat(32));
        format!("count=1\ndigest={}\nfile\t644\t10\t{path}\nhash\t{hash}\t0\t{path}\n", self.content)
    }
}

impl World {
    pub(crate) fn sync(&mut self, node: &NodeName, call: &Call) -> Option<Answer> {
        let before = self.at(node).sync.clone();
        let name = match call.id.as_str() {
            "sync.freeze" => {
                let sync = &mut self.machine(node).sync;
                let (enabled, active) = (sync.enabled, sync.active);
                sync.marker.get_or_insert(Marker { run: String::new(), enabled, active }).run = call.arg(2).to_owned();
                sync.active = false;
                sync.dropin = true;
                sync.listed = true;
                "sync.frozen"
            }
            "sync.thaw" | "sync.unfreeze" => {
                let sync = &mut self.machine(node).sync;
                sync.marker = None;
                sync.dropin = false;
                sync.listed = false;
                sync.enabled = call.arg(2) == "true";
                sync.active = call.arg(3) == "true";
                if call.id == "sync.thaw" { "sync.thawed" } else { "sync.unfrozen" }
            }
            "sync.run" => return Some(self.copy(node)),
            _ => return None,
        };
        if self.at(node).sync != before {
            self.changed(name, node, "timer");
        }
        Some(Ok(String::new()))
    }

    fn copy(&mut self, node: &NodeName) -> Answer {
        if self.at(node).sync.marker.is_some() {
            return Err(Failed::saying(1, "the config sync is frozen"));
        }
        let started = u64::try_from(self.now.as_micros()).unwrap_or(u64::MAX) + 2_000_000;
        let sync = &mut self.machine(node).sync;
        sync.started = started;
        let (content, peer) = (sync.content.clone(), self.peer(node));
        self.machine(&peer).sync.content = content;
        self.changed("sync.copied", node, "files");
        Ok(String::new())
    }

    /// The text of the sync's probe.
    pub(crate) fn sync_facts(&self, node: &NodeName) -> String {
        let sync = &self.at(node).sync;
        let time = |micros: u64| {
            if micros == 0 {
                "n/a".to_owned()
            } else {
                format!("Sun 2026-03-01 10:00:{:02} UTC", micros / 1_000_000 % 60)
            }
        };
        let yes = |yes: bool, word: &'static str, other: &'static str| if yes { word } else { other };
        let mut text = format!(
            "[unit]\nLoadState=loaded\nActiveState=inactive\nSubState=dead\nResult=success\nExecMainStatus=0\n\
             ExecMainStartTimestamp={0}\nExecMainStartTimestampMonotonic={1}\nExecMainExitTimestamp={0}\n\
             [timer]\nLoadState=loaded\nActiveState={2}\nUnitFileState={3}\n[cron]\n[freeze]\ndropin={4}\n",
            time(sync.started),
            sync.started,
            yes(sync.active, "active", "inactive"),
            yes(sync.enabled, "enabled", "disabled"),
            yes(sync.dropin, "yes", "no"),
        );
        if let Some(Marker { run, enabled, active }) = &sync.marker {
            let since = "2026-03-01T10:00:00Z";
            let marker = json!({ "run": run, "since": since, "timer_enabled": enabled, "timer_active": active });
            text.push_str(&format!("marker={marker}\n"));
        }
        if sync.listed {
            text.push_str(&format!("[frozen]\n{}", sync.listing()));
        }
        text.push_str(&format!("[now]\n{}[end]\n", sync.listing()));
        text
    }
}
