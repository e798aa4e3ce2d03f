//! What a package is: an archive with a manifest, checksums, files to place, schema changes and hooks.
//!
//! This crate owns the package format: building, reading and unpacking archives on the operator's side. An archive is
//! hostile until [`read`] has returned: nothing of it is written anywhere before that. Reading must not know nodes, SSH
//! or playbooks; what moves a package to a node only uses the [`Release`](rollup_model::Release) that `read` returns.

mod archive;
mod build;
mod clean;
mod distribute;
mod error;
mod finding;
mod hooks;
mod local;
mod manifest;
mod migration;
mod name;
mod on_node;
mod outline;
mod peer;
mod read;
mod send;
mod sign;
mod signature;
mod sums;
mod unpack;
mod version;

use rollup_engine::Registry;
use rollup_model::plan::Impact;

pub use build::{Built, build, survey};
pub use clean::Clean;
pub use distribute::Distribute;
pub use error::PackageError;
pub use finding::{CHECKS, accepted};
pub use hooks::RunHooks;
pub use manifest::{Component, LayoutChoice, Manifest};
pub use name::{MANIFEST, SUMS};
pub use on_node::{OnNode, read_on_node};
pub use read::{Compression, Entry, Listing, read, read_beside};
pub use sign::{Keys, SecretFile, keygen, sign};
pub use signature::signature_path;
pub use unpack::unpack_checked;

/// Adds this crate's actions.
pub fn register(registry: &mut Registry) {
    registry.checks(&CHECKS);
    registry.action::<Distribute>("package.distribute", Impact::Change);
    registry.action::<RunHooks>("package.hook", Impact::Change);
    registry.action::<Clean>("package.clean", Impact::Change);
}
