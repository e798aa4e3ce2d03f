//! The archives, entry by entry.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use rollup_model::plan::hex;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

/// One archive, and what the reason for its refusal must say.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
    /// What it says when the archive lies on a node, whose programs see it first; none: the same.
    pub(crate) on_node: Option<&'static str>,
    pub(crate) make: Box<dyn Fn(&Path)>,
}

const MANIFEST: &str = "format = 1\nname = \"orders\"\nversion = \"2.0.0\"\n[[components]]\nsource = \"payload/app.jar\"\n\
    destination = \"/opt/orders/app.jar\"\nowner = \"orders\"\ngroup = \"orders\"\nmode = \"0644\"\n";

/// An entry as it will stand in the archive.
#[derive(Clone)]
struct Raw {
    name: Vec<u8>,
    link: &'static str,
    kind: EntryType,
    mode: u32,
    content: Vec<u8>,
    /// What the header claims, where that is not the truth.
    size: Option<u64>,
}

fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Raw {
    let (name, content) = (name.as_ref().to_vec(), content.as_ref().to_vec());
    Raw { name, link: "", kind: EntryType::Regular, mode: 0o644, content, size: None }
}

fn special(name: &str, kind: EntryType, link: &'static str) -> Raw {
    Raw { kind, link, ..file(name, "") }
}

fn good() -> Vec<Raw> {
    vec![file("rollup-package.toml", MANIFEST), file("payload/app.jar", "jar")]
}

fn with(extra: Raw) -> Vec<Raw> {
    let mut entries = good();
    entries.push(extra);
    entries
}

fn sums(entries: &[Raw]) -> Raw {
    let line = |raw: &Raw| format!("{}  {}\n", hex(&Sha256::digest(&raw.content)), String::from_utf8_lossy(&raw.name));
    file("SHA256SUMS", entries.iter().filter(|raw| raw.kind == EntryType::Regular).map(line).collect::<String>())
}

fn header(raw: &Raw) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..raw.name.len()].copy_from_slice(&raw.name);
    header.as_old_mut().linkname[..raw.link.len()].copy_from_slice(raw.link.as_bytes());
    header.set_entry_type(raw.kind);
    header.set_mode(raw.mode);
    header.set_size(raw.size.unwrap_or(raw.content.len() as u64));
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    header
}

fn tar(entries: &[Raw], ended: bool) -> Vec<u8> {
    let mut stream = Vec::new();
    for raw in entries {
        stream.extend_from_slice(header(raw).as_bytes());
        stream.extend_from_slice(&raw.content);
        stream.resize(stream.len().next_multiple_of(512), 0);
    }
    stream.resize(stream.len() + if ended { 1024 } else { 0 }, 0);
    stream
}

fn gzip(stream: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(stream).unwrap();
    encoder.finish().unwrap()
}

/// An archive of these entries and their checksums.
fn whole(mut entries: Vec<Raw>) -> Vec<u8> {
    entries.push(sums(&entries));
    gzip(&tar(&entries, true))
}

fn bytes(name: &'static str, reason: &'static str, make: impl Fn() -> Vec<u8> + 'static) -> Case {
    Case { name, reason, on_node: None, make: Box::new(move |path| std::fs::write(path, make()).unwrap()) }
}

/// A good package with one entry more.
fn entry(name: &'static str, reason: &'static str, extra: Raw) -> Case {
    bytes(name, reason, move || whole(with(extra.clone())))
}

/// A good package with a word of its manifest replaced.
fn manifest(name: &'static str, reason: &'static str, from: &'static str, to: &'static str) -> Case {
    bytes(name, reason, move || {
        assert!(MANIFEST.contains(from), "the sample has no {from}");
        whole(vec![file("rollup-package.toml", MANIFEST.replace(from, to)), file("payload/app.jar", "jar")])
    })
}

/// A zstd stream that is written piece by piece: too large to be held.
fn large(name: &'static str, reason: &'static str, write: fn(&mut dyn Write)) -> Case {
    let make = move |path: &Path| {
        let out = BufWriter::new(File::create(path).unwrap());
        let mut encoder = zstd::stream::write::Encoder::new(out, 1).unwrap();
        encoder.include_checksum(false).unwrap();
        write(&mut encoder);
        encoder.finish().unwrap().flush().unwrap();
    };
    Case { name, reason, on_node: None, make: Box::new(make) }
}

fn zeros(out: &mut dyn Write, count: u64) {
    let piece = vec![0; 1 << 20];
    for _ in 0..count >> 20 {
        out.write_all(&piece).unwrap();
    }
}

fn ten_gigabytes(out: &mut dyn Write) {
    const SIZE: u64 = 10 << 30;
    out.write_all(header(&Raw { size: Some(SIZE), ..file("payload/app.jar", "") }).as_bytes()).unwrap();
    zeros(out, SIZE);
}

fn three_times_three_gigabytes(out: &mut dyn Write) {
    const SIZE: u64 = 3 << 30;
    for name in ["payload/a", "payload/b", "payload/c"] {
        out.write_all(header(&Raw { size: Some(SIZE), ..file(name, "") }).as_bytes()).unwrap();
        zeros(out, SIZE);
    }
}

fn a_million_entries(out: &mut dyn Write) {
    for number in 0..1_000_000 {
        out.write_all(header(&file(format!("payload/{number}"), "")).as_bytes()).unwrap();
    }
    out.write_all(&[0; 1024]).unwrap();
}

fn endless_padding(out: &mut dyn Write) {
    let mut entries = good();
    entries.push(sums(&entries));
    out.write_all(&tar(&entries, true)).unwrap();
    zeros(out, 1 << 30);
}

pub(crate) fn cases() -> Vec<Case> {
    use EntryType::{Block, Char, Directory, Fifo, GNULongName, GNUSparse, Link, Symlink, XGlobalHeader, XHeader};
    let own = || whole(good());
    vec![
        entry("a name that leads out", "leads out of the package", file("payload/../../victim", "x")),
        entry("a name that leads out at once", "leads out of the package", file("../victim", "x")),
        entry("an absolute name", "is absolute", file("/etc/passwd", "x")),
        entry("a name with a dot in it", "shortest form", file("payload/./x", "x")),
        entry("a name with two slashes", "shortest form", file("payload//x", "x")),
        entry("a name with a backslash", "backslash", file("payload\\x", "x")),
        entry("a name with a line break", "control character", file("payload/a\nb", "x")),
        entry("a name with an escape sequence", "control character", file("payload/\u{1b}[2J", "x")),
        entry("a name that is not UTF-8", "is not UTF-8", file(b"payload/\xff", "x")),
        entry("a symbolic link to the outside", "a symbolic link", special("payload/l", Symlink, "/etc/passwd")),
        entry("a symbolic link to the inside", "a symbolic link", special("payload/l", Symlink, "app.jar")),
        entry("a hard link", "a hard link", special("payload/l", Link, "payload/app.jar")),
        entry("a character device", "a character device", special("payload/d", Char, "")),
        entry("a block device", "a block device", special("payload/d", Block, "")),
        entry("a named pipe", "a named pipe", special("payload/p", Fifo, "")),
        entry("a header for a long name", "a header for a long name", special("payload/x", GNULongName, "")),
        entry("an extended header", "an extended header", special("payload/x", XHeader, "")),
        entry("an extended header for all", "an extended header", special("payload/x", XGlobalHeader, "")),
        entry("a sparse file", "a sparse file", special("payload/x", GNUSparse, "")),
        entry("a setuid program", "no setuid", Raw { mode: 0o4755, ..file("payload/x", "x") }),
        entry("a setgid program", "no setuid", Raw { mode: 0o2755, ..file("payload/x", "x") }),
        entry("a sticky bit", "no setuid", Raw { mode: 0o1777, ..file("payload/x", "x") }),
        entry("a name twice", "more than once", file("payload/app.jar", "jar")),
        entry("a file that is a directory", "more than once", file("payload/app.jar/x", "x")),
        entry("a directory that is a file", "more than once", special("payload/app.jar/", Directory, "")),
        entry("two names that differ in case", "in the case of letters alone", file("payload/APP.jar", "x")),
        entry("two directories that differ in case", "in the case of letters alone", file("Payload/x", "x")),
        entry("a file where packages have none", "unexpected entry", file("etc/passwd", "x")),
        entry("a file that no component places", "no component places it", file("payload/more", "x")),
        bytes("a file that is not listed", "found unlisted", || {
            let mut entries = good();
            entries.push(sums(&entries));
            entries.push(file("payload/more", "x"));
            gzip(&tar(&entries, true))
        }),
        bytes("a listed file that is missing", "missing: payload/app.jar", || {
            let entries = good();
            gzip(&tar(&[entries[0].clone(), sums(&entries)], true))
        }),
        bytes("a wrong checksum", "has the wrong content", || {
            let entries = good();
            gzip(&tar(&[entries[0].clone(), file("payload/app.jar", "jam"), sums(&entries)], true))
        }),
        bytes("a checksum of a path outside", "leads out of the package", || {
            let list = file("SHA256SUMS", format!("{}  ../victim\n", "0".repeat(64)));
            gzip(&tar(&with(list), true))
        }),
        bytes("no manifest", "has no `rollup-package.toml`", || whole(vec![file("payload/app.jar", "jar")])),
        bytes("no checksums", "has no `SHA256SUMS`", || gzip(&tar(&good(), true))),
        manifest("a destination outside what is allowed", "is not allowed", "/opt/orders/", "/etc/cron.d/"),
        manifest("a destination that leads out", "leads out", "/opt/orders/", "/opt/../etc/"),
        manifest("a mode with setuid", "no setuid", "0644", "4755"),
        manifest(
            "an owner that is a command",
            "expected the name of an account",
            "\"orders\"\ngroup",
            "\"$(id)\"\ngroup",
        ),
        manifest("a name that is a path", "`name` is", "name = \"orders\"", "name = \"../x\""),
        manifest("an unknown key", "unknown field", "format = 1", "format = 1\nevil = 1"),
        manifest("another format", "`format` is 2", "format = 1", "format = 2"),
        Case {
            on_node: Some("unexpected end of file"),
            ..bytes("a truncated archive", "truncated", move || {
                let all = own();
                all[..all.len() - 20].to_vec()
            })
        },
        bytes("an archive without its end", "truncated", || {
            let mut entries = good();
            entries.push(sums(&entries));
            gzip(&tar(&entries, false))
        }),
        bytes("a second compressed stream", "nothing behind the end", || [whole(good()), gzip(b"x")].concat()),
        bytes("a second archive in the stream", "nothing behind the end", || {
            let mut entries = good();
            entries.push(sums(&entries));
            gzip(&[tar(&entries, true), tar(&[file("payload/x", "x")], true)].concat())
        }),
        bytes("a size that is a lie", "truncated", || {
            gzip(&tar(&with(Raw { size: Some(1 << 30), ..file("payload/x", "x") }), true))
        }),
        bytes("a damaged header", "damaged", || {
            let mut stream = tar(&good(), true);
            stream[0] ^= 1;
            gzip(&stream)
        }),
        bytes("no archive at all", "is not a package", || b"PK\x03\x04zip".to_vec()),
        bytes("nothing", "is not a package", Vec::new),
        large("ten gigabytes of zeros", "too large", ten_gigabytes),
        large("three files of three gigabytes", "too large", three_times_three_gigabytes),
        large("a million entries", "too many entries", a_million_entries),
        large("a gigabyte of padding", "too much padding", endless_padding),
        bytes("a window of 256 MiB", "damaged", || {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(28).unwrap();
            encoder.long_distance_matching(true).unwrap();
            encoder.write_all(&tar(&good(), true)).unwrap();
            encoder.finish().unwrap()
        }),
        bytes("a manifest of two megabytes", "a text is too large", || {
            whole(vec![file("rollup-package.toml", vec![b' '; 2 << 20]), file("payload/app.jar", "jar")])
        }),
    ]
}
