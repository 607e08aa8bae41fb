//! The Reconciler: owns the passes, their timing, what is remembered between them, and the status.

mod finish;
pub(crate) mod gather;
mod log;
mod pass;
pub(crate) mod store;

use crate::decide::cadence::{Cadence, first_poll, is_overdue};
use crate::decide::history::History;
use crate::decide::images::WantedImage;
use crate::decide::plan::Plan;
use crate::decide::status::Status;
use crate::decide::transitions::OpenConditions;
use crate::events::emit;
use crate::ims::ListImages;
use crate::lio::TryDaemon;
use crate::lio::progress::Phase;
use crate::model::{Actual, Cause, Identity, ObjectKey, Snapshot};
use actix::prelude::*;
use finish::lot;
use gather::{PassContext, Purpose};
use pass::{Clock, Memory, Removing};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;
use store::Store;
use tokio::sync::watch;
use tokio::time::Instant;

/// While another client holds the daemon it is asked so often whether it is free: it answers at once when it is.
const TRY_DAEMON_EVERY: Duration = Duration::from_secs(1);

/// A reconciler that waits for its next pass says so often that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Owns the passes.
pub struct Reconciler {
    context: PassContext,
    cadence: Option<Cadence>,
    stop: watch::Receiver<bool>,
    status: watch::Sender<Status>,
    store: Store,
    remembered: Remembered,
    clock: Clock,
    history: History,
    /// What was stored last, and whether storing fails.
    stored: Option<History>,
    store_fails: bool,
    /// What manifests named in the last pass: relevant for the next listing.
    named: BTreeSet<ObjectKey>,
    /// What IMS wanted when it was last asked.
    wanted: Option<BTreeSet<WantedImage>>,
    conditions: OpenConditions,
    failures: u32,
    timer: Option<SpawnHandle>,
    /// When the next pass has to begin; `None` while one is under way.
    due: Option<Instant>,
    /// A pass has been asked for and has not begun yet.
    queued: bool,
    /// What the pass under way is about to remove.
    removing: Removing,
    /// See [`Memory::unreported`].
    unreported: BTreeSet<Identity>,
    /// Whether the daemon is free again is being asked: by one question after the other, however many passes find it held.
    trying: bool,
}

/// What one reconciler hands to the next, so that a reload forgets nothing.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// What is remembered.
    pub(crate) history: Rc<RefCell<Option<History>>>,
    /// How things were after its last pass.
    pub(crate) status: Rc<RefCell<Status>>,
}

/// What a reconciler is made of, beside the context of its passes.
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
    pub remembered: Remembered,
}

impl Reconciler {
    /// An actor that passes in this context.
    pub fn new(context: PassContext, outfit: Outfit) -> Self {
        let Outfit { cadence, stop, status, store, remembered } = outfit;
        let clock = Clock::at(store.boot().since);
        let history = remembered.history.borrow().clone().unwrap_or_default();
        Reconciler {
            context,
            cadence,
            stop,
            status,
            store,
            remembered,
            clock,
            history,
            stored: None,
            store_fails: false,
            named: BTreeSet::new(),
            wanted: None,
            conditions: OpenConditions::default(),
            failures: 0,
            timer: None,
            due: None,
            queued: false,
            removing: Removing::default(),
            unreported: BTreeSet::new(),
            trying: false,
        }
    }

    /// One more pass, however often it is asked for before it begins.
    fn queue(&mut self, ctx: &mut Context<Self>) {
        if !self.queued {
            self.queued = true;
            self.due = Some(Instant::now());
            ctx.notify(Tick { confirmed: None });
        }
    }

    /// Says that it lives, unless the pass that it waits for was lost: that would be waited for for ever.
    fn note_alive(&self) {
        if self.due.is_some_and(|due| !is_overdue(due.elapsed())) {
            self.context.note_progress();
        }
    }

    /// One poll ahead, never an interval: intervals that passed during a long pass would all be made up for after it.
    fn poll_tags_later(&mut self, ctx: &mut Context<Self>) {
        if let Some(cadence) = &self.cadence {
            ctx.run_later(cadence.tags, |_, ctx| ctx.notify(PollTags));
        }
    }

    fn try_daemon_later(&mut self, ctx: &mut Context<Self>) {
        self.trying = true;
        ctx.run_later(TRY_DAEMON_EVERY, |_, ctx| ctx.notify(TryDaemonAgain));
    }

    fn memory(&self) -> Memory {
        Memory {
            history: self.history.clone(),
            named: self.named.clone(),
            clock: self.clock,
            removing: self.removing.clone(),
            unreported: self.unreported.clone(),
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
        let (store, mut stop) = (self.store.clone(), self.stop.clone());
        // Nothing else happens before it is known what was; a file that hangs does not hold up a stop.
        let loaded = async move {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => None,
                loaded = store.load() => Some(loaded),
            }
        };
        ctx.wait(loaded.into_actor(self).map(|loaded, act, ctx| {
            let Some(loaded) = loaded else { return };
            act.recall(loaded);
            if act.cadence.is_some() {
                // Not during a pass, which has progress of its own or hangs.
                ctx.run_interval(HEARTBEAT, |act, _| act.note_alive());
                act.queue(ctx);
            }
            if let Some(first) = act.cadence.as_ref().map(|cadence| first_poll(cadence, lot())) {
                ctx.run_later(first, |_, ctx| ctx.notify(PollTags));
            }
        }));
    }
}

/// Request: one pass. It is answered when the pass has ended or was given up, and no other message is looked at meanwhile: passes
/// never overlap.
#[derive(Message)]
#[rtype(result = "Status")]
pub struct Tick {
    /// The code of the removals that an operator has confirmed (R3): for this pass and no other.
    pub confirmed: Option<String>,
}

impl Handler<Tick> for Reconciler {
    type Result = AtomicResponse<Self, Status>;

    fn handle(&mut self, msg: Tick, ctx: &mut Self::Context) -> Self::Result {
        self.queued = false;
        self.due = None;
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let scan_id = self.status.borrow().scan_id + 1;
        let confirmed = msg.confirmed;
        let began = self.clock.now();
        self.context.progress.enter(Phase::Looking);
        let pass = self.context.clone().run(self.memory(), confirmed.clone(), scan_id);
        let mut stop = self.stop.clone();
        let bounded = async move {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => None,
                outcome = pass => Some(outcome),
            }
        };
        let finished = bounded.into_actor(self).then(move |outcome, act, ctx| {
            let status = act.finish(outcome, confirmed, scan_id, began, ctx);
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

/// Request: nothing but the end of the pass under way, and of what it stores. [`MailboxError`] says as much.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Settle;

impl Handler<Settle> for Reconciler {
    type Result = ();

    fn handle(&mut self, _: Settle, _: &mut Self::Context) {}
}

/// Request: a pass at once, for this reason. During a pass, however often: one more pass.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Resync {
    /// Why: for the log.
    pub reason: &'static str,
}

impl Handler<Resync> for Reconciler {
    type Result = ();

    fn handle(&mut self, msg: Resync, ctx: &mut Self::Context) {
        emit!(RESYNC, reason = msg.reason);
        self.queue(ctx);
    }
}

/// Request: has a tag changed? Then a pass at once: BOS tags an image just before it powers nodes on (facts 5.3).
#[derive(Message)]
#[rtype(result = "()")]
pub struct PollTags;

impl Handler<PollTags> for Reconciler {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _: PollTags, _: &mut Self::Context) -> Self::Result {
        let ims = self.context.peers.images.clone();
        let asked = async move { ims.send(ListImages).await };
        AtomicResponse::new(Box::pin(asked.into_actor(self).map(|answer, act, ctx| {
            act.note_alive();
            act.poll_tags_later(ctx);
            let Ok(Snapshot::Known(list)) = answer else { return };
            let now = list.wanted(act.context.policy.tagging);
            act.history.seen_wanted(now.iter().map(|image| &image.id));
            if act.wanted.as_ref().is_some_and(|before| *before != now) {
                emit!(TAGS_CHANGED);
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
struct TryDaemonAgain;

impl Handler<TryDaemonAgain> for Reconciler {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: TryDaemonAgain, _: &mut Self::Context) -> Self::Result {
        let daemon = self.context.peers.daemon.clone();
        let asked = async move { daemon.send(TryDaemon).await };
        Box::pin(asked.into_actor(self).map(|free, act, ctx| match free {
            Ok(false) => act.try_daemon_later(ctx),
            _ => {
                act.trying = false;
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
        let (context, memory) = (self.context.clone(), self.memory());
        Box::pin(async move {
            let (observation, plan) = context.observe_and_plan(memory, None, Purpose::Preview).await?;
            Ok((plan, (*observation.actual).clone()))
        })
    }
}

#[cfg(test)]
pub(crate) mod lost {
    //! What no outside party can bring about.

    use super::Reconciler;
    use actix::prelude::*;

    /// Request: lose the timer of the next pass, as by a mistake of ours.
    #[derive(Message)]
    #[rtype(result = "()")]
    pub(crate) struct LoseTimer;

    impl Handler<LoseTimer> for Reconciler {
        type Result = ();

        fn handle(&mut self, _: LoseTimer, ctx: &mut Self::Context) {
            assert!(self.timer.take().is_some_and(|timer| ctx.cancel_future(timer)), "it waits for a pass");
        }
    }
}
