//! What operators ask the running agent: HTTP over a Unix socket that only root may open, on a thread of its own. A
//! client that is slow or dead costs a connection here, and no pass.

pub mod client;
mod resync;
mod routes;
mod server;
mod textfile;

pub use routes::LONGEST_RELEASE;
pub use server::Server;

use crate::aside::Aside;
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
use actors::model::Tpg;
use actors::reconciler::Reconciler;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;

/// For what is read of configfs: some files for each LUN.
const KERNEL_WITHIN: Duration = Duration::from_secs(3);

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
    /// A read of configfs may hang, and nobody else shall: the same for all agents of the process.
    pub kernel: Aside,
}

impl Current {
    /// All that is known of the node. Sessions and traffic are read now: passes are minutes apart. The locks of the watched
    /// values are let go before anything else is done: a pass waits for them.
    pub async fn document(&self) -> Document {
        let (phase, status) = (*self.phase.borrow(), self.status.borrow().clone());
        let known = Known {
            started: self.started,
            phase,
            identity: (self.identity)(),
            session: self.session(),
            iqn: self.settings.lio.iqn.clone(),
            tpg: self.tpg().await,
        };
        status::document(&status, &site(&self.settings), known)
    }

    /// `None` if it cannot be read now: then the last pass knows best.
    async fn tpg(&self) -> Option<Tpg> {
        let lio = self.settings.lio.clone();
        let read = move || Configfs::new(&lio.configfs).tpg(&tpg_path(&lio));
        self.kernel.ask(KERNEL_WITHIN, read).await.ok()?.ok()?
    }

    /// What `confirm-removal` may be given; `None` before a pass has seen the node.
    fn held_codes(&self) -> Option<Vec<String>> {
        let found = self.status.borrow().found.clone();
        found.map(|found| found.plan.history.held_codes())
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
