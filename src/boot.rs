//! This boot of the node: its name and its clock, which no step of the time of day moves.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// The kernel's name for this boot. Without one, a name that nobody else has: what was remembered then counts as of
/// another boot, and no time of it is believed.
pub fn id() -> String {
    match std::fs::read_to_string(ID_FILE) {
        Ok(id) if !id.trim().is_empty() => id.trim().to_owned(),
        _ => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("unknown-{}-{}", std::process::id(), now.as_nanos())
        }
    }
}

/// How long ago it was, sleep included.
pub fn since() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_one_name_and_a_clock_that_only_grows() {
        assert_eq!(id(), id());
        assert_eq!(id().len(), 36, "{}", id());
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!(since().as_secs_f64() + 0.01 >= uptime, "{:?} {uptime}", since());
        assert!(since() <= since());
    }
}
