//! Whether a package is accepted, as a finding (PRE-9).

use std::path::Path;

use rollup_model::{Check, Finding, Release};

use crate::PackageError;

/// The checks that need no node.
pub const CHECKS: [Check; 1] =
    [Check::new("package.accepted", "PRE-9", "signature, checksums, manifest and migrations of the package")
        .never_waived()];

/// What reading a package says of it.
pub fn accepted(file: &Path, read: Result<&Release, &PackageError>) -> Finding {
    let expected = "a package that is whole, well-formed and allowed by [package] of the inventory";
    match read {
        Ok(release) => {
            let Release { name, version, components, migrations, .. } = release;
            let (files, changes) = (components.len(), migrations.len());
            let by =
                release.signer.as_ref().map_or_else(|| "unsigned".to_owned(), |by| format!("signed by {}", by.key));
            let found = format!("{name} {version}, {by}: {files} files, {changes} migrations");
            Finding::check("package.accepted", "PRE-9", true, expected, found)
        }
        Err(error) => {
            let fix = error.hint().map_or_else(|| format!("rollup pkg verify {}", file.display()), str::to_owned);
            let finding = Finding::check("package.accepted", "PRE-9", false, expected, error.to_string());
            finding.fix(fix).evidence(file.display().to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_refused_is_a_finding_with_the_way_out_pre_9() {
        let unsigned = PackageError::Unsigned { path: "x.tar.gz.minisig".into() };
        let refused = accepted(Path::new("x.tar.gz"), Err(&unsigned));
        assert_eq!(refused.severity, rollup_model::Severity::Error);
        assert!(refused.fix.unwrap().contains("package.allow_unsigned"));
        let unknown = PackageError::NotText { entry: "m.sql".to_owned() };
        assert_eq!(accepted(Path::new("x.tar.gz"), Err(&unknown)).fix.unwrap(), "rollup pkg verify x.tar.gz");
    }
}
