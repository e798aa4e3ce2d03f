//! The longest times without a success, and how long answers take. Pure: numbers in, numbers out.

use std::time::Duration;

/// A stretch of time without a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// When it began, as an offset into the run.
    pub(super) start: Duration,
    /// How long it lasted.
    pub(super) length: Duration,
}

/// The `count` longest stretches between successive successes, longest first.
///
/// The ends of the run count as bounds: a service that never came back must not look like one that was never away.
pub(super) fn longest(mut successes: Vec<Duration>, end: Duration, count: usize) -> Vec<Stretch> {
    successes.sort_unstable();
    let bounds = std::iter::once(Duration::ZERO).chain(successes).chain(std::iter::once(end));
    let mut stretches = Vec::new();
    let mut last: Option<Duration> = None;
    for at in bounds {
        if let Some(start) = last {
            stretches.push(Stretch { start, length: at.saturating_sub(start) });
        }
        last = Some(at);
    }
    stretches.sort_by_key(|stretch| (std::cmp::Reverse(stretch.length), stretch.start));
    stretches.truncate(count);
    stretches
}

/// The smallest of these sorted lengths that at least this share of them does not exceed; zero for none.
pub(super) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(values: &[u64]) -> Vec<Duration> {
        values.iter().copied().map(Duration::from_millis).collect()
    }

    fn found(successes: &[u64], end: u64, count: usize) -> Vec<(u128, u128)> {
        let stretches = longest(millis(successes), Duration::from_millis(end), count);
        stretches.iter().map(|stretch| (stretch.start.as_millis(), stretch.length.as_millis())).collect()
    }

    #[test]
    fn a_quantile_is_one_of_the_lengths() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(quantile(&millis(&hundred), 0.99), Duration::from_millis(99));
        assert_eq!(quantile(&millis(&[7]), 0.5), Duration::from_millis(7));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }

    #[test]
    fn successes_of_several_clients_are_put_in_order_first() {
        assert_eq!(found(&[10, 300, 20, 290, 310], 320, 2), [(20, 270), (0, 10)]);
    }

    #[test]
    fn a_service_that_never_came_back_is_a_gap_until_the_end() {
        assert_eq!(found(&[10, 20], 5_000, 1), [(20, 4_980)]);
    }

    #[test]
    fn no_success_at_all_is_one_gap_as_long_as_the_run() {
        assert_eq!(found(&[], 1_000, 3), [(0, 1_000)]);
    }
}
