//! How large tables are, where the database could be asked.

/// One table, as the database says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// What it takes, its partitions included and its indexes not, in bytes.
    pub bytes: u64,
}

/// What takes a moment to read or to write again, in bytes.
const SMALL: u64 = 8 << 20;
/// From where on nobody waits for it, in bytes.
const LARGE: u64 = 1 << 30;

/// What a size makes of a danger that lies in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Middling,
    Large,
}

pub(crate) fn size(bytes: u64) -> Size {
    match bytes {
        0..=SMALL => Size::Small,
        LARGE.. => Size::Large,
        _ => Size::Middling,
    }
}

/// The size of what is named so in SQL; without a schema the largest of that name. `None`: there is no such table.
pub(crate) fn bytes(tables: &[Table], named: &str) -> Option<u64> {
    let parts = parts(named);
    let (name, schema) = (parts.last()?, parts.iter().rev().nth(1));
    let is = |table: &&Table| table.table == *name && schema.is_none_or(|schema| table.schema == *schema);
    tables.iter().filter(is).map(|table| table.bytes).max()
}

/// The parts of a name, each as the catalog has it.
fn parts(named: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut quoted, mut before) = (false, ' ');
    for c in named.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                // A doubled quote closes and opens again, and stands for one.
                part.extend((quoted && before == '"').then_some('"'));
            }
            '.' if !quoted => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
        before = c;
    }
    parts.push(part);
    parts
}

/// For people.
pub(crate) fn shown(table: &str, bytes: u64) -> String {
    let plain: String = table.chars().filter(|c| !c.is_control()).take(40).collect();
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    match mebibytes < 1024.0 {
        true => format!("{plain} has {mebibytes:.1} MiB"),
        false => format!("{plain} has {:.1} GiB", mebibytes / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_the_largest_table_that_it_can_mean_db_5() {
        let table =
            |schema: &str, table: &str, bytes| Table { schema: schema.to_owned(), table: table.to_owned(), bytes };
        let tables = [table("a", "t", 1), table("b", "t", 2), table("b", "Odd.\"name", 3)];
        let of = |named| bytes(&tables, named);
        assert_eq!((of("t"), of("a.t"), of("\"t\""), of("c.t")), (Some(2), Some(1), Some(2), None));
        assert_eq!((of("b.\"Odd.\"\"name\""), of("db.a.t"), of("u")), (Some(3), Some(1), None));
        assert_eq!((size(0), size(SMALL + 1), size(LARGE)), (Size::Small, Size::Middling, Size::Large));
        assert_eq!((shown("t", 5 << 19).as_str(), shown("t", 3 << 30).as_str()), ("t has 2.5 MiB", "t has 3.0 GiB"));
    }
}
