//! Lengths of time, times of day and foreign text, as people read them.

use jiff::Timestamp;

use crate::Style;

/// What an action wants people to see of its evidence: its field `summary`, else nothing.
pub(crate) fn summary(evidence: &serde_json::Value) -> &str {
    evidence.get("summary").and_then(serde_json::Value::as_str).unwrap_or_default()
}

/// A length of time: `0.4s`, `23s`, `4m 10s`, `1h 05m`.
pub fn duration(millis: u64) -> String {
    let tenths = millis.saturating_add(50) / 100;
    if tenths < 100 {
        return format!("{}.{}s", tenths / 10, tenths % 10);
    }
    let seconds = millis.saturating_add(500) / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Seconds with one digit after the point, rounded up: an interruption is never shown shorter than it was.
pub fn seconds(millis: u64) -> String {
    let tenths = millis.div_ceil(100);
    format!("{}.{}s", tenths / 10, tenths % 10)
}

/// Bytes: `512 B`, `1.5 KiB`, `32.0 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (1..UNITS.len()).rev().find(|power| bytes >= 1 << (10 * (power + 1))).unwrap_or(0);
    let unit: u64 = 1 << (10 * (power + 1));
    // Tenths without floating point; the rest below a tenth is cut off.
    let (whole, tenth) = (bytes / unit, (bytes % unit) * 10 / unit);
    format!("{whole}.{tenth} {}", UNITS[power])
}

/// Milliseconds from one moment to a later one; zero when the clock was set back in between.
pub(crate) fn millis_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or_default()
}

/// `03:12:04`.
pub(crate) fn time_of_day(at: Timestamp, style: &Style) -> String {
    at.to_zoned(style.zone.clone()).strftime("%H:%M:%S").to_string()
}

/// `2026-11-20 03:12:04`, for lines that are read next to others of the same zone.
pub(crate) fn stamp(at: Timestamp, style: &Style) -> String {
    at.to_zoned(style.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `2026-11-20 03:12:04 UTC`.
pub(crate) fn date(at: Timestamp, style: &Style) -> String {
    at.to_zoned(style.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// Foreign text on one line. What machines answer may hold line ends, tabs and escape codes, and a terminal would obey
/// them.
pub fn one_line(text: &str) -> String {
    let text = console::strip_ansi_codes(text);
    let visible: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Foreign text with its line ends and indents kept (a caret points at the line above it) and everything else that a
/// terminal would obey taken out.
pub(crate) fn clean_lines(text: &str) -> Vec<String> {
    let clean = |line: &str| {
        let indent = line.len() - line.trim_start_matches(' ').len();
        format!("{:indent$}{}", "", one_line(line))
    };
    text.lines().filter(|line| !one_line(line).is_empty()).map(clean).collect()
}

/// `1 step`, `2 steps`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// A try that failed, and when the next one follows.
pub(crate) fn retried(attempt: u32, pause_ms: u64) -> String {
    match pause_ms {
        0 => format!("try {attempt} failed, again at once"),
        pause => format!("try {attempt} failed, again in {}", seconds(pause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_read_as_people_say_them() {
        for (millis, text) in [
            (0, "0.0s"),
            (380, "0.4s"),
            (9_949, "9.9s"),
            (9_950, "10s"),
            (23_400, "23s"),
            (59_600, "1m 00s"),
            (250_000, "4m 10s"),
            (3_900_000, "1h 05m"),
            (u64::MAX, "5124095576030h 25m"),
        ] {
            assert_eq!(duration(millis), text, "{millis}");
        }
    }

    #[test]
    fn bytes_read_as_people_say_them() {
        for (size, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (32 << 20, "32.0 MiB"), (5 << 30, "5.0 GiB")]
        {
            assert_eq!(bytes(size), text);
        }
        assert_eq!(bytes(u64::MAX), "16383.9 PiB");
    }

    #[test]
    fn an_interruption_is_never_shown_shorter_than_it_was() {
        assert_eq!(seconds(0), "0.0s");
        assert_eq!(seconds(1), "0.1s");
        assert_eq!(seconds(73_400), "73.4s");
        assert_eq!(seconds(240_001), "240.1s");
    }

    #[test]
    fn foreign_text_cannot_command_the_terminal() {
        assert_eq!(one_line("\u{1b}[2Jgone\r\n\tback\u{7}"), "gone back");
        assert_eq!(clean_lines("a\n\n b\u{1b}[31m\n"), ["a", " b"]);
    }
}
