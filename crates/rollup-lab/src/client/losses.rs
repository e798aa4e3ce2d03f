//! What became of every acknowledged write.
//!
//! Owns the question to the database and the file with the answers, so that whoever takes a pair back to a backup can
//! hold each single loss against the moment of the backup.

use std::{collections::HashSet, fs, path::Path};

use anyhow::{Context, Result};

use super::{Acknowledged, TrafficReport};
use crate::Lab;

/// What became of an acknowledged write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The primary has it.
    Kept,
    /// The primary does not have it.
    Lost,
}

/// A write that was answered with 201.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcknowledgedWrite {
    /// When the answer came.
    pub at: jiff::Timestamp,
    /// What became of it.
    pub fate: Fate,
    /// Its reference.
    pub reference: String,
}

impl TrafficReport {
    /// Every acknowledged write in the order of the answers.
    pub fn acknowledged(&self) -> Result<Vec<AcknowledgedWrite>> {
        let path = self.record.as_ref().context("no database was the primary when the clients ended")?;
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        text.lines().map(|line| read(line).with_context(|| format!("{}: `{line}`", path.display()))).collect()
    }
}

fn read(line: &str) -> Result<AcknowledgedWrite> {
    let words: Vec<&str> = line.split(' ').collect();
    let [at, fate, reference] = words[..] else { anyhow::bail!("expected three words") };
    let fate = if fate == "kept" { Fate::Kept } else { Fate::Lost };
    Ok(AcknowledgedWrite { at: at.parse()?, fate, reference: reference.to_owned() })
}

/// Looks for every acknowledged write in the database that is the primary now, and writes down what it found beside `out`.
pub(super) fn count(
    lab: &Lab,
    run: &str,
    mut report: TrafficReport,
    acknowledged: &Acknowledged,
    out: Option<&Path>,
) -> Result<TrafficReport> {
    let script = format!(
        "{} -XAt -v ON_ERROR_STOP=1 -d orders <<'SQL'
select 'primary' where not pg_is_in_recovery();
select ref from orders where ref like '{run}-%';
SQL
",
        lab.engine().psql()
    );
    for node in lab.nodes() {
        let Ok(text) = lab.root_script(&node.name, &script) else { continue };
        let mut lines = text.lines();
        if lines.next() != Some("primary") {
            continue;
        }
        let kept: HashSet<&str> = lines.collect();
        let is_lost = |reference: &String| !kept.contains(reference.as_str());
        let lost: Vec<_> = acknowledged.iter().map(|(_, reference)| reference).filter(|r| is_lost(r)).collect();
        report.lost_writes = Some(lost.len() as u64);
        report.lost_refs = lost.into_iter().take(20).cloned().collect();
        if let Some(out) = out {
            let path = out.with_extension("acknowledged");
            fs::write(&path, text_of(&report.started, acknowledged, &is_lost)?)?;
            report.record = Some(path);
        }
        break;
    }
    Ok(report)
}

fn text_of(started: &str, acknowledged: &Acknowledged, is_lost: &dyn Fn(&String) -> bool) -> Result<String> {
    let started: jiff::Timestamp = started.parse()?;
    let mut sorted: Vec<_> = acknowledged.iter().collect();
    sorted.sort();
    let mut text = String::new();
    for (offset, reference) in sorted {
        let at = started.checked_add(jiff::SignedDuration::try_from(*offset)?)?;
        text += &format!("{at} {} {reference}\n", if is_lost(reference) { "lost" } else { "kept" });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_written_down_is_read_back_in_the_order_of_the_answers() {
        let acknowledged =
            vec![(Duration::from_millis(1500), "b".to_owned()), (Duration::from_millis(20), "a".to_owned())];
        let text = text_of("2026-11-20T09:00:00Z", &acknowledged, &|reference| reference == "b").unwrap();
        assert_eq!(text, "2026-11-20T09:00:00.02Z kept a\n2026-11-20T09:00:01.5Z lost b\n");
        let read: Vec<_> = text.lines().map(|line| read(line).unwrap()).collect();
        assert_eq!(read[1].at.to_string(), "2026-11-20T09:00:01.5Z");
        assert_eq!((read[0].fate, read[1].fate), (Fate::Kept, Fate::Lost));
    }
}
