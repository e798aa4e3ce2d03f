//! Versions as packages write them: dotted numbers, compared number by number.

use std::cmp::Ordering;

/// The numbers of a version such as `2.0.1`; nothing when it is not one.
pub(crate) fn numbers(text: &str) -> Option<Vec<u64>> {
    let parse = |part: &str| {
        // `parse` alone would accept `+1`.
        let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if plain { part.parse().ok() } else { None }
    };
    text.split('.').map(parse).collect()
}

/// Compares two lists of numbers as versions: `2.0` and `2.0.0` are the same.
pub(crate) fn compare(left: &[u64], right: &[u64]) -> Ordering {
    let length = left.len().max(right.len());
    let padded =
        |numbers: &[u64]| -> Vec<u64> { numbers.iter().copied().chain(std::iter::repeat(0)).take(length).collect() };
    padded(left).cmp(&padded(right))
}

/// Whether a text is a version, perhaps with a suffix such as `-rc.1`.
pub(crate) fn is_version(text: &str) -> bool {
    let (base, suffix) = text.split_once('-').map_or((text, None), |(base, suffix)| (base, Some(suffix)));
    let good_suffix = |suffix: &str| {
        !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
    };
    text.len() <= 64 && numbers(base).is_some() && suffix.is_none_or(good_suffix)
}

/// Whether a text is a version, `*`, or the beginning of a version and `.*`.
pub(crate) fn is_pattern(text: &str) -> bool {
    text == "*" || text.strip_suffix(".*").map_or_else(|| is_version(text), |base| numbers(base).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number_and_not_by_letter() {
        let order = |left, right| compare(&numbers(left).unwrap(), &numbers(right).unwrap());
        assert_eq!(order("1.10.0", "1.9"), Ordering::Greater);
        assert_eq!(order("2", "2.0.0"), Ordering::Equal);
    }

    #[test]
    fn what_is_not_a_version_is_not_taken_for_one() {
        for bad in ["", "1.", ".1", "v1", "1.+2", "1 .2", "99999999999999999999999", "1.2-", "1.2-a/b"] {
            assert!(!is_version(bad), "{bad:?}");
        }
        for good in ["1", "2.0.1", "2.0.0-rc.1"] {
            assert!(is_version(good), "{good:?}");
        }
        assert!(is_pattern("1.*") && is_pattern("*") && is_pattern("1.2.3"));
        assert!(!is_pattern("1*") && !is_pattern(".*") && !is_pattern("*.1"));
    }
}
