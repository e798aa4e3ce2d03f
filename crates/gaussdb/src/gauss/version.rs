//! Versions: what `TOOL -V` and `select version()` print.
//!
//! Source: `configure`, `cmake/src/buildfunction.sh` of openGauss-server; the forms of GaussDB from public documents. The
//! setting `server_version` is `9.2.4` in all of them and tells nothing.

use serde::Serialize;

use super::{
    text::{Said, Shown},
    words::{Word, words},
};

/// What a version text says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadVersion {
    /// A version of this family.
    Version(Version),
    /// Another text, for example PostgreSQL's.
    Unknown(Shown),
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Version {
    /// Which product.
    pub product: Word<Product>,
    /// As printed, for example `505.2.1.SPC0800` or `6.0.0-RC1`.
    pub version: String,
    /// The numbers at its beginning, for example 505, 2, 1. A release candidate has those of its release.
    pub numbers: Vec<u32>,
    /// The commit it was built from, shortened.
    pub build: String,
    /// When it was built, in the product's format.
    pub compiled_at: Option<String>,
}

words! {
    /// A product of this family.
    Product {
        /// openGauss, the open source one.
        OpenGauss = "openGauss",
        /// GaussDB, version 5xx.
        GaussDbKernel = "GaussDB Kernel",
        /// The cluster manager of openGauss.
        OpenGaussCm = "openGauss CM",
    }
}

impl Version {
    /// Whether its numbers are at least these.
    pub fn is_at_least(&self, numbers: &[u32]) -> bool {
        self.numbers.as_slice() >= numbers
    }
}

impl ReadVersion {
    /// The version, if it is one.
    pub fn version(&self) -> Option<&Version> {
        match self {
            Self::Version(version) => Some(version),
            Self::Unknown(_) => None,
        }
    }
}

/// Reads what `TOOL -V` or `select version()` printed. `status`: the tool's exit status.
pub fn read(status: i32, text: &str) -> ReadVersion {
    let version = if status == 0 { Said::of(text).trimmed().find_map(version) } else { None };
    version.map_or_else(|| ReadVersion::Unknown(Shown::of(text)), ReadVersion::Version)
}

/// `… (PRODUCT VERSION build COMMIT) compiled at TIME commit …`.
fn version(line: &str) -> Option<Version> {
    let inside = |(at, _): (usize, &str)| {
        let (inside, after) = line.get(at + 1..)?.split_once(')')?;
        let (name, build) = inside.split_once(" build ")?;
        let (product, version) = name.rsplit_once(' ')?;
        Some((product, version, build, after))
    };
    let (product, version, build, after) = line.match_indices('(').take(8).find_map(inside)?;
    let numbers: Vec<u32> = version
        .split('.')
        .map_while(|part| {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part.get(..digits)?.parse().ok()
        })
        .collect();
    if numbers.is_empty() {
        return None;
    }
    let compiled = after.trim_start().strip_prefix("compiled at ").and_then(|rest| rest.split_once(" commit "));
    Some(Version {
        product: Word::of(product),
        version: version.to_owned(),
        numbers,
        build: build.to_owned(),
        compiled_at: compiled.map(|(time, _)| time.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gauss::fixtures::fixture;

    #[test]
    fn versions_of_tools_and_servers_are_read_db_1() {
        for (name, product, version, numbers, build) in [
            ("F13_version_tool", Product::OpenGauss, "6.0.0-RC1", [6, 0, 0].as_slice(), "ed7f8e37"),
            ("F13b_version_tool_gaussdb", Product::GaussDbKernel, "505.2.1.SPC0800", &[505, 2, 1], "01df718e"),
            ("F13c_version_server_v5", Product::OpenGauss, "5.0.0", &[5, 0, 0], "a07d57c3"),
            ("F13d_version_server_v1", Product::OpenGauss, "1.1.0", &[1, 1, 0], "392c0438"),
            ("F13e_version_server_gaussdb_507", Product::GaussDbKernel, "507.0.0", &[507, 0, 0], "1268bd4d"),
        ] {
            let (status, text) = fixture(name);
            let ReadVersion::Version(read) = read(status, text) else { panic!("{name}") };
            assert!(read.product.is(product), "{name}: {}", read.product);
            assert_eq!(
                (read.version.as_str(), read.numbers.as_slice(), read.build.as_str()),
                (version, numbers, build)
            );
            assert!(read.compiled_at.is_some_and(|time| time.starts_with("20")), "{name}");
        }
    }

    #[test]
    fn versions_are_compared_by_number_and_postgresql_is_none_of_them_db_1() {
        let (_, text) = fixture("F13_version_tool");
        let ReadVersion::Version(six) = read(0, text) else { panic!() };
        assert!(six.is_at_least(&[5, 1]) && six.is_at_least(&[6]) && !six.is_at_least(&[6, 0, 1]));
        for other in ["", "psql (PostgreSQL) 15.5 (Debian 15.5-0+deb12u1)", "x (openGauss build 1)", "(a b build c)"] {
            let ReadVersion::Unknown(_) = read(0, other) else { panic!("{other}") };
        }
        let ReadVersion::Unknown(_) = read(127, text) else { panic!("with status 127") };
    }
}
