//! The Reconciler: owns the passes, their timing, what is remembered between them, and the status.

use crate::agent::Kept;
use crate::decide::cadence::{Cadence, next_delay};
use crate::decide::history::{History, Opened};
use crate::decide::plan::change::Action;
use crate::decide::plan::{Plan, ours_live};
use crate::decide::policy::Rules;
use crate::decide::status::{Status, Summary};
use crate::ims::ListImages;
use crate::lio::Knock;
use crate::model::{Actual, Cause, ObjectKey, Report, SaveOutcome, Snapshot, Source};
use crate::ports::HistoryError;
use crate::reconciler::conditions::Telling;
use crate::reconciler::gather::{Look, Sources};
use crate::reconciler::pass::{Clock, Memory, Outcome, WantedImages, look_and_plan, run_pass, wanted};
use crate::reconciler::store::Store;

mod conditions;
pub(crate) mod gather;
mod pass;
mod status;
pub(crate) mod store;

use actix::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{error, info, warn};

/// While another client holds the daemon it is asked so often whether it is free: it answers at once when it is.
const KNOCK_EVERY: Duration = Duration::from_secs(1);

/// Owns the passes.
pub struct Reconciler {
    sources: Sources,
    rules: Rules,
    cadence: Option<Cadence>,
    stop: watch::Receiver<bool>,
    status: watch::Sender<Status>,
    store: Store,
    kept: Kept,
    progress: Arc<AtomicU64>,
    clock: Clock,
    history: History,
    /// What was stored last, and whether storing fails.
    stored: Option<History>,
    store_fails: bool,
    /// What manifests named in the last pass: relevant for the next listing.
    named: BTreeSet<ObjectKey>,
    /// What IMS wanted when it was last asked.
    wanted: Option<WantedImages>,
    telling: Telling,
    failures: u32,
    timer: Option<SpawnHandle>,
    /// A pass has been asked for and has not begun yet.
    queued: bool,
    /// What an operator has confirmed for it.
    confirmed: Option<String>,
    /// The daemon was found free, and a pass was asked for because of that.
    knocked: bool,
}

/// What a reconciler is made of, beside the sources and the rules.
pub struct Outfit {
    /// It passes by itself at this cadence; without one, only when it is asked to.
    pub cadence: Option<Cadence>,
    /// Once it says true, a pass under way is given up between two steps.
    pub stop: watch::Receiver<bool>,
    /// Tells after each pass how things are.
    pub status: watch::Sender<Status>,
    /// What is remembered over a restart.
    pub store: Store,
    /// What is remembered over a reload.
    pub kept: Kept,
    /// Counts the steps of the Lio actor.
    pub progress: Arc<AtomicU64>,
}

impl Reconciler {
    /// An actor that asks these, by these rules.
    pub fn new(sources: Sources, rules: Rules, outfit: Outfit) -> Self {
        let Outfit { cadence, stop, status, store, kept, progress } = outfit;
        let clock = Clock::at(store.boot().since);
        let history = kept.history.borrow().clone().unwrap_or_default();
        Reconciler {
            sources,
            rules,
            cadence,
            stop,
            status,
            store,
            kept,
            progress,
            clock,
            history,
            stored: None,
            store_fails: false,
            named: BTreeSet::new(),
            wanted: None,
            telling: Telling::default(),
            failures: 0,
            timer: None,
            queued: false,
            confirmed: None,
            knocked: false,
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

    /// What was stored, unless a reload has brought it along.
    fn remember(&mut self, loaded: Result<Option<Vec<u8>>, HistoryError>) {
        if self.kept.history.borrow().is_some() {
            return;
        }
        let (boot, window) = (self.store.boot(), self.rules.policy.limits.window);
        let lost = |detail: String| {
            warn!(
                event = "history_lost",
                detail,
                window_s = window.as_secs(),
                "what was remembered is lost: no removal happens before this time is over"
            );
            History::lost(&boot, window)
        };
        self.history = match loaded {
            Ok(None) => History::default(),
            Ok(Some(bytes)) => {
                History::from_bytes(&bytes, &boot, window).unwrap_or_else(|fault| lost(fault.to_string()))
            }
            Err(error) => lost(Cause::new(Source::Lio, error.kind(), &error).detail),
        };
    }
}

impl Actor for Reconciler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Its timers would keep a reconciler alive, and asking, that nobody knows any more.
        let mut stop = self.stop.clone();
        let stopped = async move { stop.wait_for(|stop| *stop).await.is_ok() };
        ctx.spawn(stopped.into_actor(self).map(|_, _, ctx| ctx.stop()));
        let store = self.store.clone();
        // Nothing else happens before it is known what was.
        let loaded = async move { store.load().await };
        ctx.wait(loaded.into_actor(self).map(|loaded, act, ctx| {
            act.remember(loaded);
            if act.cadence.is_some() {
                act.queue(ctx);
                act.look_at_tags_later(ctx);
            }
        }));
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
        let progress = self.progress.clone();
        let pass = run_pass(
            self.sources.clone(),
            self.rules.clone(),
            self.memory(),
            confirmed.clone(),
            scan_id,
            progress,
        );
        let mut stop = self.stop.clone();
        let bounded = async move {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => None,
                outcome = pass => Some(outcome),
            }
        };
        let finished = bounded.into_actor(self).then(move |outcome, act, ctx| {
            let status = act.finish(outcome, confirmed, scan_id, ctx);
            let (store, bytes) = (act.store.clone(), act.to_store());
            let storing = async move {
                match bytes {
                    Some(bytes) => Some(store.store(bytes).await),
                    None => None,
                }
            };
            storing.into_actor(act).map(move |result, act, _| {
                if let Some(result) = result {
                    act.stored(result);
                }
                status
            })
        });
        AtomicResponse::new(Box::pin(finished))
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
            let now = wanted(&list, act.rules.tagging);
            act.history.seen_wanted(now.iter().map(|(id, ..)| id.as_str()));
            if act.wanted.as_ref().is_some_and(|before| *before != now) {
                info!(event = "tags_changed", "IMS tags have changed: a pass follows");
                // If that pass cannot see, its retry decides when the next one comes: one change, one pass.
                act.wanted = Some(now);
                act.queue(ctx);
            }
        })))
    }
}

/// Request: is the daemon free again? Then a pass at once.
#[derive(Message)]
#[rtype(result = "()")]
struct KnockAgain;

impl Handler<KnockAgain> for Reconciler {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: KnockAgain, _: &mut Self::Context) -> Self::Result {
        let knock = self.sources.knock.clone();
        let asked = async move { knock.send(Knock).await };
        Box::pin(asked.into_actor(self).map(|free, act, ctx| match free {
            Ok(false) => act.knock_later(ctx),
            _ => {
                act.knocked = true;
                act.queue(ctx);
            }
        }))
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

impl Reconciler {
    fn memory(&self) -> Memory {
        (self.history.clone(), self.named.clone(), self.clock)
    }

    /// Remembers, tells, and sets the timer. `None`: the pass was given up because the agent stops.
    fn finish(
        &mut self,
        outcome: Option<Result<Outcome, Cause>>,
        confirmed: Option<String>,
        scan_id: u64,
        ctx: &mut Context<Self>,
    ) -> Status {
        let Some(outcome) = outcome else {
            return self.status.borrow().clone();
        };
        let mut busy = false;
        let summary = match outcome {
            Ok(Outcome { look, plan, report }) => {
                self.telling.pass(&plan, &report, scan_id);
                self.judge_confirmation(&plan, confirmed, scan_id);
                self.history = plan.history.clone();
                self.history_after(&look, &plan, &report);
                self.named = look.named;
                if let Some(list) = look.images.known() {
                    self.wanted = Some(wanted(list, self.rules.tagging));
                }
                busy = report.busy.is_some();
                Summary::of(&plan, &report, &look.counts, &self.rules.policy.mount)
            }
            Err(cause) => {
                if cause.kind == gather::ACTOR_GONE {
                    // No pass will ever be better: the process ends, and is started anew.
                    error!(event = "actor_gone", detail = %cause, "a part of the agent has died: it ends");
                    ctx.stop();
                }
                self.confirmed = confirmed;
                self.history.restart_looks();
                self.telling.unknown(std::slice::from_ref(&cause), scan_id);
                let live = self.status.borrow().summary.live;
                Summary::failed(cause, live)
            }
        };
        self.failures = if summary.is_troubled() { self.failures.saturating_add(1) } else { 0 };
        let status = Status { scan_id, converged: summary.is_converged(), summary };
        status.log();
        self.status.send_replace(status.clone());
        *self.kept.history.borrow_mut() = Some(self.history.clone());
        self.kept.scan_id.set(scan_id);
        if let Some(cadence) = self.cadence.clone() {
            let confirm_after = self.rules.policy.limits.confirm_after;
            let delay = next_delay(&status.summary, self.failures, &cadence, confirm_after);
            self.timer = Some(ctx.run_later(delay, |act, ctx| act.queue(ctx)));
            // The daemon is free and something else is held: that is not to be had by knocking.
            if busy && !self.knocked {
                self.knock_later(ctx);
            }
            self.knocked &= busy;
        }
        status
    }

    fn knock_later(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(KNOCK_EVERY, |_, ctx| ctx.notify(KnockAgain));
    }

    /// An operator who gave a code learns what became of it. Without evidence it waits for the next pass.
    fn judge_confirmation(&mut self, plan: &Plan, confirmed: Option<String>, scan_id: u64) {
        match (plan.confirmation, confirmed) {
            (Some(true), Some(code)) => {
                info!(event = "confirmed", scan_id, code, "removals were confirmed by an operator");
            }
            (Some(false), Some(code)) => {
                let held = plan.history.breaker.code.as_deref().unwrap_or("none");
                warn!(event = "confirmation_unmatched", scan_id, code, held, "no removals of this code wait");
            }
            (None, code) => self.confirmed = code,
            (Some(_), None) => {}
        }
    }

    /// What the changes came to.
    fn history_after(&mut self, look: &Look, plan: &Plan, report: &Report) {
        let now = self.clock.now();
        let saved = matches!(report.saved, SaveOutcome::Written);
        let forgotten = plan.forgotten.iter().filter(|_| saved);
        // What failed may still come about: a command that was answered too late is carried out all the same.
        let failed: BTreeSet<_> = report.failed.iter().map(|failure| &failure.identity).collect();
        let withdrawn = plan.changes.iter().filter(|change| matches!(change.action, Action::Withdraw(_)));
        let perhaps = withdrawn.map(|change| &change.identity).filter(|identity| failed.contains(identity));
        for identity in report.removed.iter().chain(forgotten).chain(perhaps) {
            // What an operator has confirmed says nothing of what goes by itself.
            if !self.history.breaker.confirmed.contains(identity) {
                self.history.breaker.removed.insert(identity.clone(), now);
            }
        }
        self.history.failed = report.failed.iter().map(|failure| failure.identity.clone()).collect();
        let (Some(after), Some(mount)) = (&report.after, look.live.mount) else { return };
        let objects = look.desired.objects.known();
        let made: BTreeSet<_> = plan
            .changes
            .iter()
            .filter(|change| matches!(change.action, Action::Project(..) | Action::Remake(..)))
            .map(|change| &change.identity)
            .collect();
        for (backstore, ours) in ours_live(after, &self.rules.policy.mount) {
            if made.contains(&ours.identity) {
                let opened = Opened { inode: backstore.inode, device: mount.device };
                let known = self.history.mounts.get(&ours.identity);
                if known.is_none_or(|known| known.inode != opened.inode) {
                    self.history.mounts.insert(ours.identity.clone(), opened);
                    let held =
                        objects.and_then(|objects| objects.get(&ours.key)).map(|meta| meta.etag.clone());
                    self.history.contents.extend(held.map(|etag| (ours.identity.clone(), etag)));
                }
            }
        }
    }

    /// What is to be stored, if it is not what was stored last.
    fn to_store(&self) -> Option<Vec<u8>> {
        if self.stored.as_ref() == Some(&self.history) {
            return None;
        }
        self.history.to_bytes(&self.store.boot()).ok()
    }

    /// Told once: without it a restart only takes longer.
    fn stored(&mut self, result: Result<(), HistoryError>) {
        match result {
            Ok(()) => {
                self.stored = Some(self.history.clone());
                self.store_fails = false;
            }
            Err(_) if self.store_fails => {}
            Err(error) => {
                self.store_fails = true;
                let detail = Cause::new(Source::Lio, error.kind(), &error).detail;
                warn!(
                    event = "history_not_stored",
                    reason = error.kind(),
                    detail,
                    "a restart will take its looks anew"
                );
            }
        }
    }
}
