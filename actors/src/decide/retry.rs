//! How often the services that others run are asked again, and how long a pass waits for them: every number of it, and why.
//! IMS is asked once, the next pass or poll asks again; S3 several times in one request; SPIRE once, with a deadline. What
//! runs on this node (targetclid) is waited for in `src/targetclid/turn.rs`.

use std::time::Duration;

/// First retry after a pass in which something did not answer or did not come about; doubled up to the scan frequency.
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// The longest wait for SPIRE: an agent that waits for its server may take 30 s, and a pass has other things to do.
pub const IDENTITY_LIMIT: Duration = Duration::from_secs(5);

/// The longest that IMS is left alone because its gateway said so (429 or 503 with Retry-After): less than the usual time
/// from one pass to the next, so that a mistyped hour costs no boot.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// When the next pass comes after so many that failed, one after the other.
pub fn after_failed_passes(failures: u32, longest: Duration, lot: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    cut_by(lot, FIRST_RETRY.saturating_mul(1 << doublings).min(longest))
}

/// Between half of the time and all of it, by `lot`, any number: agents that begin together, or failed together because
/// one service did, do not come back together.
pub fn cut_by(lot: u32, whole: Duration) -> Duration {
    whole - whole.mul_f64(f64::from(lot) / f64::from(u32::MAX) / 2.0)
}

/// How long IMS is left alone: seconds, as Retry-After has them. A date, which it may have too, is not heeded: it would
/// need a clock that agrees.
pub fn retry_after(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

/// The attempts of one request to S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// A gateway that restarts, or asks to slow down while the machine room boots, is worth some; one that is down is
    /// asked again next pass.
    pub count: u32,
    /// One that hangs leaves time for another one.
    pub limit: Duration,
    /// Before the second; doubled before each further one, and each time cut by lot. Together the waits take less than
    /// half of the time that a request has: what is refused at once, each time, is told as what it is, not as a timeout.
    pub first_wait: Duration,
    /// Before any.
    pub longest_wait: Duration,
}

/// Of a request that has so long.
pub fn s3_attempts(timeout: Duration) -> Attempts {
    Attempts {
        count: 4,
        limit: timeout / 2,
        first_wait: Duration::from_secs(1).min(timeout / 16),
        longest_wait: Duration::from_secs(5),
    }
}

/// For all that IMS and S3 are asked in one pass, however many requests that is. IMS may need a token, refuse it, and be
/// asked with a new one; and of S3's three rounds (listing, manifests, what may be gone) two may take all of their time:
/// one that is so slow that the third has none left is as good as silent.
pub fn upstream_limit(ims_timeout: Duration, s3_timeout: Duration) -> Duration {
    2 * (IDENTITY_LIMIT + ims_timeout) + 2 * s3_timeout
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_last_of_four_attempts_comes_some_seconds_after_the_first() {
        let usual = s3_attempts(60 * SECOND);
        assert_eq!((usual.count, usual.first_wait, usual.longest_wait), (4, SECOND, 5 * SECOND));
    }

    #[test]
    fn the_waits_leave_half_of_a_short_deadline_to_the_attempts() {
        for timeout in [2 * SECOND, SECOND / 10] {
            let waits = s3_attempts(timeout).first_wait * (1 + 2 + 4);
            assert!(waits < timeout / 2, "{waits:?} of {timeout:?}");
        }
    }

    #[test]
    fn retry_after_is_heeded_up_to_two_minutes_and_only_in_seconds() {
        assert_eq!(retry_after(" 7 "), Some(7 * SECOND));
        assert_eq!(retry_after("86400"), Some(120 * SECOND));
        for other in ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "", "1.5"] {
            assert_eq!(retry_after(other), None, "{other}");
        }
    }

    #[test]
    fn r14_with_the_defaults_upstream_ends_before_the_next_pass_is_due() {
        assert_eq!(upstream_limit(10 * SECOND, 60 * SECOND), 150 * SECOND);
    }
}
