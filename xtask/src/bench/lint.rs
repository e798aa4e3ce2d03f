//! `cargo xtask bench lint`: how fast migrations are read: target/bench/lint.json.

use std::{
    fs,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

/// What is promised for a MiB.
const LIMIT: Duration = Duration::from_secs(1);
const MIB: usize = 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How often it is read
    #[arg(long, default_value_t = 10)]
    times: usize,
}

/// Statements as migrations have them; the number keeps them apart.
fn statements(number: usize) -> String {
    format!(
        "-- what the report of the quarter needs, block {number}\n\
         CREATE TABLE report_{number} (\n    id bigserial PRIMARY KEY,\n    ref text NOT NULL DEFAULT '',\n    \
         amount numeric(12, 2) CHECK (amount >= 0),\n    created_at timestamptz NOT NULL DEFAULT now()\n);\n\
         CREATE INDEX report_{number}_ref ON report_{number} (ref) WHERE amount > 0;\n\
         ALTER TABLE orders ADD COLUMN note_{number} text, ADD COLUMN seen_{number} boolean NOT NULL DEFAULT false;\n\
         INSERT INTO report_{number} (ref, amount) VALUES ('it''s a row', 10.50), ('another; row', 3), ('third', -0);\n\
         CREATE FUNCTION total_{number}(a int, b int) RETURNS bigint LANGUAGE sql AS $$ SELECT sum(amount) FROM report_{number} $$;\n\
         COMMENT ON TABLE report_{number} IS 'made by a migration';\n\
         UPDATE orders SET note_{number} = ref WHERE id BETWEEN 1 AND 1000 AND note_{number} IS NULL;\n"
    )
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = crate::workspace();
    let rollup = crate::build(&root, "rollup", true)?;
    let out = root.join("target/bench");
    fs::create_dir_all(&out)?;
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= MIB {
            break;
        }
        text.push_str(&statements(number));
    }
    let file = out.join("lint.sql");
    fs::write(&file, &text)?;
    let mut seconds = Vec::new();
    let mut summary = String::new();
    for _ in 0..arguments.times {
        let began = Instant::now();
        let output = Command::new(&rollup).args(["db", "lint"]).arg(&file).output().context("cannot run rollup")?;
        seconds.push(began.elapsed().as_secs_f64());
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        summary = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
    }
    let mebibytes = text.len() as f64 / MIB as f64;
    // Whatever else the machine does only adds to it.
    let fastest = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    crate::say(&summary);
    crate::say(&format!(
        "{mebibytes:.2} MiB in {fastest:.2} s at best: {:.1} MiB/s, the program's start included",
        mebibytes / fastest
    ));
    let result = json!({ "bytes": text.len(), "seconds": super::rounded(&seconds), "mib_per_second": super::round(mebibytes / fastest) });
    let path = out.join("lint.json");
    fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&result)?))?;
    crate::say(&format!("results: {}", path.display()));
    let promised = LIMIT.as_secs_f64() * mebibytes;
    ensure!(fastest < promised, "expected less than {promised:.1} s, found {fastest:.2} s");
    Ok(ExitCode::SUCCESS)
}
