//! The Lio actor: owns the one session to targetclid and the view of configfs. It has a thread of its own, for the
//! session is blocking and strictly serial.

mod apply;
mod log;
mod look;
pub mod progress;
mod save;
mod step;
mod unlocked;

use crate::decide::daemon::Agreed;
use crate::decide::plan::Plan;
use crate::decide::save::Futile;
use crate::decide::witness::Witness;
use crate::model::{Actual, Engine, Inventory, Report, Request, Site, Snapshot};
use crate::mount::again::LookAgain;
use crate::ports::{LioError, LioPort, Rest};
use actix::prelude::*;
use progress::Progress;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;

/// Owns the one session to targetclid and the view of configfs.
pub struct Lio<P> {
    port: P,
    stop: watch::Receiver<bool>,
    files: Recipient<LookAgain>,
    progress: Progress,
    site: Site,
    /// What the daemon's tree shows.
    agreed: Agreed,
    /// What has been live since we run.
    witness: Witness,
    /// Who carries changes out, as configured.
    engine: Engine,
    /// Who does in the pass under way: it is the kernel's own interface also once targetclid is seen to be blocked.
    at_hand: Engine,
    /// Somebody has changed LIO beside targetclid, and that was us: its other clients see the past until it is told.
    untold: bool,
    /// What was there when the daemon read its tree while files were still looked into.
    prepared: Option<Inventory>,
    /// The daemon saved this state, and it did not help.
    futile: Futile,
    /// Who had plain targetcli's lock when it was last waited for in vain.
    locked: Option<String>,
    /// See [`Apply::given_up`].
    given_up: Arc<AtomicBool>,
}

impl<P: LioPort> Lio<P> {
    /// An actor over this port, for this site. Once `stop` says true, it finishes the step it is at
    /// and begins no other. `files` looks at a file once more before its LUN; `progress` counts steps.
    pub fn new(
        port: P,
        stop: watch::Receiver<bool>,
        files: Recipient<LookAgain>,
        progress: Progress,
        site: Site,
        engine: Engine,
    ) -> Self {
        let (agreed, witness, futile) = (Agreed::default(), Witness::default(), Futile::default());
        let given_up = Arc::default();
        // What the agent before this one has written may not have been told.
        let (at_hand, untold) = (engine, engine == Engine::Configfs);
        Lio {
            port,
            stop,
            files,
            progress,
            site,
            agreed,
            witness,
            engine,
            at_hand,
            untold,
            prepared: None,
            futile,
            locked: None,
            given_up,
        }
    }

    /// For whoever waits for us: we do not hang.
    fn note_progress(&self) {
        self.progress.note();
    }
}

impl<P: LioPort + Unpin> Actor for Lio<P> {
    type Context = SyncContext<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.port.rest(Rest::ForGood);
    }
}

/// Request: what configfs and saveconfig.json show.
#[derive(Message)]
#[rtype(result = "Snapshot<Actual>")]
pub struct Observe;

impl<P: LioPort + Unpin> Handler<Observe> for Lio<P> {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(match self.port.observe() {
            Ok(actual) => Snapshot::Known(actual),
            Err(error) => Snapshot::Unknown((&error).into()),
        })
    }
}

/// Notice: changes are likely to come, on top of this. What fails here is tried again, and told, when they do.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Prepare {
    /// What is there.
    pub actual: Arc<Actual>,
}

impl<P: LioPort + Unpin> Handler<Prepare> for Lio<P> {
    type Result = ();

    fn handle(&mut self, msg: Prepare, _: &mut Self::Context) {
        self.prepare(&msg.actual);
    }
}

/// Request: make it so.
#[derive(Message)]
#[rtype(result = "Report")]
pub struct Apply {
    /// What to do.
    pub plan: Arc<Plan>,
    /// What was there when it was planned.
    pub before: Arc<Actual>,
    /// Number of the pass, for the log.
    pub scan_id: u64,
    /// Once it is true nobody waits for the report any more: the step under way is the last one, and nothing is saved.
    pub given_up: Arc<AtomicBool>,
}

impl<P: LioPort + Unpin> Handler<Apply> for Lio<P> {
    type Result = MessageResult<Apply>;

    fn handle(&mut self, msg: Apply, _: &mut Self::Context) -> Self::Result {
        self.given_up = msg.given_up;
        MessageResult(self.apply(&msg.plan, &msg.before, msg.scan_id))
    }
}

/// Request: whether LIO can be changed now, after another client or plain targetcli was in the way.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct TryDaemon;

impl<P: LioPort + Unpin> Handler<TryDaemon> for Lio<P> {
    type Result = bool;

    fn handle(&mut self, _: TryDaemon, _: &mut Self::Context) -> Self::Result {
        let asked = self.port.apply(&Request::Probe);
        !matches!(asked, Err(LioError::Busy { .. } | LioError::Locked { .. }))
    }
}

/// Request: end the session, so that other clients are served.
#[derive(Message)]
#[rtype(result = "()")]
pub struct EndSession;

impl<P: LioPort + Unpin> Handler<EndSession> for Lio<P> {
    type Result = ();

    fn handle(&mut self, _: EndSession, _: &mut Self::Context) {
        self.port.rest(Rest::ForGood);
    }
}
