//! Settings as the actors want them.

use crate::config::Settings;
use actors::decide::cadence::{Cadence, Deadlines};
use actors::decide::in_use::UseRule;
use actors::decide::policy::{PeRules, Policy};
use actors::decide::removals::Limits;
use actors::decide::retry;
use actors::model::Site;
use std::time::Duration;

/// Added to the longest command, when the agent is told to stop and waits for the step under way.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// Added to that for the end of the process.
const END_MARGIN: Duration = Duration::from_secs(10);

/// Added to the longest command for what is read before and after it, and once more until it is seen that nothing has
/// come about.
const SILENCE_MARGIN: Duration = Duration::from_secs(60);

/// So long a stop waits for the step under way, the save that follows it, and the end of the session: for as long as the
/// longest of them may take. What it does not wait for goes on in targetclid; what is not saved then, the next start
/// saves (R11).
pub(super) fn stop_limit(settings: &Settings) -> Duration {
    longest_command(settings) + STOP_MARGIN
}

/// The longest that a stop takes: after that the process ends by itself. systemd is told it at each stop, and the unit's
/// TimeoutStopSec= is not shorter for the defaults.
pub(super) fn longest_stop(settings: &Settings) -> Duration {
    stop_limit(settings) + END_MARGIN
}

/// The longest that nothing comes about in an agent that lives: each question and each step of a pass has its deadline,
/// and up to three of one source follow each other.
pub(super) fn longest_silence(settings: &Settings) -> Duration {
    let asked = [settings.s3.timeout, settings.ims.timeout, settings.mount.timeout].map(|limit| 3 * limit);
    asked.into_iter().fold(longest_command(settings), Duration::max) + 2 * SILENCE_MARGIN
}

fn longest_command(settings: &Settings) -> Duration {
    settings.lio.command_timeout.max(settings.lio.tree_timeout)
}

pub(super) fn cadence(settings: &Settings) -> Cadence {
    Cadence { scan: settings.scan.frequency, tags: settings.scan.tag_frequency }
}

/// The boot bucket and where it is mounted.
pub(crate) fn site(settings: &Settings) -> Site {
    let mount = settings.mount.path.to_string_lossy().into_owned();
    Site { bucket: settings.s3.bucket.as_str().into(), mount }
}

/// What is decided by, for this site.
pub(super) fn policy(settings: &Settings, site: Site) -> Policy {
    Policy {
        site,
        tagging: settings.ims.tagging,
        pe: PeRules {
            prefix: settings.pe.prefix.clone(),
            suffix: settings.pe.suffix.clone(),
            on_change: settings.pe.on_change,
        },
        limits: Limits {
            confirm_after: settings.guard.confirm_after,
            max_removal_percent: settings.guard.max_removal_percent,
            max_removals: settings.guard.max_removals,
            window: settings.guard.window,
        },
        in_use: UseRule { by: settings.guard.in_use, quiet_period: settings.guard.quiet_period },
        luns: settings.lio.first_lun..=settings.lio.last_lun,
        quarantine: settings.lio.quarantine,
        engine: settings.lio.engine,
        verify_md5: settings.ims.verify_md5,
    }
}

pub(super) fn deadlines(settings: &Settings) -> Deadlines {
    Deadlines {
        step: longest_command(settings) + SILENCE_MARGIN,
        objects: settings.s3.timeout,
        upstream: retry::upstream_limit(settings.ims.timeout, settings.s3.timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};
    use actors::decide::in_use::UsedBy;
    use actors::decide::policy::OnChange;

    #[test]
    fn s3_systemd_waits_at_least_as_long_for_a_stop_as_the_agent_takes() {
        let settings = load(&Sources::default()).unwrap().settings;
        let unit = include_str!("../../systemd/sbps-marshal.service");
        let seconds = |key| {
            let line = unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            Duration::from_secs(line.parse().unwrap())
        };
        assert!(seconds("TimeoutStopSec=") >= longest_stop(&settings));
        let longer = Sources { flags: vec!["lio.tree_timeout=3600".parse().unwrap()], ..Sources::default() };
        let longest = longest_stop(&load(&longer).unwrap().settings);
        assert_eq!(longest, Duration::from_secs(3615));
        assert!(u32::try_from(longest.as_micros()).is_ok(), "systemd can be told it");
    }

    #[test]
    fn r14_what_has_a_deadline_in_a_pass_ends_before_the_watchdog_is_fed_no_more() {
        let flags = ["lio.tree_timeout=3600", "s3.timeout=1000", "ims.timeout=1000", "mount.timeout=1000"];
        for flag in std::iter::once(None).chain(flags.map(Some)) {
            let flags = flag.into_iter().map(|flag| flag.parse().unwrap()).collect();
            let settings = load(&Sources { flags, ..Sources::default() }).unwrap().settings;
            let (silence, deadlines) = (longest_silence(&settings), deadlines(&settings));
            assert!(silence >= deadlines.step.max(deadlines.objects) + SILENCE_MARGIN, "{flag:?}");
            assert!(silence > 3 * settings.ims.timeout.max(settings.mount.timeout), "{flag:?}");
            assert!(silence > stop_limit(&settings), "a reload waits for the step under way: {flag:?}");
        }
    }

    #[test]
    fn r14_a_frozen_agent_is_killed_within_two_minutes_and_one_without_progress_within_nine() {
        let settings = load(&Sources::default()).unwrap().settings;
        let unit = include_str!("../../systemd/sbps-marshal.service");
        let limit = unit.lines().find_map(|line| line.strip_prefix("WatchdogSec=")).unwrap();
        let limit = Duration::from_secs(limit.parse().unwrap());
        assert_eq!(
            (limit, limit + longest_silence(&settings)),
            (Duration::from_secs(120), Duration::from_secs(540))
        );
    }

    #[test]
    fn r14_with_the_defaults_ims_and_s3_have_less_time_than_passes_and_systemd_allow() {
        let settings = load(&Sources::default()).unwrap().settings;
        let upstream = deadlines(&settings).upstream;
        assert!(upstream < settings.scan.frequency && upstream < deadlines(&settings).step, "{upstream:?}");
        assert!(retry::LONGEST_RETRY_AFTER < settings.scan.frequency);
    }

    #[test]
    fn what_is_configured_is_what_the_passes_go_by() {
        let flags = [
            "guard.max_removals=7",
            "guard.window=120",
            "guard.max_removal_percent=20",
            "ims.verify_md5=no",
            "guard.in_use=attached",
            "guard.quiet_period=60",
            "pe.on_change=replace",
            "lio.quarantine=0",
        ];
        let flags = flags.iter().map(|flag| flag.parse().unwrap()).collect();
        let settings = load(&Sources { flags, ..Sources::default() }).unwrap().settings;
        let policy = policy(&settings, Site { bucket: "b".into(), mount: "/m".into() });
        assert_eq!((policy.limits.max_removals, policy.limits.window), (7, Duration::from_secs(120)));
        assert_eq!((policy.limits.max_removal_percent, policy.verify_md5), (20, false));
        let rule = UseRule { by: UsedBy::Commands, quiet_period: Duration::from_secs(60) };
        assert_eq!(
            (policy.in_use, policy.pe.on_change, policy.quarantine),
            (rule, OnChange::Replace, Duration::ZERO)
        );
    }
}
