//! `cargo xtask bench`: what the product costs its users, held against the same work done by hand.
//!
//! Owns what all measurements share: the lab, the optimised program, figures and where results go.

mod backup;
mod by_hand;
mod cutover;
mod distribute;
mod figures;
mod lint;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use rollup_lab::{Engine, Flavour, Lab, LabName, LabOptions, Places, packages};
use serde_json::Value;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// `rollup backup create` against the same pipeline made by hand, and what clients notice of either.
    Backup(backup::Arguments),
    /// `rollup vip switch` with every flavour of keepalived against a switchover by hand, as clients notice it.
    Cutover(cutover::Arguments),
    /// A package on its way to both nodes against `scp` of it and `rsync -a` of what is in it.
    Distribute(distribute::Arguments),
    /// How fast `rollup db lint` reads; needs no lab.
    Lint(lint::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.what {
        What::Backup(arguments) => backup::run(arguments),
        What::Cutover(arguments) => cutover::run(arguments),
        What::Distribute(arguments) => distribute::run(arguments),
        What::Lint(arguments) => lint::run(arguments),
    }
}

/// Where something is measured: a program, a lab, a place for results.
struct Grounds {
    rollup: PathBuf,
    /// Runs the clients.
    clients: PathBuf,
    out: PathBuf,
    options: LabOptions,
}

impl Grounds {
    /// Builds everything that a lab and a measurement need.
    fn prepare(rollup: Option<&Path>, name: &LabName) -> Result<Self> {
        let root = crate::workspace();
        rollup_lab::prepare_host(&crate::say)?;
        // Clients that were not optimised take half a processor of the machine they measure.
        let clients = crate::build(&root, "xtask", true)?;
        let rollup = match rollup {
            Some(given) => given.canonicalize().with_context(|| format!("cannot find {}", given.display()))?,
            None => crate::build(&root, "rollup", true)?,
        };
        let archives = root.join("target/packages");
        packages::build_all(&archives, None, &crate::say)?;
        let options = LabOptions {
            name: name.clone(),
            nodes: 2,
            flavour: Flavour::Preempt,
            engine: Engine::Postgresql,
            version: "1.0.0".to_owned(),
            package: archives.join("orders-1.0.0.tar.gz"),
            places: Places::from_environment(),
        };
        let out = root.join("target/bench");
        fs::create_dir_all(&out)?;
        Ok(Self { rollup, clients, out, options })
    }

    fn boot(&self) -> Result<Lab> {
        Lab::up(&self.options, &crate::say)
    }

    fn down(&self) -> Result<()> {
        Lab::down(&self.options.places, &self.options.name)
    }

    fn write(&self, name: &str, result: &Value) -> Result<()> {
        let path = self.out.join(name);
        fs::write(&path, format!("{}\n", serde_json::to_string_pretty(result)?))?;
        crate::say(&format!("results: {}", path.display()));
        Ok(())
    }
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn rounded(numbers: &[f64]) -> Vec<f64> {
    numbers.iter().copied().map(round).collect()
}
