//! When LIO opened the file of a backstore.
//!
//! `statistics/scsi_lu/creation_time` is stamped as soon as the file is open. Up to five minutes after the boot it
//! says hundredths of a second. After that it seems to say anything: the kernel cuts the time in jiffies to 32 bits,
//! which start five minutes before they wrap, subtracts that start in 64 bits, takes the result times 100 by HZ, and
//! cuts it again (measured at 402 s with HZ 250: 3367294566). A backstore that is not enabled shows the value of five
//! minutes. What comes back after 2^32 jiffies cannot be told apart: then the latest time is taken that it can have
//! been, so that no file is believed to be older than it is.

use super::read::Folder;
use actors::ports::LioError;
use rustix::time::{ClockId, clock_getres, clock_gettime};
use std::io::Read;
use std::time::Duration;

/// What the kernel's jiffies wrap at.
const WRAP: u64 = 1 << 32;
/// Seconds before the wrap at which they start.
const HEAD_START: u64 = 300;
/// Hundredths of a second that fit into that.
const PLAIN: u64 = HEAD_START * 100;
/// Where they are told.
const SCHEDSTAT: &str = "/proc/schedstat";

/// Of an enabled backstore; since the boot. `None` if the kernel does not say.
pub(super) fn read(folder: &Folder, clock: Option<&Clock>) -> Result<Option<Duration>, LioError> {
    let shown = folder.text("statistics/scsi_lu/creation_time")?;
    Ok(shown.and_then(|shown| clock?.time_of(shown.parse().ok()?)))
}

/// The kernel's time, in the two units that have to be compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Since the boot.
    boottime: Duration,
    /// The same by `jiffies`, which start a little later.
    jiffies: u64,
    /// How many of them a second has.
    hz: u64,
}

impl Clock {
    /// Now; `None` if this kernel does not tell its jiffies.
    pub(super) fn now() -> Option<Self> {
        let mut head = String::new();
        std::fs::File::open(SCHEDSTAT).ok()?.take(64).read_to_string(&mut head).ok()?;
        let now = clock_gettime(ClockId::Boottime);
        let boottime = Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?);
        // The coarse clock goes on with each jiffy.
        let tick =
            u64::try_from(clock_getres(ClockId::MonotonicCoarse).tv_nsec).ok().filter(|tick| *tick > 0)?;
        Clock::of(boottime, timestamp(&head)?, (1_000_000_000 + tick / 2) / tick)
    }

    /// `None` for what no 64-bit kernel shows.
    pub(super) fn of(boottime: Duration, timestamp: u64, hz: u64) -> Option<Self> {
        let jiffies = timestamp.checked_sub(WRAP.checked_sub(HEAD_START * hz)?)?;
        (hz > 0).then_some(Clock { boottime, jiffies, hz })
    }

    /// The time since boot that `creation_time` means.
    pub(super) fn time_of(&self, shown: u32) -> Option<Duration> {
        let shown = u64::from(shown);
        let early = (shown < PLAIN).then_some(shown * self.hz / 100);
        // How long ago at least.
        let ages = early.into_iter().chain(self.late(shown)).filter_map(|jiffies| self.age(jiffies));
        Some(self.boottime.saturating_sub(ages.min()?))
    }

    /// Jiffies since the boot of a value that was shown after the first five minutes.
    fn late(&self, shown: u64) -> Option<u64> {
        // What is subtracted leaves 2^64 - 100 * 2^32 at the boot.
        let start = (1_u128 << 64) - (100 << 32);
        let hz = u128::from(self.hz);
        let steps = (u128::from(shown) + (1 << 64) - start / hz) % u128::from(WRAP);
        let jiffies = u64::try_from((steps * hz).saturating_sub(start % hz) / 100).ok()?;
        // One step of rounding.
        (steps + 1 >= u128::from(PLAIN) && jiffies < WRAP).then_some(jiffies)
    }

    fn age(&self, jiffies: u64) -> Option<Duration> {
        let age = self.jiffies.checked_sub(jiffies)? % WRAP;
        Some(Duration::from_nanos(u64::try_from(u128::from(age) * 1_000_000_000 / u128::from(self.hz)).ok()?))
    }
}

/// `version 15`, `timestamp 4294992812`, ...
fn timestamp(schedstat: &str) -> Option<u64> {
    schedstat.lines().find_map(|line| line.strip_prefix("timestamp ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: u64 = 24 * 3600;

    /// What the kernel shows of a file that was opened then: target_stat_lu_creation_time_show.
    fn shown(jiffies_since_boot: u64, hz: u64) -> u32 {
        let start = WRAP - HEAD_START * hz;
        let cut = (start + jiffies_since_boot) % WRAP;
        (cut.wrapping_sub(start).wrapping_mul(100) / hz) as u32
    }

    fn clock(seconds: u64, hz: u64) -> Clock {
        let boottime = Duration::from_secs(seconds);
        Clock::of(boottime, WRAP - HEAD_START * hz + seconds * hz, hz).unwrap()
    }

    #[test]
    fn what_a_real_kernel_showed_is_the_time_at_which_the_file_was_opened() {
        // HZ 250; 17.01 s and 402.25 s after the boot.
        let soon = Clock::of(Duration::from_millis(17_010), 4_294_896_491, 250).unwrap();
        assert_eq!(soon.time_of(1678).unwrap().as_millis() / 100, 170);
        let later = Clock::of(Duration::from_millis(402_250), 4_294_992_812, 250).unwrap();
        assert_eq!(later.time_of(3_367_294_566).unwrap().as_millis() / 100, 4022);
        assert_eq!(later.time_of(2203).unwrap().as_millis() / 100, 222);
    }

    #[test]
    fn a_file_that_seems_to_have_been_opened_in_the_future_has_no_time() {
        assert_eq!(clock(100, 250).time_of(20_000), None);
        assert_eq!(clock(100, 250).time_of(3_367_294_566), None);
    }

    #[test]
    fn after_the_jiffies_have_come_round_the_time_is_the_latest_that_it_can_have_been() {
        let (hz, wrap) = (1000, WRAP / 1000);
        let time = clock(60 * DAY, hz).time_of(shown(1000 * 3600, hz)).unwrap();
        assert_eq!(time.as_secs().abs_diff(3600 + wrap), 0);
    }

    #[test]
    fn jiffies_are_found_in_schedstat_and_nowhere_else() {
        assert_eq!(timestamp("version 15\ntimestamp 4294992812\ncpu0 0 0"), Some(4_294_992_812));
        assert_eq!(timestamp("version 15\n"), None);
        assert!(Clock::of(Duration::from_secs(400), 25_516, 250).is_none(), "a 32-bit kernel");
    }

    proptest! {
        #[test]
        fn the_kernels_arithmetic_is_undone_for_every_hz(
            hz in prop::sample::select(vec![100_u64, 250, 300, 1000]),
            opened in 0..49 * DAY * 1000,
            since in 0..49 * DAY,
        ) {
            let jiffies = opened * hz / 1000;
            let now = clock(opened / 1000 + 1 + since, hz);
            prop_assume!(now.jiffies < WRAP);
            let found = now.time_of(shown(jiffies, hz)).unwrap();
            let wrong = found.abs_diff(Duration::from_millis(opened));
            prop_assert!(wrong < Duration::from_millis(30), "{wrong:?}");
        }
    }
}
