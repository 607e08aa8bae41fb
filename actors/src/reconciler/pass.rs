//! One pass: gather, plan, apply.

use crate::decide::aftermath;
use crate::decide::history::History;
use crate::decide::plan::change::Seen;
use crate::decide::plan::{Plan, plan};
use crate::decide::removals::LookTime;
use crate::lio::Apply;
use crate::lio::progress::Progress;
use crate::model::{Cause, Identity, ObjectKey, Report, Source};
use crate::reconciler::gather::{self, Observation, PassContext, Purpose};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What a pass goes by that was before it.
#[derive(Clone)]
pub(super) struct Memory {
    pub(super) history: History,
    /// What manifests named: relevant for the next listing.
    pub(super) named: BTreeSet<ObjectKey>,
    pub(super) clock: Clock,
    pub(super) removing: Removing,
    /// Removals of which no report has come: they count, unless they are still there.
    pub(super) unreported: BTreeSet<Identity>,
}

/// What the pass under way is about to remove, until there is its report.
pub(super) type Removing = Rc<RefCell<BTreeSet<Identity>>>;

/// What a pass came to.
pub(super) struct Outcome {
    pub(super) observation: Observation,
    pub(super) plan: Arc<Plan>,
    pub(super) report: Report,
}

impl PassContext {
    /// What a pass and its preview have in common: all that changes nothing.
    pub(super) async fn observe_and_plan(
        &self,
        memory: Memory,
        confirmed: Option<&str>,
        purpose: Purpose,
    ) -> Result<(Observation, Plan), Cause> {
        let Memory { mut history, named, clock, unreported, .. } = memory;
        let began = clock.now();
        let observation = gather::gather(self, named, &history, purpose).await?;
        aftermath::take_back(&mut history, &unreported, &observation.actual);
        let time = LookTime { began, ended: clock.now() };
        let Observation { desired, actual, live, mounts, .. } = &observation;
        let mut plan = plan(Seen { desired, actual, live, mounts, time }, &history, &self.policy, confirmed);
        plan.history.proven.clone_from(&observation.proven);
        Ok((observation, plan))
    }

    /// One pass.
    pub(super) async fn run(
        self,
        memory: Memory,
        confirmed: Option<String>,
        scan_id: u64,
    ) -> Result<Outcome, Cause> {
        let removing = memory.removing.clone();
        let (observation, plan) = self.observe_and_plan(memory, confirmed.as_deref(), Purpose::Apply).await?;
        let (plan, given_up) = (Arc::new(plan), Arc::new(AtomicBool::new(false)));
        *removing.borrow_mut() = aftermath::counted_removals(&plan);
        let (before, abandoned) = (observation.actual.clone(), given_up.clone());
        let apply = Apply { plan: plan.clone(), before, scan_id, given_up };
        let report = tokio::select! {
            report = self.peers.apply.send(apply) => report.map_err(gather::actor_gone(Source::Lio))?,
            () = stalled(&self.progress, self.deadlines.step) => {
                // By the time LIO comes back the evidence is old: what has not been begun is not begun any more (R2).
                abandoned.store(true, Ordering::Relaxed);
                return Err(gather::hung("no step has ended", self.deadlines.step));
            }
        };
        Ok(Outcome { observation, plan, report })
    }
}

/// How often it is looked whether a step has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Ends when no step has ended for so long: however many there are, each has its deadline (R14).
async fn stalled(progress: &Progress, deadline: Duration) {
    let (mut before, mut moved) = (progress.count(), Instant::now());
    while moved.elapsed() < deadline {
        sleep(LOOK_EVERY.min(deadline)).await;
        let now = progress.count();
        if now != before {
            (before, moved) = (now, Instant::now());
        }
    }
}

/// Time since boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    base: Duration,
    since: Instant,
}

impl Clock {
    pub(super) fn at(base: Duration) -> Self {
        Clock { base, since: Instant::now() }
    }

    pub(super) fn now(&self) -> Duration {
        self.base + self.since.elapsed()
    }
}
