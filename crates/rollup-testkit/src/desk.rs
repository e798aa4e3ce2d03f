//! What this program keeps on a machine: its lock, the copies of a run's journal, its jobs.

use std::{collections::BTreeMap, time::Duration};

use rollup_model::NodeName;
use serde::Serialize;

use crate::{
    call::{Answer, Call, Failed},
    world::{Later, World},
};

/// How long a job usually works.
const WORK: Duration = Duration::from_millis(400);

/// What this program keeps on a machine.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Desk {
    /// Run and holder's JSON; the JSON carries a time.
    #[serde(serialize_with = "only_run")]
    pub(crate) lock: Option<(String, String)>,
    /// Files of runs; compared by themselves, since they carry times.
    #[serde(skip)]
    pub(crate) copies: BTreeMap<String, Vec<u8>>,
    pub(crate) jobs: BTreeMap<String, Job>,
}

impl Desk {
    /// One line for each copy of a run, newest first, as a look at the node says it.
    pub(crate) fn runs_seen(&self) -> String {
        let text = |path: &str| String::from_utf8_lossy(self.copies.get(path).map_or(&[], Vec::as_slice)).into_owned();
        let line = |path: &String| {
            let run = path.strip_suffix("/journal.jsonl")?;
            let journal = text(path);
            let (mut over, mut changes) = (0, 0);
            for line in journal.lines() {
                let is = |kind: &str| line.contains(&format!(r#""event":{{"kind":"{kind}"#));
                if is("run-finished") || is("run-taken-back") || is("run-finalized") {
                    over = 2;
                } else if is(r#"run-stopped","reason":"blocked"#) {
                    over = over.max(1);
                } else if is("run-resumed") && over == 1 {
                    over = 0;
                }
                changes += usize::from(is("step-started"));
            }
            let plan = text(&format!("{run}/plan.json"));
            let kind = plan.lines().find_map(|line| line.strip_prefix("  \"kind\": \"")?.split('"').next());
            let state = if over > 0 { "over" } else { "open" };
            Some(format!("run {run} {state} {changes} {}\n", kind.unwrap_or("unknown")))
        };
        self.copies.keys().rev().filter_map(line).collect()
    }

    /// Whether any job is at work.
    pub(crate) fn works(&self) -> bool {
        self.jobs.values().any(|job| job.state == State::Running)
    }

    /// Whether a job of this name is at work.
    pub(crate) fn job_runs(&self, unit: &str) -> bool {
        self.jobs.get(unit).is_some_and(|job| job.state == State::Running)
    }
}

fn only_run<S: serde::Serializer>(lock: &Option<(String, String)>, serializer: S) -> Result<S::Ok, S::Error> {
    lock.as_ref().map(|(run, _)| run).serialize(serializer)
}

/// A transient unit.
#[derive(Debug, Serialize)]
pub(crate) struct Job {
    #[serde(skip)]
    work: Call,
    state: State,
}

#[derive(Debug, PartialEq, Serialize)]
enum State {
    Running,
    Succeeded,
    Failed { code: i32, log: String },
}

impl World {
    pub(crate) fn desk(&mut self, node: &NodeName, call: &Call) -> Option<Answer> {
        Some(match call.id.as_str() {
            "node.quiet" => Ok(String::new()),
            "lock.acquire" => self.acquire(node, call),
            "lock.release" => {
                let desk = &mut self.machine(node).desk;
                // Stopping a unit that works ends its work.
                let prefix = format!("rollup-{}-", call.arg(0));
                desk.jobs.retain(|unit, _| !unit.starts_with(&prefix));
                if desk.lock.as_ref().is_some_and(|(run, _)| run == call.arg(0)) {
                    desk.lock = None;
                }
                Ok(String::new())
            }
            "lock.show" => Ok(self.at(node).desk.lock.as_ref().map(|(_, json)| json.clone()).unwrap_or_default()),
            "journal.put" => {
                let path = format!("{}/{}", call.arg(0), call.arg(1));
                self.machine(node).desk.copies.insert(path, call.input.clone());
                Ok(String::new())
            }
            "journal.append" => {
                let copy = self.machine(node).desk.copies.get_mut(&format!("{}/journal.jsonl", call.arg(0)));
                match copy.filter(|copy| copy.len().to_string() == call.arg(1)) {
                    Some(copy) => {
                        copy.extend(&call.input);
                        Ok(String::new())
                    }
                    None => Err(Failed::saying(9, "")),
                }
            }
            "journal.get" => {
                let copy = self.at(node).desk.copies.get(&format!("{}/{}", call.arg(0), call.arg(1)));
                copy.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).ok_or(Failed::saying(1, "no such file"))
            }
            "job.start" => self.start_job(node, call),
            "job.look" => Ok(self.look_at_job(node, call.arg(0))),
            "job.clear" => {
                // Stopping a unit that works ends its work.
                self.machine(node).desk.jobs.remove(call.arg(0));
                Ok(String::new())
            }
            _ => return None,
        })
    }

    fn acquire(&mut self, node: &NodeName, call: &Call) -> Answer {
        let lock = &mut self.machine(node).desk.lock;
        match lock {
            Some((run, json)) if run != call.arg(0) => {
                Err(Failed { code: 17, stdout: json.clone(), stderr: String::new() })
            }
            // The first holder's file stays.
            Some(_) => Ok("ours already\n".to_owned()),
            None => {
                *lock = Some((call.arg(0).to_owned(), call.text()));
                Ok("taken\n".to_owned())
            }
        }
    }

    /// `$1` unit, `$2` user, `$3` limit, then `bash -c SCRIPT ID ARGS…`.
    fn start_job(&mut self, node: &NodeName, call: &Call) -> Answer {
        let unit = call.arg(0).to_owned();
        let running = self.at(node).desk.jobs.get(&unit);
        if running.is_some_and(|job| matches!(job.state, State::Running | State::Succeeded)) {
            return Ok(String::new());
        }
        let args = call.args.get(7..).unwrap_or_default().to_vec();
        let work = Call { id: call.arg(6).to_owned(), args, input: Vec::new() };
        self.machine(node).desk.jobs.insert(unit.clone(), Job { work, state: State::Running });
        let takes = self.knobs.job_takes.unwrap_or(WORK);
        self.schedule(takes, node, Later::JobEnds(unit));
        Ok(String::new())
    }

    pub(crate) fn job_ends(&mut self, node: &NodeName, unit: &str) {
        let Some(job) = self.at(node).desk.jobs.get(unit).filter(|job| job.state == State::Running) else { return };
        let work = job.work.clone();
        let state = match self.dispatch(node, &work) {
            Ok(_) => State::Succeeded,
            Err(failed) => State::Failed { code: failed.code, log: failed.stderr },
        };
        if let Some(job) = self.machine(node).desk.jobs.get_mut(unit) {
            job.state = state;
        }
    }

    fn look_at_job(&self, node: &NodeName, unit: &str) -> String {
        let (active, sub, result, code, log) = match self.at(node).desk.jobs.get(unit).map(|job| &job.state) {
            None => ("inactive", "dead", "success", 0, ""),
            Some(State::Running) => ("active", "running", "success", 0, "working\n"),
            Some(State::Succeeded) => ("active", "exited", "success", 0, "working\n"),
            Some(State::Failed { code, log }) => ("failed", "failed", "exit-code", *code, log.as_str()),
        };
        format!("ActiveState={active}\nSubState={sub}\nResult={result}\nExecMainStatus={code}\n--\n{log}")
    }
}
