//! When the next pass comes.

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
}

/// First retry after a pass in which something did not answer or did not come about; doubled up to the scan frequency.
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// The one place that decides when the next pass comes.
pub fn next_delay(summary: &Summary, failures: u32, cadence: &Cadence, confirm_after: Duration) -> Duration {
    let retry = (failures > 0).then(|| FIRST_RETRY.saturating_mul(1 << (failures - 1).min(16)));
    let second_look = (summary.waiting_for_second_look > 0).then_some(confirm_after);
    [retry, second_look].into_iter().flatten().fold(cadence.scan, Duration::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CADENCE: Cadence = Cadence { scan: Duration::from_secs(180), tags: Duration::from_secs(5) };

    fn seconds(waiting_for_second_look: usize, failures: u32) -> u64 {
        let summary = Summary { waiting_for_second_look, ..Summary::default() };
        next_delay(&summary, failures, &CADENCE, Duration::from_secs(20)).as_secs()
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
