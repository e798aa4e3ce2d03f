//! What a package is: an archive with a manifest, checksums, files to place, schema changes and hooks.
//!
//! This crate owns the package format: building, reading and unpacking archives on the operator's side. An archive is
//! hostile until [`read`] has returned: nothing of it is written anywhere before that. Reading must not know nodes, SSH
//! or playbooks; what moves a package to a node only uses the [`Release`](rollup_model::Release) that `read` returns.

mod archive;
mod build;
mod error;
mod finding;
mod manifest;
mod migration;
mod name;
mod read;
mod sign;
mod signature;
mod stage;
mod sums;
mod unpack;
mod version;

pub use build::{Built, build};
pub use error::PackageError;
pub use finding::{CHECKS, accepted};
pub use manifest::{Component, Manifest};
pub use name::{MANIFEST, SUMS};
pub use read::{Compression, Entry, Listing, read};
pub use sign::{Keys, SecretFile, keygen, sign};
pub use signature::signature_path;
pub use stage::{Clean, Distribute, RunHooks, StageTree, register};
pub use unpack::unpack_checked;
