//! The only wiring: settings to ports, ports to actors, signals and systemd to messages.

use crate::config::{self, Loaded, Settings, Sources};
use crate::ims::ImsClient;
use crate::lio::LioAdapter;
use crate::lock::{InstanceLock, LockError};
use crate::mount::S3fsMount;
use crate::s3::S3Client;
use crate::telemetry::{self, LevelHandle, TelemetryError};
use crate::token::FileToken;
use crate::{confirm, notify};
use actors::cast::{Cast, Kept, Ports};
use actors::guard::Limits;
use actors::model::{Actual, Cause};
use actors::pass::Rules;
use actors::plan::{Plan, Policy};
use actors::reconciler::{Cadence, Preview, Resync, Tick};
use actors::sim::{self, Sim};
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

/// Added to the longest command, when the agent is told to stop and waits for the step under way.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// Which outside the actors see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// IMS, S3, s3fs and LIO.
    Real,
    /// A small site in memory.
    Simulated,
}

/// Why the agent cannot run at all. What fails later shows in the passes.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another instance runs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Events cannot be logged.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The IMS client.
    #[error("the IMS client cannot be made")]
    Ims(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The S3 client.
    #[error("the S3 client cannot be made")]
    S3(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The mount's probe thread.
    #[error("the mount cannot be watched")]
    Mount(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The LIO adapter.
    #[error("LIO cannot be addressed")]
    Lio(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Signals cannot be caught.
    #[error("signals cannot be caught")]
    Signals(#[source] io::Error),
    /// Nothing could be seen.
    #[error("nothing can be planned: {0}")]
    Blind(Cause),
    /// An actor has died.
    #[error("the agent is broken: {0}")]
    Actor(#[from] actix::MailboxError),
}

/// Runs the agent until it is told to stop; with `once`, for one pass. Whether it has converged.
pub fn run(sources: &Sources, loaded: Loaded, once: bool, world: World) -> Result<bool, RunError> {
    let level = telemetry::init(&loaded.settings.log)?;
    loaded.notes.iter().for_each(|note| warn!(event = "configuration_note", "{note}"));
    let _lock = match world {
        World::Real => Some(InstanceLock::acquire(&loaded.settings.runtime_dir)?),
        World::Simulated => None,
    };
    actix::System::new().block_on(async {
        match once {
            true => one_pass(&loaded.settings, world).await,
            false => daemon(sources, loaded.settings, world, &level).await,
        }
    })
}

/// What a pass would do now.
pub fn preview(settings: &Settings, world: World) -> Result<(Plan, Actual), RunError> {
    actix::System::new().block_on(async {
        let cast = start(settings, world, None)?;
        cast.reconciler.send(Preview).await?.map_err(RunError::Blind)
    })
}

async fn one_pass(settings: &Settings, world: World) -> Result<bool, RunError> {
    let cast = start(settings, world, None)?;
    let status = cast.reconciler.send(Tick { confirmed: None }).await?;
    end(cast, settings).await;
    Ok(status.converged)
}

/// What to do after a signal.
enum Next {
    Stop,
    Restart(Box<Settings>),
}

async fn daemon(
    sources: &Sources,
    mut settings: Settings,
    world: World,
    level: &LevelHandle,
) -> Result<bool, RunError> {
    let mut signals = Signals::catch().map_err(RunError::Signals)?;
    loop {
        let cast = start(&settings, world, Some(cadence(&settings)))?;
        info!(
            event = "started",
            version = env!("CARGO_PKG_VERSION"),
            iqn = settings.lio.iqn,
            bucket = settings.s3.bucket,
            simulated = world == World::Simulated,
            "the agent runs"
        );
        notify::ready();
        let next = serve(&cast, &settings, sources, &mut signals, level).await;
        if matches!(next, Next::Stop) {
            notify::stopping();
        }
        end(cast, &settings).await;
        match next {
            Next::Restart(new) => settings = *new,
            Next::Stop => {
                info!(event = "stopped", "the agent has stopped");
                return Ok(true);
            }
        }
    }
}

/// Passes happen by themselves; this hears signals and tells systemd how things are.
async fn serve(
    cast: &Cast,
    settings: &Settings,
    sources: &Sources,
    signals: &mut Signals,
    level: &LevelHandle,
) -> Next {
    let mut status = cast.status.clone();
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Next::Stop,
            _ = signals.interrupt.recv() => return Next::Stop,
            Ok(()) = status.changed() => notify::status(&status.borrow_and_update().to_string()),
            _ = signals.hangup.recv() => {
                notify::reloading();
                if let Some(new) = reload(settings, sources, level) {
                    return Next::Restart(Box::new(new));
                }
                let confirmed = confirm::take(&settings.runtime_dir);
                cast.reconciler.do_send(Resync { reason: "sighup", confirmed });
                notify::ready();
            }
        }
    }
}

/// The new settings, if they are good and others than before; a bad configuration changes nothing.
fn reload(settings: &Settings, sources: &Sources, level: &LevelHandle) -> Option<Settings> {
    match config::load(sources) {
        Err(errors) => {
            let detail = errors.to_string();
            error!(event = "reload_refused", detail, "the configuration is bad: the old one stays in force");
            None
        }
        Ok(new) if new.settings == *settings => None,
        Ok(new) => {
            if let Err(error) = level.set(&new.settings.log) {
                warn!(event = "level_not_set", detail = %error);
            }
            info!(event = "reloaded", "the configuration has changed: the actors start anew");
            Some(new.settings)
        }
    }
}

async fn end(cast: Cast, settings: &Settings) {
    let deadline = settings.lio.command_timeout.max(settings.lio.tree_timeout) + STOP_MARGIN;
    if !cast.stop(deadline).await {
        warn!(event = "session_not_ended", "the session with targetclid could not be ended in time");
    }
}

/// Real or simulated: chosen here and nowhere else.
fn start(settings: &Settings, world: World, cadence: Option<Cadence>) -> Result<Cast, RunError> {
    let suffix = settings.pe.suffix.clone();
    match world {
        World::Simulated => {
            let site = Sim::small_site();
            let (ims, tokens, s3, mount) = (site.clone(), site.clone(), site.clone(), site.clone());
            let ports = Ports { ims, tokens, s3, mount, history: site.clone(), lio: move || site.clone() };
            Ok(Cast::start(
                ports,
                rules(settings, sim::BUCKET, sim::MOUNT),
                suffix,
                cadence,
                &Kept::default(),
            ))
        }
        World::Real => {
            let mount = settings.mount.path.to_string_lossy();
            let lio = LioAdapter::new(&settings.lio).map_err(|error| RunError::Lio(Box::new(error)))?;
            let ports = Ports {
                ims: ImsClient::new(&settings.ims).map_err(|error| RunError::Ims(Box::new(error)))?,
                tokens: FileToken::new(settings.ims.token_file.clone()),
                s3: S3Client::new(&settings.s3).map_err(|error| RunError::S3(Box::new(error)))?,
                mount: S3fsMount::new(&settings.mount).map_err(|error| RunError::Mount(Box::new(error)))?,
                history: Sim::default(),
                lio: move || lio.clone(),
            };
            Ok(Cast::start(
                ports,
                rules(settings, &settings.s3.bucket, &mount),
                suffix,
                cadence,
                &Kept::default(),
            ))
        }
    }
}

fn cadence(settings: &Settings) -> Cadence {
    Cadence { scan: settings.scan.frequency, tags: settings.scan.tag_frequency }
}

fn rules(settings: &Settings, bucket: &str, mount: &str) -> Rules {
    Rules {
        tagging: settings.ims.tagging,
        pe_prefix: settings.pe.prefix.clone(),
        policy: Policy {
            bucket: bucket.to_owned(),
            mount: mount.to_owned(),
            limits: Limits {
                confirm_after: settings.guard.confirm_after,
                max_removal_percent: settings.guard.max_removal_percent,
                max_removals: settings.guard.max_removals,
                window: settings.guard.window,
            },
            luns: settings.lio.first_lun..=settings.lio.last_lun,
            verify_md5: settings.ims.verify_md5,
        },
        patience: settings.lio.command_timeout.max(settings.lio.tree_timeout) + Duration::from_secs(60),
    }
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}
