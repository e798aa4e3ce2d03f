//! Commands in hints, as they must be typed here.
//!
//! What the environment says holds for the next command too; what was typed must be typed again.

use std::path::Path;

use crate::cli::Global;

/// Commands that talk to the nodes of an inventory. All others find it in the plan of their run.
const OF_NODES: [&str; 10] =
    ["precheck", "plan", "upgrade", "rollback", "backup", "unlock", "health", "vip", "db", "sync"];
/// Commands that read or write runs.
const OF_RUNS: [&str; 9] = ["upgrade", "resume", "rollback", "finalize", "backup", "status", "runs", "confirm", "vip"];

/// The options that told this process where to look.
#[derive(Debug, Default)]
pub(crate) struct Typed {
    inventory: String,
    state_dir: String,
}

impl Typed {
    /// Of what was typed, that which is neither the default nor in the environment.
    pub(crate) fn new(global: &Global) -> Self {
        let option = |name: &str, value: &Path, variable: &str| match std::env::var_os(variable) {
            Some(known) if Path::new(&known) == value => String::new(),
            _ => format!(" {name} {}", quoted(&value.display().to_string())),
        };
        let inventory = &global.inventory;
        Self {
            inventory: match inventory.as_os_str() == "rollup.toml" {
                true => String::new(),
                false => option("-i", inventory, "ROLLUP_INVENTORY"),
            },
            state_dir: match &global.state_dir {
                Some(dir) => option("--state-dir", dir, "ROLLUP_STATE_DIR"),
                None => String::new(),
            },
        }
    }

    /// The text with the options after every `rollup COMMAND` in it that needs them.
    pub(crate) fn complete(&self, text: &str) -> String {
        let mut parts = text.split("rollup ");
        let mut complete = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(part.len());
            let command = &part[..end];
            let inventory = if OF_NODES.contains(&command) { &*self.inventory } else { "" };
            let state_dir = if OF_RUNS.contains(&command) { &*self.state_dir } else { "" };
            complete.push_str(&format!("rollup{inventory}{state_dir} {part}"));
        }
        complete
    }
}

/// ` NAME VALUE`, or nothing.
pub(crate) fn quoted_option(name: &str, value: Option<&Path>) -> String {
    value.map(|value| format!(" {name} {}", quoted(&value.display().to_string()))).unwrap_or_default()
}

/// A word as a shell reads it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_repeats_the_options_its_command_needs_and_no_others() {
        let typed = Typed { inventory: " -i a.toml".to_owned(), state_dir: " --state-dir 'my runs'".to_owned() };
        assert_eq!(typed.complete("mend it, then: rollup precheck"), "mend it, then: rollup -i a.toml precheck");
        assert_eq!(
            typed.complete("rollup resume X   # or: rollup rollback"),
            "rollup --state-dir 'my runs' resume X   # or: rollup -i a.toml --state-dir 'my runs' rollback"
        );
        assert_eq!(typed.complete("rollup upgrade"), "rollup -i a.toml --state-dir 'my runs' upgrade");
        assert_eq!(typed.complete("/var/lib/rollup is full"), "/var/lib/rollup is full");
        assert_eq!(Typed::default().complete("rollup rollback"), "rollup rollback");
    }

    #[test]
    fn a_word_is_quoted_only_when_a_shell_would_take_it_apart() {
        assert_eq!(quoted("/tmp/a-b_c.tar.gz"), "/tmp/a-b_c.tar.gz");
        assert_eq!(quoted("my runs"), "'my runs'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
