//! A position in the write-ahead log.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A position in the write-ahead log, written `%X/%X` by every engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lsn(pub u64);

/// Why a text is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a log position: expected for example `0/3000148`")]
pub struct InvalidLsn(String);

impl Lsn {
    /// How many bytes `behind` lacks of this position; 0 when it is ahead.
    pub fn lead_over(self, behind: Lsn) -> u64 {
        self.0.saturating_sub(behind.0)
    }
}

impl FromStr for Lsn {
    type Err = InvalidLsn;
    fn from_str(text: &str) -> Result<Self, InvalidLsn> {
        let half = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            digits.then(|| u32::from_str_radix(part, 16).ok()).flatten()
        };
        let halves = text.trim().split_once('/').and_then(|(high, low)| Some((half(high)?, half(low)?)));
        let (high, low) = halves.ok_or_else(|| InvalidLsn(text.to_owned()))?;
        Ok(Self(u64::from(high) << 32 | u64::from(low)))
    }
}

impl TryFrom<String> for Lsn {
    type Error = InvalidLsn;
    fn try_from(text: String) -> Result<Self, InvalidLsn> {
        text.parse()
    }
}

impl From<Lsn> for String {
    fn from(lsn: Lsn) -> String {
        lsn.to_string()
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_a_number_and_written_back_as_the_engines_write_it() {
        let lsn: Lsn = "1A/300F0\n".parse().unwrap();
        assert_eq!((lsn.0, lsn.to_string().as_str()), (0x1A_0003_00F0, "1A/300F0"));
        // As text `9/0` would be the later one.
        assert!("10/0".parse::<Lsn>().unwrap() > "9/FFFFFFFF".parse().unwrap());
        for bad in ["", "0", "/", "0/", "0/G", "+1/0", "0/100000000"] {
            assert!(bad.parse::<Lsn>().is_err(), "{bad:?}");
        }
    }
}
