//! Everything about a start that can fail: read, checked and made before an actor lives, and, at a reload, before the
//! old ones end.

use super::Backend;
use super::rules::{deadlines, policy, site};
use crate::config::Settings;
use crate::configfs::Journal;
use crate::exposure;
use crate::files::Folders;
use crate::history::HistoryFile;
use crate::identity::{self, Tokens};
use crate::ims::ImsClient;
use crate::lio::{LioAdapter, SettingError};
use crate::mount::S3fsMount;
use crate::s3::S3Client;
use crate::targetclid::Access;
use crate::tls::{self, Fingerprint, SystemRoots, TlsError};
use actors::agent::{Agent, Kept, Ports};
use actors::decide::cadence::Cadence;
use actors::events::emit;
use actors::sim;
use actors::sim::Sim;
use std::io;

/// Why the ports cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// The IMS client.
    #[error("the IMS client cannot be made")]
    Ims(#[source] TlsError),
    /// The S3 client.
    #[error("the S3 client cannot be made")]
    S3(#[source] TlsError),
    /// The mount's probe threads.
    #[error("the mount cannot be watched")]
    Mount(#[source] io::Error),
    /// The LIO adapter.
    #[error("LIO cannot be addressed")]
    Lio(#[source] SettingError),
}

impl PortsError {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            PortsError::Ims(_) => "ims",
            PortsError::S3(_) => "s3",
            PortsError::Mount(_) => "mount",
            PortsError::Lio(_) => "lio",
        }
    }
}

type MakeLio = Box<dyn Fn() -> LioAdapter + Send + Sync>;
type RealPorts = Ports<ImsClient, Tokens, S3Client, S3fsMount, HistoryFile, MakeLio>;

enum Outside {
    Real(Box<RealPorts>),
    Simulated(Sim),
}

/// By what an agent lives: what a reload is compared with, and what it goes on using.
#[derive(Clone)]
pub(super) struct InForce {
    pub settings: Settings,
    /// By their content: a bundle is renewed under its path.
    trusted: Option<[Fingerprint; 2]>,
    /// Its probe threads may hang, and there shall not be others beside them.
    mount: Option<S3fsMount>,
    /// What an operator was given stays given.
    access: Option<Access>,
}

impl InForce {
    /// Whether an agent made from these would be the same.
    pub fn is_equal(&self, settings: &Settings, trusted: &Option<[Fingerprint; 2]>) -> bool {
        self.settings == *settings && self.trusted == *trusted
    }

    /// Whether there is nothing real about it.
    pub fn is_simulated(&self) -> bool {
        self.trusted.is_none()
    }
}

/// What is trusted now; nothing in the simulated backend.
pub(super) fn trusted(settings: &Settings, backend: Backend) -> Result<Option<[Fingerprint; 2]>, PortsError> {
    if backend == Backend::Simulated {
        return Ok(None);
    }
    let system = SystemRoots::now();
    let ims = tls::fingerprint(&system, settings.ims.ca_bundle.as_deref()).map_err(PortsError::Ims)?;
    let s3 = tls::fingerprint(&system, settings.s3.ca_bundle.as_deref()).map_err(PortsError::S3)?;
    Ok(Some([ims, s3]))
}

/// An agent that only has to be started.
pub(super) struct Prepared {
    pub in_force: InForce,
    outside: Outside,
    notes: Vec<String>,
}

impl Prepared {
    /// Makes the ports; real or simulated is chosen here and nowhere else. Nothing is connected. Files are read: it may
    /// block. Whoever starts them has the lock of the one instance: LIO may be written.
    pub fn make(settings: Settings, backend: Backend, before: Option<&InForce>) -> Result<Self, PortsError> {
        Prepared::with(settings, backend, before, true)
    }

    /// The same for whoever only looks: nothing of LIO is changed, whatever an agent has left half done.
    pub fn to_look(settings: Settings, backend: Backend) -> Result<Self, PortsError> {
        Prepared::with(settings, backend, None, false)
    }

    fn with(
        settings: Settings,
        backend: Backend,
        before: Option<&InForce>,
        may_write: bool,
    ) -> Result<Self, PortsError> {
        let trusted = trusted(&settings, backend)?;
        if backend == Backend::Simulated {
            let in_force = InForce { settings, trusted, mount: None, access: None };
            return Ok(Prepared {
                in_force,
                outside: Outside::Simulated(Sim::small_site()),
                notes: Vec::new(),
            });
        }
        let kept = before.filter(|before| before.settings.mount == settings.mount);
        let mount = match kept.and_then(|before| before.mount.clone()) {
            Some(mount) => mount,
            None => S3fsMount::new(&settings.mount).map_err(PortsError::Mount)?,
        };
        let access = before.and_then(|before| before.access.clone()).unwrap_or_default();
        let lio = LioAdapter::new(&settings.lio).map_err(PortsError::Lio)?;
        let lio = lio.with_access(access.clone());
        let lio = match may_write {
            true => lio.with_files(mount.files(), Journal::new(&settings.runtime_dir)),
            false => lio,
        };
        let ports = Ports {
            ims: ImsClient::new(&settings.ims).map_err(PortsError::Ims)?,
            tokens: Tokens::new(&settings),
            s3: S3Client::new(&settings.s3).map_err(PortsError::S3)?,
            mount: mount.clone(),
            history: HistoryFile::new(Folders {
                runtime_dir: &settings.runtime_dir,
                state_dir: &settings.state_dir,
            }),
            lio: Box::new(move || lio.clone().settled()) as MakeLio,
        };
        let mut notes = exposure::of_secrets(&settings);
        notes.extend(identity::note(&settings));
        notes.extend(tls::note(&settings).map(str::to_owned));
        let in_force = InForce { settings, trusted, mount: Some(mount), access: Some(access) };
        Ok(Prepared { in_force, outside: Outside::Real(Box::new(ports)), notes })
    }

    /// What is not wrong but should be said once, one line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What an operator may ask of it beside its passes; nothing in the simulated backend.
    pub fn asked(&self) -> Option<(identity::Watch, Access)> {
        match &self.outside {
            Outside::Real(ports) => Some((ports.tokens.watch(), self.in_force.access.clone()?)),
            Outside::Simulated(_) => None,
        }
    }

    /// Says it in the log.
    pub fn log_notes(&self) {
        self.notes.iter().for_each(|note| emit!(CONFIGURATION_NOTE; note.as_str()));
    }

    /// The actors, alive, and by what they live.
    pub fn start(self, cadence: Option<Cadence>, kept: &Kept) -> (Agent, InForce) {
        let settings = &self.in_force.settings;
        let agent = match self.outside {
            Outside::Real(ports) => {
                Agent::start(*ports, policy(settings, site(settings)), deadlines(settings), cadence, kept)
            }
            Outside::Simulated(sim) => {
                let (ims, tokens, s3) = (sim.clone(), sim.clone(), sim.clone());
                let (mount, history) = (sim.clone(), sim.clone());
                let ports = Ports { ims, tokens, s3, mount, history, lio: move || sim.clone() };
                let policy = policy(settings, sim::site());
                Agent::start(ports, policy, deadlines(settings), cadence, kept)
            }
        };
        (agent, self.in_force)
    }
}
