//! When the next pass comes.

use crate::decide::retry;
use crate::decide::status::Summary;
use std::time::Duration;

/// When passes happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// From one pass to the next.
    pub scan: Duration,
    /// From one look at the tags to the next.
    pub tags: Duration,
}

/// How long a pass waits (R14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// LIO has hung if it takes longer over one step.
    pub step: Duration,
    /// For all manifests of a pass, and again for all objects that are asked about one by one.
    pub objects: Duration,
    /// For all that IMS and S3 are asked in a pass, those included.
    pub upstream: Duration,
}

/// Passes and polls are never this late by themselves: only what was lost is.
const OVERDUE: Duration = Duration::from_secs(60);

/// Whether a pass that should have begun so long ago will not begin any more: a reconciler that waits for it must not say
/// that it lives (R14).
pub fn is_overdue(late: Duration) -> bool {
    late > OVERDUE
}

/// The one place that decides when the next pass comes. A retry is cut by `lot`, any number.
pub fn next_delay(
    summary: &Summary,
    failures: u32,
    cadence: &Cadence,
    confirm_after: Duration,
    lot: u32,
) -> Duration {
    let retry = (failures > 0).then(|| retry::after_failed_passes(failures, cadence.scan, lot));
    let second_look = (summary.waiting_for_second_look > 0).then_some(confirm_after);
    [retry, second_look].into_iter().flatten().fold(cadence.scan, Duration::min)
}

/// When the tags are looked at first; then each [`Cadence::tags`]. Agents that start together, because the machine room
/// does, look at different moments from then on.
pub fn first_poll(cadence: &Cadence, lot: u32) -> Duration {
    retry::cut_by(lot, cadence.tags)
}

#[cfg(test)]
mod fleet;

#[cfg(test)]
mod tests {
    use super::*;

    const CADENCE: Cadence = Cadence { scan: Duration::from_secs(180), tags: Duration::from_secs(5) };

    fn seconds(waiting_for_second_look: usize, failures: u32) -> u64 {
        let summary = Summary { waiting_for_second_look, ..Summary::default() };
        next_delay(&summary, failures, &CADENCE, Duration::from_secs(20), 0).as_secs()
    }

    #[test]
    fn agents_that_failed_together_come_back_one_after_the_other() {
        let after = |failures, lot| {
            next_delay(&Summary::default(), failures, &CADENCE, Duration::MAX, lot).as_secs_f64()
        };
        assert_eq!((after(3, 0), after(3, u32::MAX)), (20.0, 10.0));
        assert_eq!((after(30, 0), after(30, u32::MAX)), (180.0, 90.0), "a long outage too");
        assert_eq!((after(0, 0), after(0, u32::MAX)), (180.0, 180.0), "what is well is not hurried");
        let fleet: std::collections::BTreeSet<u64> =
            (0..50).map(|n| (after(30, u32::MAX / 50 * n) * 10.0) as u64).collect();
        assert_eq!(fleet.len(), 50, "spread over a minute and a half");
    }

    #[test]
    fn the_next_pass_comes_with_the_scan_the_second_look_or_the_retry_whichever_is_first() {
        assert_eq!(seconds(0, 0), 180);
        assert_eq!(seconds(1, 0), 20);
        assert_eq!(seconds(1, 1), 5);
        assert_eq!(seconds(1, 4), 20);
    }

    #[test]
    fn retries_double_up_to_the_scan_frequency_and_never_overflow() {
        let delays: Vec<u64> = (1..8).map(|failures| seconds(0, failures)).collect();
        assert_eq!(delays, [5, 10, 20, 40, 80, 160, 180]);
        assert_eq!(seconds(0, u32::MAX), 180);
    }
}
