//! Whether a package comes from whom the operator trusts (PKG-1).
//!
//! The signature will be over `SHA256SUMS`, which covers every other file, so this is the one place that has to change.

use rollup_model::inventory::PackagePolicy;

use crate::PackageError;

/// Refuses a package that the policy does not accept. Called before anything in the package is believed.
pub(crate) fn check(policy: &PackagePolicy) -> Result<(), PackageError> {
    if policy.allow_unsigned { Ok(()) } else { Err(PackageError::Unsigned) }
}
