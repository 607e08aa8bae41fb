//! The Reconciler: owns the passes, their timing, what is remembered between them, and the status.

use crate::guard::{History, LookTime};
use crate::ims::{ImageList, ListImages};
use crate::lio::{Apply, Report};
use crate::model::{Actual, Cause, ObjectKey, Snapshot, Source};
use crate::pass::{self, Look, Rules, Sources};
use crate::plan::{Plan, plan};
use crate::status::{Status, Summary};
use crate::telling::Telling;
use actix::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing::info;

/// When passes happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// From one pass to the next.
    pub scan: Duration,
    /// From one look at the tags to the next.
    pub tags: Duration,
}

/// First retry after a pass in which something did not answer or did not come about; doubled up to the scan frequency.
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// Owns the passes.
pub struct Reconciler {
    sources: Sources,
    rules: Rules,
    cadence: Option<Cadence>,
    stop: watch::Receiver<bool>,
    status: watch::Sender<Status>,
    born: Instant,
    history: History,
    /// What manifests named in the last pass: relevant for the next listing.
    named: BTreeSet<ObjectKey>,
    /// What IMS wanted when it was last asked.
    wanted: Option<BTreeSet<(String, Option<String>)>>,
    telling: Telling,
    failures: u32,
    timer: Option<SpawnHandle>,
    /// A pass has been asked for and has not begun yet.
    queued: bool,
    /// What an operator has confirmed for it.
    confirmed: Option<String>,
}

impl Reconciler {
    /// An actor that passes by itself at this cadence; without one, only when it is asked to. Once `stop` says true,
    /// a pass under way is given up between two steps. `status` tells after each pass how things are.
    pub fn new(
        sources: Sources,
        rules: Rules,
        cadence: Option<Cadence>,
        stop: watch::Receiver<bool>,
        status: watch::Sender<Status>,
    ) -> Self {
        Reconciler {
            sources,
            rules,
            cadence,
            stop,
            status,
            born: Instant::now(),
            history: History::default(),
            named: BTreeSet::new(),
            wanted: None,
            telling: Telling::default(),
            failures: 0,
            timer: None,
            queued: false,
            confirmed: None,
        }
    }

    /// One more pass, however often it is asked for before it begins.
    fn queue(&mut self, ctx: &mut Context<Self>) {
        if !self.queued {
            self.queued = true;
            ctx.notify(Tick { confirmed: None });
        }
    }

    /// One look ahead, never an interval: intervals that passed during a long pass would all be made up for after it.
    fn look_at_tags_later(&mut self, ctx: &mut Context<Self>) {
        if let Some(cadence) = &self.cadence {
            ctx.run_later(cadence.tags, |_, ctx| ctx.notify(LookAtTags));
        }
    }
}

impl Actor for Reconciler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Its timers would keep a reconciler alive, and asking, that nobody knows any more.
        let mut stop = self.stop.clone();
        let stopped = async move { stop.wait_for(|stop| *stop).await.is_ok() };
        ctx.spawn(stopped.into_actor(self).map(|_, _, ctx| ctx.stop()));
        if self.cadence.is_some() {
            self.queue(ctx);
            self.look_at_tags_later(ctx);
        }
    }
}

/// Request: one pass. It is answered when the pass has ended, and no other message is looked at meanwhile: passes
/// never overlap.
#[derive(Message)]
#[rtype(result = "Status")]
pub struct Tick {
    /// The code of the removals that an operator has confirmed (R3).
    pub confirmed: Option<String>,
}

impl Handler<Tick> for Reconciler {
    type Result = AtomicResponse<Self, Status>;

    fn handle(&mut self, msg: Tick, ctx: &mut Self::Context) -> Self::Result {
        self.queued = false;
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let scan_id = self.status.borrow().scan_id + 1;
        let confirmed = msg.confirmed.or(self.confirmed.take());
        let round = round(self.sources.clone(), self.rules.clone(), self.memory(), confirmed, scan_id);
        let mut stop = self.stop.clone();
        let bounded = async move {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => None,
                outcome = round => Some(outcome),
            }
        };
        AtomicResponse::new(Box::pin(
            bounded.into_actor(self).map(move |outcome, act, ctx| act.finish(outcome, scan_id, ctx)),
        ))
    }
}

/// Request: a pass at once, for this reason. During a pass, however often: one more pass.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Resync {
    /// Why: for the log.
    pub reason: &'static str,
    /// The code of the removals that an operator has confirmed (R3).
    pub confirmed: Option<String>,
}

impl Handler<Resync> for Reconciler {
    type Result = ();

    fn handle(&mut self, msg: Resync, ctx: &mut Self::Context) {
        info!(event = "resync", reason = msg.reason, "a pass was asked for");
        self.confirmed = msg.confirmed.or(self.confirmed.take());
        self.queue(ctx);
    }
}

/// Request: has a tag changed? Then a pass at once: BOS tags an image just before it powers nodes on (FACTS 5.3).
#[derive(Message)]
#[rtype(result = "()")]
struct LookAtTags;

impl Handler<LookAtTags> for Reconciler {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _: LookAtTags, _: &mut Self::Context) -> Self::Result {
        let ims = self.sources.ims.clone();
        let asked = async move { ims.send(ListImages).await };
        AtomicResponse::new(Box::pin(asked.into_actor(self).map(|answer, act, ctx| {
            act.look_at_tags_later(ctx);
            let Ok(Snapshot::Known(list)) = answer else { return };
            let now = Some(wanted(&list, act.rules.tagging));
            if act.wanted.is_some() && act.wanted != now {
                info!(event = "tags_changed", "IMS tags have changed: a pass follows");
                // If that pass cannot see, its retry decides when the next one comes: one change, one pass.
                act.wanted = now;
                act.queue(ctx);
            }
        })))
    }
}

/// Request: what a pass would do now. Nothing is changed, remembered or logged.
#[derive(Message)]
#[rtype(result = "Result<(Plan, Actual), Cause>")]
pub struct Preview;

impl Handler<Preview> for Reconciler {
    type Result = ResponseFuture<Result<(Plan, Actual), Cause>>;

    fn handle(&mut self, _: Preview, _: &mut Self::Context) -> Self::Result {
        let (sources, rules, memory) = (self.sources.clone(), self.rules.clone(), self.memory());
        Box::pin(async move {
            let (look, plan) = look_and_plan(&sources, &rules, memory, None).await?;
            Ok((plan, (*look.actual).clone()))
        })
    }
}

/// What a pass came to.
struct Outcome {
    look: Look,
    plan: Arc<Plan>,
    report: Report,
}

/// What a look goes by that was before it: the history, what manifests named, and when time began.
type Memory = (History, BTreeSet<ObjectKey>, Instant);

/// What a pass and its preview have in common: all that changes nothing.
async fn look_and_plan(
    sources: &Sources,
    rules: &Rules,
    (history, named, born): Memory,
    confirmed: Option<&str>,
) -> Result<(Look, Plan), Cause> {
    let began = born.elapsed();
    let look = pass::look(sources, rules, named).await?;
    let time = LookTime { began, ended: born.elapsed() };
    let plan = plan(&look.desired, &look.actual, &history, &rules.policy, time, confirmed);
    Ok((look, plan))
}

/// One pass: look, plan, apply.
async fn round(
    sources: Sources,
    rules: Rules,
    memory: Memory,
    confirmed: Option<String>,
    scan_id: u64,
) -> Result<Outcome, Cause> {
    let (look, plan) = look_and_plan(&sources, &rules, memory, confirmed.as_deref()).await?;
    let plan = Arc::new(plan);
    let apply = Apply { plan: plan.clone(), before: look.actual.clone(), scan_id };
    let report = sources.apply.send(apply).await.map_err(pass::gone(Source::Lio))?;
    Ok(Outcome { look, plan, report })
}

impl Reconciler {
    fn memory(&self) -> Memory {
        (self.history.clone(), self.named.clone(), self.born)
    }

    /// Remembers, tells, and sets the timer. `None`: the pass was given up because the agent stops.
    fn finish(
        &mut self,
        outcome: Option<Result<Outcome, Cause>>,
        scan_id: u64,
        ctx: &mut Context<Self>,
    ) -> Status {
        let Some(outcome) = outcome else {
            return self.status.borrow().clone();
        };
        let summary = match outcome {
            Ok(Outcome { look, plan, report }) => {
                self.telling.pass(&plan, &report, scan_id);
                self.history = plan.history.clone();
                self.named = look.named;
                if let Some(list) = look.images.known() {
                    self.wanted = Some(wanted(list, self.rules.tagging));
                }
                Summary::of(&plan, &report, &look.counts)
            }
            Err(cause) => {
                self.history.break_row();
                self.telling.unknown(std::slice::from_ref(&cause), scan_id);
                Summary::failed(cause)
            }
        };
        let troubled = !summary.unknown.is_empty() || summary.failed > 0;
        self.failures = if troubled { self.failures.saturating_add(1) } else { 0 };
        let status = Status { scan_id, converged: summary.is_converged(), summary };
        status.log();
        self.status.send_replace(status.clone());
        if let Some(cadence) = self.cadence.clone() {
            let confirm_after = self.rules.policy.limits.confirm_after;
            let delay = next_delay(&status.summary, self.failures, &cadence, confirm_after);
            self.timer = Some(ctx.run_later(delay, |act, ctx| act.queue(ctx)));
        }
        status
    }
}

/// The one place that decides when the next pass comes.
fn next_delay(summary: &Summary, failures: u32, cadence: &Cadence, confirm_after: Duration) -> Duration {
    let retry = (failures > 0).then(|| FIRST_RETRY.saturating_mul(1 << (failures - 1).min(16)));
    let second_look = (summary.waiting_for_second_look > 0).then_some(confirm_after);
    [retry, second_look].into_iter().flatten().fold(cadence.scan, Duration::min)
}

/// What IMS wants: a change of this calls for a pass.
fn wanted(list: &ImageList, tagging: bool) -> BTreeSet<(String, Option<String>)> {
    let chosen = list.records.iter().filter(|record| record.is_wanted(tagging));
    chosen.map(|record| (record.id.clone(), record.link.clone())).collect()
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
