//! systemd's watchdog: fed as long as something comes about in the agent.

use crate::notify;
use actors::agent::Agent;
use actors::agent::Progress;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// Tells systemd that the agent lives as long as something comes about in it: a step of LIO, an answer of a source, or
/// a reconciler that has nothing to do and gets to say so. Between two of these the longest step may pass, but not more.
/// Whoever feeds lives on the same thread as the reconciler: when that is frozen, nobody does.
#[derive(Clone)]
pub(super) struct Watchdog(Rc<RefCell<Watched>>);

struct Watched {
    progress: Progress,
    /// What it was when it was seen to move, and when that was.
    seen: u64,
    moved: Instant,
    /// See [`longest_silence`](super::rules::longest_silence).
    longest_silence: Duration,
}

impl Watchdog {
    /// Begins to feed, if systemd wants it. [`watch`](Self::watch) follows.
    pub fn start() -> Self {
        let watchdog = Watchdog::of(Progress::default(), Duration::MAX);
        if let Some(period) = notify::watchdog_period() {
            actix::spawn(watchdog.clone().feed(period));
        }
        watchdog
    }

    fn of(progress: Progress, longest_silence: Duration) -> Self {
        let seen = progress.count();
        let watched = Watched { progress, seen, moved: Instant::now(), longest_silence };
        Watchdog(Rc::new(RefCell::new(watched)))
    }

    /// From now on it is this agent that has to live.
    pub fn watch(&self, agent: &Agent, longest_silence: Duration) {
        self.0.swap(&Watchdog::of(agent.progress.clone(), longest_silence).0);
    }

    /// Whether something has come about, or a step may still be under way.
    fn lives(&self) -> bool {
        let mut watched = self.0.borrow_mut();
        let (now, count) = (Instant::now(), watched.progress.count());
        if count != watched.seen {
            (watched.seen, watched.moved) = (count, now);
        }
        now - watched.moved <= watched.longest_silence
    }

    async fn feed(self, period: Duration) {
        loop {
            if self.lives() {
                notify::alive();
            }
            tokio::time::sleep(period).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(360);
    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn r14_the_watchdog_is_fed_by_progress_and_no_longer_than_the_longest_step_without_it() {
        let progress = Progress::default();
        let watchdog = Watchdog::of(progress.clone(), LONGEST);
        tokio::time::advance(LONGEST).await;
        assert!(watchdog.lives(), "it has just been started, and may be at its longest step");
        tokio::time::advance(SECOND).await;
        assert!(!watchdog.lives(), "that step has a deadline: something is frozen");
        progress.note();
        assert!(watchdog.lives());
        tokio::time::advance(LONGEST - SECOND).await;
        assert!(watchdog.lives());
        for _ in 0..10 {
            tokio::time::advance(2 * SECOND).await;
            assert!(!watchdog.lives(), "to be asked is no progress");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn r14_a_new_agent_has_its_own_time_and_what_the_one_before_does_is_no_progress_of_it() {
        let before = Progress::default();
        let watchdog = Watchdog::of(before.clone(), SECOND);
        tokio::time::advance(2 * SECOND).await;
        assert!(!watchdog.lives());
        watchdog.0.swap(&Watchdog::of(Progress::default(), LONGEST).0);
        tokio::time::advance(LONGEST).await;
        assert!(watchdog.lives());
        before.note();
        tokio::time::advance(SECOND).await;
        assert!(!watchdog.lives());
    }
}
