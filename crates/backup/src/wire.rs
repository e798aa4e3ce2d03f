//! How small files of a set come over the wire: one line each, whatever is in them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use rollup_remote::{Cmd, ReadOnly, Stdin};

/// Prints `NAME SIZE USER:GROUP MODE BASE64` for each file that is there. `$1` directory, then names in it.
const READ: &str = r#"
dir=$1; shift
for name in "$@"; do
  [ -f "$dir/$name" ] || continue
  printf '%s %s %s\n' "$name" "$(stat -c '%s %U:%G %a' "$dir/$name")" "$(base64 -w 0 < "$dir/$name")"
done
"#;

/// Puts a file into its place, whole. `$1` set directory, `$2` its name; stdin: its content.
const WRITE: &str = r#"
umask 077
mkdir -p "$1"
chmod 711 "$(dirname "$1")" "$1"
trap 'rm -f "$1/.$2.new"' EXIT
cat > "$1/.$2.new"
sync "$1/.$2.new"
mv -fT "$1/.$2.new" "$1/$2"
sync "$1"
"#;

/// A small file as it lies on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Small {
    pub(crate) bytes: Vec<u8>,
    pub(crate) owner: String,
    pub(crate) mode: String,
}

impl Small {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// One line of what `backup.read` prints. `owner` is `USER:GROUP`.
pub fn listed(name: &str, owner: &str, mode: &str, bytes: &[u8]) -> String {
    format!("{name} {} {owner} {mode} {}\n", bytes.len(), STANDARD.encode(bytes))
}

fn parse(text: &str) -> Result<BTreeMap<String, Small>> {
    text.lines()
        .map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            let [name, size, owner, mode, content] = words[..] else {
                bail!("expected five words, found {}", words.len())
            };
            let bytes = STANDARD.decode(content).with_context(|| format!("{name} arrived in another form"))?;
            // A file that grew between the two looks at it is none of ours.
            if size.parse() != Ok(bytes.len()) {
                bail!("{name} changed while it was read");
            }
            let (owner, mode) = (owner.to_owned(), mode.to_owned());
            Ok((name.to_owned(), Small { bytes, owner, mode }))
        })
        .collect()
}

/// Reads small files of a directory; those that are not there are left out.
pub(crate) async fn read(host: ReadOnly<'_>, dir: &str, names: &[&str]) -> Result<BTreeMap<String, Small>> {
    let args = [dir].into_iter().chain(names.iter().copied());
    let text = host.exec(&Cmd::read("backup.read", READ, args)).await?.stdout;
    parse(&text).with_context(|| format!("{dir} on {} cannot be read", host.name()))
}

/// The command that puts a small file into a set.
pub(crate) fn write(set_dir: &str, name: &str, bytes: Vec<u8>) -> Cmd {
    Cmd::mutate("backup.write", WRITE, [set_dir, name]).stdin(Stdin::Bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_survive_the_wire() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = listed("node-a/root-key.age", "root:root", "600", &bytes) + &listed("empty", "a:b", "644", b"");
        let read = parse(&text).unwrap();
        assert_eq!(read["node-a/root-key.age"].bytes, bytes);
        assert_eq!((read["empty"].bytes.len(), read["empty"].owner.as_str()), (0, "a:b"));
        assert!(parse("manifest.json 7 root:root 600 aGk=\n").is_err(), "another size");
        assert!(parse("cat: no such file\n").is_err());
    }
}
