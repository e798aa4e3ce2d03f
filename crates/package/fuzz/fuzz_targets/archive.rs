//! Any bytes as the tar stream of a package: nothing panics, and what is accepted keeps every promise that those who
//! place its files rely on.
//!
//! The stream is compressed here, so that the fuzzer works on headers and not on deflate. Checksums of tar headers are put
//! right where a block looks like one, or nothing would get past the first.

#![no_main]

use std::{cell::RefCell, fs, io::Write};

use libfuzzer_sys::fuzz_target;
use rollup_model::inventory::PackagePolicy;

// Modules and not the crate: only what is fuzzed is instrumented, and no ssh is built.
#[path = "../../src/archive.rs"]
#[expect(dead_code, reason = "the crate uses more of it")]
mod archive;
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/manifest.rs"]
#[expect(dead_code, reason = "the crate uses more of it")]
mod manifest;
#[path = "../../src/migration.rs"]
mod migration;
#[path = "../../src/name.rs"]
mod name;
#[path = "../../src/read.rs"]
mod read;
#[path = "../../src/signature.rs"]
#[expect(dead_code, reason = "the crate uses more of it")]
mod signature;
#[path = "../../src/sums.rs"]
#[expect(dead_code, reason = "the crate uses more of it")]
mod sums;
#[path = "../../src/version.rs"]
mod version;

pub use error::PackageError;
pub use manifest::Manifest;
pub use name::{MANIFEST, SUMS};

const BLOCK: usize = 512;

thread_local! {
    static FILE: RefCell<tempfile::NamedTempFile> = RefCell::new(tempfile::NamedTempFile::new().expect("a file"));
}

fuzz_target!(|bytes: &[u8]| hold(bytes));

fn hold(bytes: &[u8]) {
    let mut stream = bytes.to_vec();
    for block in stream.chunks_exact_mut(BLOCK) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    FILE.with_borrow_mut(|file| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        encoder.write_all(&stream).expect("memory takes everything");
        fs::write(file.path(), encoder.finish().expect("memory takes everything")).expect("a file takes everything");
        let policy = PackagePolicy { allow_unsigned: true, ..PackagePolicy::default() };
        for read in [read::read(file.path(), &policy), plain(file.path(), &policy)].into_iter().flatten() {
            promises(&read.0);
        }
    });
}

/// The same bytes as somebody else's archive.
fn plain(path: &std::path::Path, policy: &PackagePolicy) -> Result<(rollup_model::Release, read::Listing), PackageError> {
    thread_local! {
        static BESIDE: tempfile::NamedTempFile = {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            let component = "source = \"payload/app.jar\"\ndestination = \"/opt/a\"\nowner = \"o\"\ngroup = \"o\"\nmode = \"0644\"";
            write!(file, "format = 1\nname = \"x\"\nversion = \"1\"\n[[components]]\n{component}\n").expect("a file");
            file
        };
    }
    BESIDE.with(|beside| read::read_beside(path, beside.path(), policy))
}

fn promises(release: &rollup_model::Release) {
    for file in release.staged() {
        assert!(is_plain(file.source), "{:?}", file.source);
        assert_eq!(file.sha256.len(), 64);
    }
    for component in &release.components {
        let below = ["/opt/", "/usr/local/", "/srv/"].iter().any(|place| component.destination.starts_with(place));
        assert!(below && is_plain(&component.destination[1..]), "{:?}", component.destination);
        assert!(component.mode.len() == 4 && component.mode.starts_with('0'), "{:?}", component.mode);
    }
}

fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && !path.chars().any(char::is_control)
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}
