//! The five actors, started over whatever ports they are given: real or simulated is the caller's choice.

use crate::decide::cadence::{Cadence, Deadlines};
use crate::decide::policy::Policy;
use crate::decide::status::Status;
use crate::ims::Ims;
use crate::lio::{EndSession, Lio};
use crate::mount::Mount;
use crate::mount::again::LookAgain;
use crate::ports::{HistoryPort, ImsPort, LioPort, MountPort, S3Port, TokenPort};
use crate::reconciler::gather::{PassContext, Peers};
use crate::reconciler::store::Store;
use crate::reconciler::{Outfit, Reconciler, Remembered, Settle};
use crate::s3::{Manifests, S3};
use actix::prelude::*;
use std::time::Duration;
use tokio::sync::watch;

pub use crate::lio::progress::{Phase, Progress};

/// The outside.
pub struct Ports<I, T, S, M, H, F> {
    /// IMS.
    pub ims: I,
    /// Bearer tokens.
    pub tokens: T,
    /// S3.
    pub s3: S,
    /// The mount.
    pub mount: M,
    /// What is remembered over a restart.
    pub history: H,
    /// Makes the LIO port on the thread it will live on.
    pub lio: F,
}

/// What one agent hands to the next, so that a reload forgets nothing.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    manifests: Manifests,
    remembered: Remembered,
}

/// The actors, alive.
pub struct Agent {
    /// To be asked for passes.
    pub reconciler: Addr<Reconciler>,
    /// How things are, after each pass.
    pub status: watch::Receiver<Status>,
    /// How far it is.
    pub progress: Progress,
    end_session: Recipient<EndSession>,
    stop: watch::Sender<bool>,
}

impl Agent {
    /// Starts them. With a cadence the reconciler passes by itself, at once for the first time.
    pub fn start<I, T, S, M, H, L, F>(
        ports: Ports<I, T, S, M, H, F>,
        policy: Policy,
        deadlines: Deadlines,
        cadence: Option<Cadence>,
        kept: &Kept,
    ) -> Self
    where
        I: ImsPort,
        T: TokenPort,
        S: S3Port,
        M: MountPort,
        H: HistoryPort,
        L: LioPort + Unpin,
        F: Fn() -> L + Send + Sync + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let status = kept.remembered.status.borrow().clone();
        let (status_sender, status) = watch::channel(status);
        let (site, engine, progress) = (policy.site.clone(), policy.engine, Progress::default());
        let ims = Ims::new(ports.ims, ports.tokens).start();
        let s3 = S3::new(ports.s3, &site.bucket, kept.manifests.clone()).start();
        let mount = Mount::new(ports.mount, site.clone(), policy.pe.clone()).start();
        let (make_lio, lio_stopped, counted) = (ports.lio, stopped.clone(), progress.clone());
        let files: Recipient<LookAgain> = mount.clone().recipient();
        // One thread: the session is strictly serial.
        let lio = SyncArbiter::start(1, move || {
            Lio::new(make_lio(), lio_stopped.clone(), files.clone(), counted.clone(), site.clone(), engine)
        });
        let peers = Peers {
            images: ims.recipient(),
            list: s3.clone().recipient(),
            gone: s3.clone().recipient(),
            manifests: s3.clone().recipient(),
            md5: s3.recipient(),
            discover: mount.clone().recipient(),
            check: mount.clone().recipient(),
            examine: mount.recipient(),
            observe: lio.clone().recipient(),
            prepare: lio.clone().recipient(),
            apply: lio.clone().recipient(),
            daemon: lio.clone().recipient(),
        };
        let (store, remembered) = (Store::new(ports.history), kept.remembered.clone());
        let outfit = Outfit { cadence, stop: stopped, status: status_sender, store, remembered };
        let context = PassContext { peers, policy, deadlines, progress: progress.clone() };
        let reconciler = Reconciler::new(context, outfit).start();
        Agent { reconciler, status, progress, end_session: lio.recipient(), stop }
    }

    /// Finishes the step under way, begins no other, ends the session, and stores what is remembered; gives up after
    /// `deadline`. Whether the session was ended in time.
    pub async fn stop(self, deadline: Duration) -> bool {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(deadline, self.end_session.send(EndSession));
        // The next start would take what is stored by halves for lost, and hold removals for it.
        let stored = tokio::time::timeout(deadline, self.reconciler.send(Settle));
        matches!(tokio::join!(ended, stored).0, Ok(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::in_use::{UseRule, UsedBy};
    use crate::decide::policy::{OnChange, PeRules};
    use crate::decide::removals::Limits;
    use crate::model::{Boot, Engine};
    use crate::ports::HistoryError;
    use crate::reconciler::Resync;
    use crate::reconciler::lost::LoseTimer;
    use crate::sim::{self, Sim};
    use std::pin::pin;
    use tokio::sync::Notify;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    fn agent(cadence: Cadence) -> Agent {
        let sim = Sim::small_site();
        agent_on(&sim, sim.clone(), cadence)
    }

    fn agent_on(sim: &Sim, history: impl HistoryPort, cadence: Cadence) -> Agent {
        let (ims, tokens, s3, mount) = (sim.clone(), sim.clone(), sim.clone(), sim.clone());
        let sim = sim.clone();
        let ports = Ports { ims, tokens, s3, mount, history, lio: move || sim.clone() };
        let limits = Limits { confirm_after: MINUTE, max_removal_percent: 10, max_removals: 3, window: HOUR };
        let pe = PeRules { prefix: "PE/".into(), suffix: String::new(), on_change: OnChange::Hold };
        let (site, luns) = (sim::site(), 1..=16383);
        let in_use = UseRule { by: UsedBy::Nothing, quiet_period: Duration::ZERO };
        let quarantine = Duration::ZERO;
        let engine = Engine::default();
        let policy =
            Policy { site, tagging: true, pe, limits, in_use, luns, quarantine, engine, verify_md5: true };
        Agent::start(
            ports,
            policy,
            Deadlines { step: MINUTE, objects: MINUTE, upstream: MINUTE },
            Some(cadence),
            &Kept::default(),
        )
    }

    /// Whether something comes about within this time, on a clock that moves by itself.
    async fn has_progress(agent: &Agent, within: Duration) -> bool {
        let before = agent.progress.count();
        tokio::time::sleep(within).await;
        agent.progress.count() != before
    }

    #[actix::test]
    async fn r14_a_reconciler_whose_next_pass_is_lost_does_not_say_for_ever_that_it_lives() {
        let agent = agent(Cadence { scan: HOUR, tags: 2 * MINUTE });
        let mut status = agent.status.clone();
        status.changed().await.unwrap();
        // From here on no other thread has anything to do.
        tokio::time::pause();
        assert!(has_progress(&agent, HOUR / 2).await, "it waits, and says so");
        agent.reconciler.send(LoseTimer).await.unwrap();
        assert!(has_progress(&agent, HOUR / 4).await, "it is not due yet");
        tokio::time::sleep(HOUR / 4 + 2 * MINUTE).await;
        assert!(!has_progress(&agent, 10 * HOUR).await, "nor is a poll of the tags a sign of life now");
        // A pass that somebody asks for sets all right again.
        tokio::time::resume();
        agent.reconciler.send(Resync { reason: "sighup" }).await.unwrap();
        status.changed().await.unwrap();
        tokio::time::pause();
        assert!(has_progress(&agent, MINUTE).await);
    }

    /// A disk that stores when it is allowed to.
    #[derive(Clone, Default)]
    struct Slow(std::rc::Rc<(Notify, Notify, std::cell::Cell<bool>)>);

    impl HistoryPort for Slow {
        async fn load(&self) -> Result<Option<Vec<u8>>, HistoryError> {
            Ok(None)
        }

        async fn store(&self, _: Vec<u8>) -> Result<(), HistoryError> {
            let (begun, allowed, stored) = &*self.0;
            begun.notify_one();
            allowed.notified().await;
            stored.set(true);
            Ok(())
        }

        fn boot(&self) -> Boot {
            Boot { id: "slow".into(), since: MINUTE }
        }
    }

    #[actix::test]
    async fn a_stop_waits_for_the_history_that_is_being_stored_or_the_next_start_would_take_it_for_lost() {
        let disk = Slow::default();
        let agent = agent_on(&Sim::small_site(), disk.clone(), Cadence { scan: HOUR, tags: HOUR });
        let (begun, allowed, stored) = &*disk.0;
        begun.notified().await;
        let mut stop = pin!(agent.stop(MINUTE));
        let early = tokio::time::timeout(Duration::from_millis(200), &mut stop).await;
        assert!(early.is_err(), "it waits");
        allowed.notify_one();
        assert!(stop.await && stored.get());
    }

    #[actix::test]
    async fn a_disk_that_hangs_holds_up_a_stop_no_longer_than_a_session_may() {
        let disk = Slow::default();
        let agent = agent_on(&Sim::small_site(), disk.clone(), Cadence { scan: HOUR, tags: HOUR });
        disk.0.0.notified().await;
        assert!(agent.stop(Duration::from_millis(200)).await, "the session has ended all the same");
    }
}
