//! How a pair looks from outside: what a way back must bring back, and what a refusal must leave alone.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bench::Bench;

/// Both nodes.
pub(crate) const NODES: [&str; 2] = ["node-a", "node-b"];
/// Where the lab's inventory puts backup sets.
pub(crate) const SETS: &str = "/var/backups/rollup";

/// Everything on a node that a run could touch but for its own records, as one text. Directories count: one that is
/// left behind is debris. The config sync counts as resting while its timer has it run, which it does by itself.
const SNAPSHOT: &str = r"
find /opt/orders /etc /var/backups -xdev ! -path '/etc/ssl/*' -printf '%p %y %m %U %G %s %T@\n' 2>/dev/null | sort
find /var/lib/postgresql -xdev -maxdepth 3 -printf '%p %y %m %U %G\n' | sort
systemctl list-units --all --plain --no-legend --type=service,timer | awk '{print $1, $3, $4}' | grep -v -e user@ -e session -e systemd- |
  sed -E -e 's/^(config-sync.service) (de)?activating .*/\1 inactive dead/' -e 's/^(config-sync.timer) active running/\1 active waiting/' | sort
ip -o -4 addr show | awk '{print $2, $4}'
";

/// What a way back must bring back on one node.
const PORTRAIT: &str = r#"
echo "version $(cat /opt/orders/VERSION)"
echo "runs $(curl -s -m 2 http://127.0.0.1:8080/health | grep -o '"version":"[^"]*"')"
echo "key $(sha256sum < /etc/orders/root.key | cut -c 1-16) $(stat -c '%a %U:%G' /etc/orders/root.key)"
find /opt/orders /etc/orders /etc/systemd/system/orders-*.service -type f ! -name root.key -exec sha256sum {} + | sort -k 2
find /opt/orders /etc/orders /etc/systemd/system/orders-*.service -printf 'node %p %y %m %u:%g\n' | sort
for unit in orders-api.service orders-worker.service postgresql@15-main.service keepalived.service config-sync.timer; do
    echo "unit $unit $(systemctl is-enabled $unit) $(systemctl is-active $unit)"
done
"#;

/// Orders that are there before anything else happens.
const SEED: &str = "set role orders; insert into orders (ref, item, node, created_at) \
    select 'seed-' || n, md5(n::text), 'seed', '2026-01-01' from generate_series(1, 2000) n;";
const SEED_SUM: &str = "select count(*) || ' ' || md5(string_agg(ref || item || node || created_at, ',' order by ref)) \
    from orders where ref like 'seed-%'";
const COLUMNS: &str = "select string_agg(column_name, ',' order by ordinal_position) from information_schema.columns \
    where table_name = 'orders'";

/// The first lines that only one of two texts has.
fn differing(before: &str, after: &str) -> Vec<String> {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) = (before.lines().collect(), after.lines().collect());
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    let new = after.difference(&before).map(|line| format!("+ {line}"));
    gone.take(20).chain(new.take(20)).collect()
}

impl Bench {
    /// Everything on both nodes that a run could touch.
    pub(crate) fn listings(&self) -> Result<Vec<String>> {
        NODES.iter().map(|node| self.lab.root_script(node, SNAPSHOT)).collect()
    }

    /// Insists that nothing of the pair is different from a listing taken before.
    pub(crate) fn insist_untouched(&self, before: &[String]) -> Result<()> {
        for ((node, before), after) in NODES.iter().zip(before).zip(self.listings()?) {
            let lines = differing(before, &after);
            ensure!(lines.is_empty(), "{node} is not as it was:\n{}", lines.join("\n"));
        }
        Ok(())
    }

    /// Code, configuration, root key and unit states of a node.
    pub(crate) fn portrait(&self, node: &str) -> Result<String> {
        self.lab.root_script(node, PORTRAIT)
    }

    /// The portraits of both nodes.
    pub(crate) fn portraits(&self) -> Result<Vec<String>> {
        NODES.iter().map(|node| self.portrait(node)).collect()
    }

    /// Insists that code, configuration, root keys and units of both nodes are as on a portrait taken before.
    pub(crate) fn insist_portraits(&self, before: &[String]) -> Result<()> {
        NODES.iter().zip(before).try_for_each(|(node, before)| self.insist_portrait(node, before))
    }

    /// Insists that one node is as on a portrait taken before.
    pub(crate) fn insist_portrait(&self, node: &str, before: &str) -> Result<()> {
        let differing = differing(before, &self.portrait(node)?);
        ensure!(differing.is_empty(), "{node} is not as before:\n{}", differing.join("\n"));
        Ok(())
    }

    /// Asks the database of a node, in whatever role it is.
    pub(crate) fn sql(&self, node: &str, sql: &str) -> Result<String> {
        let psql = self.lab.engine().psql();
        let script = format!("{psql} -qXAt -v ON_ERROR_STOP=1 -d orders <<'SQL'\n{sql}\nSQL\n");
        Ok(self.lab.root_script(node, &script)?.trim().to_owned())
    }

    /// Writes orders that every later state must have.
    pub(crate) fn seed(&self, primary: &str) -> Result<()> {
        self.sql(primary, SEED).map(drop)
    }

    /// Insists that both databases have the first orders, with or without the columns of newer versions.
    pub(crate) fn insist_database(&self, columns: &[&str], no_columns: &[&str]) -> Result<()> {
        let sums: Vec<_> = NODES.iter().map(|node| self.sql(node, SEED_SUM)).collect::<Result<_>>()?;
        ensure!(sums[0] == sums[1] && sums[0].starts_with("2000 "), "the first orders are not all there: {sums:?}");
        for node in NODES {
            let found = self.sql(node, COLUMNS)?;
            let has = |column: &&&str| found.split(',').any(|name| name == **column);
            ensure!(columns.iter().all(|column| has(&column)), "{node}: expected {columns:?} in {found}");
            ensure!(!no_columns.iter().any(|column| has(&column)), "{node}: expected no {no_columns:?} in {found}");
        }
        Ok(())
    }

    /// The name of the pair in its inventory.
    pub(crate) fn cluster(&self) -> String {
        format!("lab-{}", self.lab.name())
    }

    /// What `backup list` says, newest first.
    pub(crate) fn sets(&self) -> Result<Vec<Value>> {
        let said = self.rollup(&["--json", "backup", "list"])?.expect(0)?;
        let mut sets = said.json()?.as_array().cloned().with_context(|| format!("expected an array: {}", said.out))?;
        sets.sort_by_key(|set| std::cmp::Reverse(set["set"].as_str().unwrap_or_default().to_owned()));
        Ok(sets)
    }

    /// The name of the newest set with this purpose.
    pub(crate) fn newest_set(&self, purpose: &str) -> Result<String> {
        let sets = self.sets()?;
        let found = sets.iter().find(|set| set["purpose"] == purpose).and_then(|set| set["set"].as_str());
        Ok(found.with_context(|| format!("expected a set with purpose {purpose} in {sets:?}"))?.to_owned())
    }

    /// Takes a backup set of the pair as it stands; its name.
    pub(crate) fn create_set(&self) -> Result<String> {
        self.rollup(&["backup", "create", "--yes"])?.expect(0)?;
        self.newest_set("manual")
    }

    /// Writes another manifest of a set to both nodes: one that is whole, with another content.
    pub(crate) fn edit_manifest(&self, set: &str, edit: impl Fn(&mut Value)) -> Result<()> {
        for node in NODES {
            let path = format!("{SETS}/{set}/manifest.json");
            let mut manifest: Value = serde_json::from_str(&self.lab.root_script(node, &format!("cat {path}"))?)?;
            edit(&mut manifest);
            let manifest: backup::Manifest = serde_json::from_value(manifest)?;
            let text = String::from_utf8(manifest.bytes()?)?;
            self.lab
                .root_script(node, &format!("cat > {path} <<'MANIFEST'\n{text}\nMANIFEST\ntruncate -s -1 {path}"))?;
        }
        Ok(())
    }
}
