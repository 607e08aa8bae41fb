//! What operators ask the running agent: HTTP over a Unix socket that only root may open, on a thread of its own. A
//! client that is slow or dead costs a connection here, and no pass.

pub mod client;
mod resync;
mod routes;
mod server;
mod textfile;

pub use routes::LONGEST_RELEASE;
pub use server::Server;

use crate::config::Settings;
use crate::configfs::Configfs;
use crate::identity;
use crate::lio::tpg_path;
use crate::run::site;
use crate::status::document::{Document, SessionStatus};
use crate::status::{self, Known, epoch_in};
use crate::targetclid::Access;
use actix::Addr;
use actors::agent::Phase;
use actors::decide::status::Status;
use actors::reconciler::Reconciler;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;

/// Its name in `runtime_dir`.
const SOCKET: &str = "control.sock";

/// Where the agent of this folder is asked.
pub fn socket(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join(SOCKET)
}

/// The agent that runs, for whoever asks about it: a reload makes another one.
pub struct Current {
    /// Of the process, since boot.
    pub started: Duration,
    /// To be asked for passes.
    pub reconciler: Addr<Reconciler>,
    /// How things are.
    pub status: watch::Receiver<Status>,
    /// What the pass under way is at.
    pub phase: watch::Receiver<Phase>,
    /// Who we are to IMS.
    pub identity: identity::Watch,
    /// The session with targetclid.
    pub access: Access,
    /// By which it lives.
    pub settings: Settings,
}

impl Current {
    /// All that is known of the node. Sessions and traffic are read now: passes are minutes apart.
    pub fn document(&self) -> Document {
        let known = Known {
            started: self.started,
            phase: *self.phase.borrow(),
            identity: (self.identity)(),
            session: self.session(),
            iqn: self.settings.lio.iqn.clone(),
            tpg: Configfs::new(&self.settings.lio.configfs).tpg(&tpg_path(&self.settings.lio)).ok().flatten(),
        };
        status::document(&self.status.borrow(), &site(&self.settings), known)
    }

    /// What `confirm-removal` may be given.
    fn held_codes(&self) -> Vec<String> {
        let status = self.status.borrow();
        status.found.as_ref().map(|found| found.plan.history.held_codes()).unwrap_or_default()
    }

    fn session(&self) -> SessionStatus {
        let released = self.access.released();
        let state = match released {
            Some(_) => "released",
            None if self.access.is_open() => "open",
            None => "closed",
        };
        let waits = self.access.waits();
        SessionStatus {
            state: state.into(),
            released_until: released.map(epoch_in),
            waits: waits.turns,
            waited_seconds: waits.waited.as_secs_f64(),
        }
    }
}
