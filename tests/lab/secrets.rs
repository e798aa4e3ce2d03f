//! Where a root key must never be: in whatever a run writes, says, or shows in the list of processes (BAK-2).
//!
//! A set holds the key encrypted, so what is looked for is the key's bytes themselves, as they are, as hex and as base64.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context, Result, ensure};

use crate::{
    bench::{Bench, Said, pause},
    pair::NODES,
};

/// Looks for needles in everything a node keeps; archives are opened. The needles come on standard input, never in argv.
const SEARCH: &str = r"
found() { while read -r line; do echo $1: $line; done; }
grep -rlaF -D skip -f /dev/shm/needles /var/lib/rollup /var/backups /tmp /var/tmp /var/log /run /root /home 2>/dev/null | grep -v ^/run/credentials | found file
journalctl --no-pager -o export | grep -caF -f /dev/shm/needles | grep -v '^0$' | found journal
find /var/backups -name '*.zst' | while read -r archive; do
    zstd -dcq $archive | grep -qaF -f /dev/shm/needles && echo archive: $archive
done
rm -f /dev/shm/needles
";

/// A look over the shoulder of everything that runs: what runs on a node is seen on the host, too.
pub(crate) struct Watch<'a> {
    bench: &'a Bench,
    keys: Vec<Vec<u8>>,
    ended: Arc<AtomicBool>,
    looker: Option<JoinHandle<BTreeSet<Vec<u8>>>>,
}

impl<'a> Watch<'a> {
    /// Starts to watch; the keys of now are remembered.
    pub(crate) fn start(bench: &'a Bench) -> Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let looker = std::thread::spawn({
            let ended = Arc::clone(&ended);
            move || command_lines(&ended)
        });
        let mut watch = Self { bench, keys: Vec::new(), ended, looker: Some(looker) };
        watch.remember()?;
        Ok(watch)
    }

    /// Remembers the keys of now, too: an upgrade makes new ones.
    pub(crate) fn remember(&mut self) -> Result<()> {
        for node in NODES {
            let key = fs::read(self.bench.lab.disk_path(node, "/etc/orders/root.key"))?;
            ensure!(key.len() > 20, "expected a root key on {node}, found {} bytes", key.len());
            self.keys.push(key);
        }
        Ok(())
    }

    /// Insists that no key is in what was said, written or run.
    pub(crate) fn insist_nothing_told(mut self, said: &[&Said]) -> Result<()> {
        self.remember()?;
        let needles: Vec<String> = self.keys.iter().flat_map(|key| needles(key)).collect();
        self.ended.store(true, Ordering::SeqCst);
        let seen = self.looker.take().and_then(|looker| looker.join().ok()).context("the looker panicked")?;
        for (number, said) in said.iter().enumerate() {
            for needle in &needles {
                ensure!(!said.out.contains(needle), "standard output of command {number} has a root key");
                ensure!(!said.err.contains(needle), "standard error of command {number} has a root key");
            }
        }
        let mut told = Vec::new();
        search(self.bench.state(), &needles, &mut told)?;
        ensure!(told.is_empty(), "a root key is in {told:?}");
        ensure!(seen.len() > 1000, "too few command lines were seen: {}", seen.len());
        for line in &seen {
            ensure!(!has_one(line, &needles), "a root key is in a command line: {}", String::from_utf8_lossy(line));
        }
        for node in NODES {
            let text = needles.join("\n");
            let put = format!("cat > /dev/shm/needles <<'NEEDLES'\n{text}\nNEEDLES\n");
            self.bench.lab.root_script(node, &put)?;
            let found = self.bench.lab.root_script(node, SEARCH)?;
            ensure!(found.is_empty(), "a root key of the pair is on {node} in:\n{found}");
        }
        Ok(())
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// The command lines of everything that runs on this machine, its labs' nodes among it, until it is enough.
fn command_lines(ended: &AtomicBool) -> BTreeSet<Vec<u8>> {
    let mut seen = BTreeSet::new();
    while !ended.load(Ordering::SeqCst) {
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            // Whoever has ended meanwhile says nothing; a thread of the kernel has no command line.
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if !line.is_empty() && !seen.contains(&line) {
                seen.insert(line);
            }
        }
        pause(10);
    }
    seen
}

/// Files below a directory, or a file, that have one of the needles.
fn search(path: &Path, needles: &[String], told: &mut Vec<String>) -> Result<()> {
    if path.is_dir() {
        return fs::read_dir(path)?.try_for_each(|entry| search(&entry?.path(), needles, told));
    }
    // A socket or a pipe holds nothing.
    let Ok(bytes) = fs::read(path) else { return Ok(()) };
    if has_one(&bytes, needles) {
        told.push(path.display().to_string());
    }
    Ok(())
}

fn has_one(bytes: &[u8], needles: &[String]) -> bool {
    needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle.as_bytes()))
}

/// The forms in which a key could be written down.
fn needles(key: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(key).trim().to_owned();
    let mut forms = vec![text.clone(), hex(text.as_bytes())];
    forms.extend(base64_anywhere(text.as_bytes()));
    let digits: Option<Vec<u8>> =
        (0..text.len() / 2).map(|at| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()).collect();
    // The lab's keys are hex digits themselves: the bytes they stand for are the key as well.
    forms.extend(digits.into_iter().flat_map(|bytes| base64_anywhere(&bytes)));
    let upper: Vec<_> = forms.iter().take(2).map(|form| form.to_uppercase()).collect();
    forms.extend(upper);
    forms
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What base64 makes of the bytes at each of the three offsets they can have in a longer text, without the characters
/// that neighbours have a part in.
fn base64_anywhere(bytes: &[u8]) -> Vec<String> {
    (0..3)
        .map(|skipped| {
            let whole = &bytes[skipped..];
            base64(&whole[..whole.len() / 3 * 3])
        })
        .collect()
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks_exact(3).flat_map(|three| {
        let all = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(all >> shift & 63) as usize]))
    });
    digits.collect()
}
