//! Runs the rows of misleading ends: provokes each, and holds against it what the product makes of it (DB-1).

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use gaussdb::gauss::Tool;
use serde_json::Value;

use crate::{
    bench::Bench,
    shims::{eventually, omm, settled},
    shims_traps::Trap,
};

/// Provokes one misleading end, and shows that it misleads.
pub(crate) fn one(bench: &Bench, trap: &Trap) -> Result<()> {
    let began = Instant::now();
    let faults = |node: &str, wanted: &[(&str, &str)]| {
        let files = wanted.iter().map(|(name, text)| format!("printf '%s' '{text}' > {name}; "));
        let script =
            format!("mkdir -p /run/rollup-lab/gauss; cd /run/rollup-lab/gauss; rm -f *; {}", files.collect::<String>());
        bench.lab.root_script(node, &script).map(drop)
    };
    let run = || -> Result<()> {
        for (node, name, text) in trap.faults {
            faults(node, &[(name, text)])?;
        }
        let said = omm(bench, trap.node, trap.command)?.expect(trap.code)?;
        let all = format!("{}{}", said.out, said.err);
        ensure!(all.contains(trap.says), "expected `{}`, found:\n{all}", trap.says);
        insist_verdict(trap, &all)?;
        if let Some((words, code, says)) = trap.meets {
            let said = bench.rollup(words)?.expect(code)?;
            ensure!(
                format!("{}{}", said.out, said.err).contains(says),
                "expected `{says}` of {words:?}, found {said:?}"
            );
        }
        for (node, script, text) in trap.truth {
            eventually(bench, node, script, text)?;
        }
        for (node, _, _) in trap.faults {
            faults(node, &[])?;
        }
        for (node, script) in trap.mend {
            omm(bench, node, script)?;
        }
        let is_as_before = trap.faults.is_empty() && trap.mend.is_empty();
        if is_as_before { Ok(()) } else { settled(bench, "node-a") }
    };
    run().with_context(|| format!("trap `{}`", trap.what))?;
    let (tool, verdict) = trap.verdict;
    let meets = trap.meets.map(|(words, code, _)| format!(", rollup {}: {code}", words.join(" "))).unwrap_or_default();
    let seconds = began.elapsed().as_secs_f64();
    crate::say(&format!(
        "        {}: ends with {}\n            {tool}: {verdict}{meets} ({seconds:.1} s)",
        trap.what, trap.code
    ));
    Ok(())
}

/// Insists on what the product's own parser reads in a tool's exit status and words.
fn insist_verdict(trap: &Trap, said: &str) -> Result<()> {
    let (name, verdict) = trap.verdict;
    let tool = Tool::ALL.iter().find(|tool| tool.name() == name).with_context(|| format!("no tool {name}"))?;
    let read = serde_json::to_value(tool.read(trap.code, said))?;
    let found = match &read["verdict"] {
        Value::Object(verdict) => verdict.keys().next().map(String::as_str),
        verdict => verdict.as_str(),
    };
    ensure!(found == Some(verdict), "expected the verdict `{verdict}`, found {read} of:\n{said}");
    Ok(())
}
