//! A lab of real machines on one Debian host: systemd, sshd, keepalived, PostgreSQL, rsync and the example service.
//!
//! This crate owns everything between an empty directory and a pair that an operator could upgrade: the base image,
//! the provisioned nodes, their network, their power supply and the clients that use them. It must not know any
//! action, playbook or plan of `rollup`; to it the product is one more program in the operator's namespace.
//!
//! A lab named `demo` leaves traces under these names only, and cleans up by these names only: network namespaces
//! `rl-demo-op`, `rl-demo-a` …, machines and cgroups `rl-demo-a` …, and its directory below [`Places::state`].

mod addresses;
mod client;
mod deploy;
mod engine;
mod files;
mod gauss;
mod host;
mod image;
mod inventory;
mod lab;
mod machine;
mod network;
mod observe;
mod overlay;
pub mod packages;
mod places;
mod provision;
mod reconfigure;
mod relay;
mod shell;
mod status;
mod topology;
mod vip;
mod wait;

pub use addresses::{AddressChange, AddressWatch};
pub use client::{
    AcknowledgedWrite, ClientError, Fate, Gap, Side, SideReport, Traffic, TrafficOptions, TrafficReport, run_client,
};
pub use engine::{Engine, FlavourWord};
pub use host::prepare_host;
pub use inventory::write_identity;
pub use lab::{INSIDE_VARIABLE, Lab, LabOptions, prepare_image};
pub use observe::{Audience, Observed};
pub use places::{LabName, Places};
pub use relay::{Impaired, Impairment, run_relay};
pub use status::{LabStatus, NodeStatus};
pub use topology::{Node, Part, VIP};
pub use vip::Flavour;
