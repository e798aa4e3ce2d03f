//! Lengths of time as people write them: `500ms`, `30s`, `4m`, `1h 30m`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// A non-negative length of time, read and written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

/// Why a text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a length of time: expected for example `500ms`, `30s`, `4m` or `1h 30m`")]
pub struct InvalidSpan(String);

impl Span {
    /// Whole seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// Milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The length as the standard library has it.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;
    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let invalid = || InvalidSpan(text.to_owned());
        let signed: jiff::SignedDuration = text.trim().parse().map_err(|_| invalid())?;
        Duration::try_from(signed).map(Self).map_err(|_| invalid())
    }
}

impl TryFrom<String> for Span {
    type Error = InvalidSpan;
    fn try_from(text: String) -> Result<Self, InvalidSpan> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let text = match millis {
            0 => "0s".to_owned(),
            m if m % 3_600_000 == 0 => format!("{}h", m / 3_600_000),
            m if m % 60_000 == 0 => format!("{}m", m / 60_000),
            m if m % 1_000 == 0 => format!("{}s", m / 1_000),
            m => format!("{m}ms"),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["0s", "500ms", "30s", "4m", "90m", "2h", "1500ms"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span, "{text}");
        }
        assert_eq!("1h 30m".parse::<Span>().unwrap(), Span::secs(5400));
    }

    #[test]
    fn a_negative_or_unitless_length_is_refused() {
        for bad in ["-5s", "30", "", "soon"] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?}");
        }
    }
}
