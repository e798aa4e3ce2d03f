//! The figures of `cargo xtask bench cutover`: samples in, JSON and a table out. Pure.

use rollup_lab::{Observed, VIP};
use serde_json::{Value, json};

use super::{
    cutover::{AIM_MS, Sample, WAYS},
    median, round,
};

/// Smallest, middle and largest of some numbers.
fn spread(numbers: impl Iterator<Item = f64>) -> Value {
    let numbers: Vec<f64> = numbers.collect();
    let smallest = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    json!({ "min": round(smallest), "median": round(median(&numbers)), "max": round(largest) })
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds and requests of a few minutes")]
fn gaps<'a>(seen: impl Iterator<Item = &'a Observed> + Clone) -> Value {
    json!({
        "read_gap_ms": spread(seen.clone().map(|seen| seen.traffic.read_gap_ms as f64)),
        "write_gap_ms": spread(seen.clone().map(|seen| seen.traffic.write_gap_ms as f64)),
        "failed": spread(seen.clone().map(|seen| seen.traffic.failed as f64)),
        "kept_failed": spread(seen.clone().map(|seen| seen.kept.as_ref().map_or(0, |kept| kept.failed) as f64)),
        "acknowledged": seen.clone().map(|seen| seen.traffic.acked_writes).sum::<u64>(),
        "lost": seen.map(|seen| seen.traffic.lost_writes.unwrap_or_default()).sum::<u64>(),
    })
}

/// What all rounds of one way saw.
pub(super) fn figures(samples: &[Sample]) -> Value {
    let mut figures = gaps(samples.iter().map(|sample| &sample.observed));
    figures["elect_ms"] = spread(samples.iter().map(|sample| sample.elect_ms));
    figures["nowhere_ms"] = spread(samples.iter().map(|sample| sample.observed.nowhere(VIP).as_secs_f64() * 1000.0));
    figures
}

/// Everything that was measured, and whether it is what was aimed at.
pub(super) fn result(rounds: usize, floor: &[Observed], rows: &[Value], hand: &[Vec<Sample>; 2]) -> Value {
    let gap = |figures: &Value, what: &str| figures[what]["median"].as_f64().unwrap_or(f64::INFINITY);
    let good = |row: &&Value| {
        let figures = &row["figures"];
        gap(figures, "read_gap_ms") <= AIM_MS.0 && gap(figures, "write_gap_ms") <= AIM_MS.1 && row["restored"] == true
    };
    let by_hand: Vec<Value> = if hand[0].is_empty() { Vec::new() } else { hand.iter().map(|s| figures(s)).collect() };
    let ratios = by_hand.iter().zip(WAYS).filter_map(|(hand, (way, _))| {
        let ours = &rows.iter().find(|row| row["flavour"] == "preempt" && row["way"] == way)?["figures"];
        let ratio = |what: &str| round(gap(ours, what) / gap(hand, what));
        Some(json!({ "way": way, "read_gap": ratio("read_gap_ms"), "write_gap": ratio("write_gap_ms") }))
    });
    json!({
        "rounds": rounds,
        "aim_ms": { "reads": AIM_MS.0, "writes": AIM_MS.1 },
        "floor": if floor.is_empty() { Value::Null } else { gaps(floor.iter()) },
        "flavours": rows,
        "by_hand": by_hand.iter().zip(WAYS).map(|(figures, (way, _))| json!({ "way": way, "figures": figures })).collect::<Vec<_>>(),
        "ratios": ratios.collect::<Vec<_>>(),
        "reached": rows.iter().all(|row| good(&row)),
    })
}

/// What people read.
pub(super) fn table(result: &Value) -> String {
    let mut text = format!(
        "\nswitchover of VIP and database under traffic, medians of {} (smallest–largest), milliseconds\n{:<21} {:<6} {:<11} {:>17} {:>8} {:>15} {:>16} {:>7} {:>6} {:>5}  restored\n",
        result["rounds"],
        "flavour",
        "way",
        "plan's choice",
        "elected",
        "nowhere",
        "read gap",
        "write gap",
        "failed",
        "kept",
        "lost"
    );
    let rows = |key: &str| result[key].as_array().cloned().unwrap_or_default();
    for row in rows("flavours") {
        let restored = if row["restored"] == true { "yes" } else { "NO" };
        text += &line(&word(&row["flavour"]), &word(&row["way"]), &word(&row["strategy"]), &row["figures"], restored);
    }
    for row in rows("by_hand") {
        text += &line("preempt, by hand", &word(&row["way"]), "priority", &row["figures"], "");
    }
    if !result["floor"].is_null() {
        text += &line("no switch (floor)", "", "", &result["floor"], "");
    }
    for ratio in rows("ratios") {
        text += &format!(
            "preempt, {}: ours / by hand: reads {}, writes {}\n",
            word(&ratio["way"]),
            ratio["read_gap"],
            ratio["write_gap"]
        );
    }
    let aim = &result["aim_ms"];
    let reached = if result["reached"] == true { "reached" } else { "NOT reached" };
    text + &format!("aim: reads {} ms, writes {} ms: {reached}\n", aim["reads"], aim["writes"])
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn line(flavour: &str, way: &str, strategy: &str, figures: &Value, restored: &str) -> String {
    let number = |what: &str, which: &str| figures[what][which].as_f64();
    let middle = |what: &str| number(what, "median").map_or_else(String::new, |middle| format!("{middle:.0}"));
    let wide = |what: &str| match (number(what, "min"), number(what, "max")) {
        (Some(min), Some(max)) => format!("{} ({min:.0}–{max:.0})", middle(what)),
        _ => String::new(),
    };
    format!(
        "{flavour:<21} {way:<6} {strategy:<11} {:>17} {:>8} {:>15} {:>16} {:>7} {:>6} {:>5}  {restored}\n",
        wide("elect_ms"),
        middle("nowhere_ms"),
        wide("read_gap_ms"),
        wide("write_gap_ms"),
        middle("failed"),
        middle("kept_failed"),
        figures["lost"],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_smallest_middle_and_largest() {
        assert_eq!(spread([3.0, 1.0, 2.0].into_iter()), json!({ "min": 1.0, "median": 2.0, "max": 3.0 }));
    }

    #[test]
    fn a_gap_above_the_aim_or_a_file_that_differs_is_not_reached() {
        let row = |read: f64, restored: bool| {
            json!({
                "flavour": "preempt", "way": "there", "strategy": "priority", "restored": restored,
                "figures": { "read_gap_ms": { "median": read }, "write_gap_ms": { "median": 250.0 } },
            })
        };
        let reached = |row: Value| result(1, &[], &[row], &[Vec::new(), Vec::new()])["reached"].clone();
        assert_eq!(reached(row(12.0, true)), true);
        assert_eq!(reached(row(31.0, true)), false);
        assert_eq!(reached(row(12.0, false)), false);
    }

    #[test]
    fn what_was_not_measured_leaves_no_figures_in_the_table() {
        let shown = table(&result(1, &[], &[], &[Vec::new(), Vec::new()]));
        assert!(!shown.contains("floor") && !shown.contains("by hand:"), "{shown}");
    }
}
