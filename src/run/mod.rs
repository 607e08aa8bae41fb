//! The only wiring: settings to ports, ports to actors, signals and systemd to messages.

mod daemon;
mod prepared;
mod reload;
mod rules;
mod signals;
mod watchdog;

pub use prepared::PortsError;

use crate::aside::Aside;
use crate::causes;
use crate::changes;
use crate::config::{Loaded, Settings, Sources};
use crate::control::Server;
use crate::lock::{InstanceLock, LockError};
use crate::telemetry::{self, LevelHandle, Tap, TelemetryError};
use actix::{System, SystemRunner};
use actors::agent::{Agent, Kept};
use actors::decide::plan::Plan;
use actors::events::emit;
use actors::model::{Actual, Cause};
use actors::reconciler::{Preview, Tick};
use prepared::Prepared;
use reload::Reloader;
pub(crate) use rules::site;
use rules::stop_limit;
use signals::Signals;
use std::io;
use std::mem::ManuallyDrop;

/// Which outside the actors see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// IMS, S3, s3fs and LIO.
    Real,
    /// A small site in memory.
    Simulated,
}

/// Why the agent cannot run at all, or not any longer. What else fails shows in the passes.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another instance runs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Events cannot be logged.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// What is configured cannot be used.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// Signals cannot be caught.
    #[error("signals cannot be caught")]
    Signals(#[source] io::Error),
    /// Nothing could be seen.
    #[error("nothing can be planned: {0}; `sbps-marshal check` says what is missing")]
    Blind(Cause),
    /// An actor has died.
    #[error("the agent is broken: {0}")]
    Actor(#[from] actix::MailboxError),
    /// The reconciler has died: there will be no pass any more.
    #[error("the agent is broken: the reconciler has died")]
    Dead,
    /// The actors have not ended in time, so no others may start.
    #[error("the actors did not end in time for a reload: the process has to start anew")]
    Stuck,
}

impl RunError {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            RunError::Lock(_) => "lock",
            RunError::Telemetry(_) => "telemetry",
            RunError::Ports(error) => error.kind(),
            RunError::Signals(_) => "signals",
            RunError::Blind(_) => "blind",
            RunError::Actor(_) => "actor",
            RunError::Dead => "reconciler_dead",
            RunError::Stuck => "actors_stuck",
        }
    }

    /// Whether it has been logged: where events go is set up first.
    pub fn is_logged(&self) -> bool {
        !matches!(self, RunError::Telemetry(_))
    }
}

/// Runs the agent until it is told to stop; with `once`, for one pass. Whether it has converged. Every error but that
/// of the log itself is logged.
pub fn run(sources: &Sources, loaded: Loaded, once: bool, backend: Backend) -> Result<bool, RunError> {
    let tap = Tap::default();
    let level = telemetry::init(&loaded.settings.log, tap.clone())?;
    loaded.notes.iter().for_each(|note| emit!(CONFIGURATION_NOTE; note.as_str()));
    let outcome = alone(sources, loaded.settings, once, backend, &level, &tap);
    match &outcome {
        Ok(_) => emit!(STOPPED),
        Err(error) => {
            let (reason, detail) = (error.kind(), causes::with_causes(error));
            emit!(AGENT_FAILED, reason, detail);
        }
    }
    outcome
}

fn alone(
    sources: &Sources,
    settings: Settings,
    once: bool,
    backend: Backend,
    level: &LevelHandle,
    tap: &Tap,
) -> Result<bool, RunError> {
    let lock = match backend {
        Backend::Real => Some(InstanceLock::acquire(&settings.runtime_dir, once)?),
        Backend::Simulated => None,
    };
    let prepared = Prepared::make(settings, backend, None)?;
    prepared.log_notes();
    let outcome = runtime().block_on(async {
        let signals = Signals::catch().map_err(RunError::Signals)?;
        if once {
            return one_pass(prepared, signals).await;
        }
        let reloader = Reloader { sources, backend, level, aside: Aside::default() };
        let server = (backend == Backend::Real).then(|| serve(&prepared.in_force.settings, tap)).flatten();
        daemon::run(prepared, &reloader, signals, server.as_ref()).await.map(|()| true)
    });
    if let Some(lock) = lock {
        lock.release();
    }
    outcome
}

/// Without it operators see less, and nodes are served all the same.
fn serve(settings: &Settings, tap: &Tap) -> Option<Server> {
    let refused = |error: io::Error| emit!(CONTROL_NOT_SERVED, detail = causes::with_causes(&error));
    changes::keep(tap, &settings.state_dir).unwrap_or_else(refused);
    Server::start(settings, tap.clone()).map_err(refused).ok()
}

/// What a pass would do now.
pub fn preview(settings: Settings, backend: Backend) -> Result<(Plan, Actual), RunError> {
    let prepared = Prepared::to_look(settings, backend)?;
    runtime().block_on(async {
        let (agent, _) = prepared.start(None, &Kept::default());
        agent.reconciler.send(Preview).await?.map_err(RunError::Blind)
    })
}

/// Whether a start would get as far as its first pass, and what should be said of it. Nothing is connected.
pub fn check(settings: Settings) -> Result<Vec<String>, PortsError> {
    Prepared::to_look(settings, Backend::Real).map(|prepared| prepared.notes().to_vec())
}

/// Never dropped: that would wait for every thread that still resolves a name or reads a file, and one may hang. The
/// end of the process follows.
pub(crate) fn runtime() -> ManuallyDrop<SystemRunner> {
    ManuallyDrop::new(System::new())
}

/// Told to stop, it finishes its step and has not converged. SIGHUP means nothing to it.
async fn one_pass(prepared: Prepared, mut signals: Signals) -> Result<bool, RunError> {
    let (agent, in_force) = prepared.start(None, &Kept::default());
    let status = tokio::select! {
        biased;
        () = signals.stop() => None,
        status = agent.reconciler.send(Tick { confirmed: None }) => Some(status),
    };
    end(agent, &in_force.settings).await;
    Ok(status.transpose()?.is_some_and(|status| status.converged))
}

/// Whether the session with targetclid, and the step before it, have ended.
async fn end(agent: Agent, settings: &Settings) -> bool {
    let ended = agent.stop(stop_limit(settings)).await;
    if !ended {
        emit!(SESSION_NOT_ENDED);
    }
    ended
}
