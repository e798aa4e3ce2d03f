//! Boots real machines: `cargo build -p xtask && cargo test -p rollup-lab --test lab -- --ignored`, as root.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rollup_lab::{Flavour, Lab, LabOptions, Places, Traffic, TrafficOptions};

/// The program that has `lab client`, built into the directory above the one of this test.
fn xtask() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    Ok(test.ancestors().nth(2).context("the test is in target/PROFILE/deps")?.join("xtask"))
}

fn options(flavour: Flavour) -> Result<LabOptions> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("crates/ has a parent")?;
    Ok(LabOptions {
        name: format!("self-{flavour}").parse()?,
        nodes: 2,
        flavour,
        version: "1.0.0".to_owned(),
        package: workspace.join("target/packages/orders-1.0.0.tar.gz"),
        places: Places::from_environment(),
    })
}

fn vip_owner(lab: &Lab) -> Option<String> {
    lab.status().nodes.into_iter().find(|node| node.vip).map(|node| node.name)
}

#[test]
#[ignore = "boots machines: needs root, a few minutes and the packages of the example"]
fn a_pair_serves_through_a_move_of_the_vip_and_comes_back_from_power_cuts() {
    let options = options(Flavour::Unicast).unwrap();
    let lab = Lab::up(&options, &|_| ()).unwrap();
    assert_eq!(vip_owner(&lab).as_deref(), Some("node-a"));

    let traffic = Traffic::start(&lab, &xtask().unwrap(), &TrafficOptions::default()).unwrap();
    lab.root_script("node-a", "systemctl restart keepalived.service").unwrap();
    let report = traffic.stop().unwrap();
    assert!(report.acked_writes > 0 && report.reads.requests > 0, "{report:?}");
    assert_eq!(report.lost_writes, Some(0), "{report:?}");

    let boot = |lab: &Lab| lab.root_script("node-b", "cat /proc/sys/kernel/random/boot_id").unwrap();
    let before = boot(&lab);
    lab.reboot("node-b").unwrap();
    assert_ne!(boot(&lab), before);
    lab.wait_ready().unwrap();

    lab.root_script("node-a", "echo changed > /opt/orders/VERSION").unwrap();
    lab.kill("node-a").unwrap();
    lab.reset().unwrap();
    let status = lab.status();
    assert_eq!(status.problems, Vec::<String>::new());
    assert_eq!(status.nodes[0].version, "1.0.0");

    Lab::down(&options.places, &options.name).unwrap();
    assert!(!options.places.lab(&options.name).exists());
    assert!(!Path::new("/run/netns").join(options.name.operator_namespace()).exists());
}
