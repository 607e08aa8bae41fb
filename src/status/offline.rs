//! The status of a node whose agent does not answer: what configfs and saveconfig.json show, with what the agent
//! remembered last. Nothing is changed, and neither targetclid nor IMS nor S3 is asked.

use super::document::{Document, SCHEMA};
use super::projections::{self, Remembered};
use crate::aside::Aside;
use crate::boot;
use crate::config::{self, Settings};
use crate::history;
use crate::lio::{LioAdapter, SettingError};
use crate::run::{runtime, site};
use actors::decide::history::History;
use actors::model::{Actual, Boot, Site};
use actors::ports::{LioError, LioPort};
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// For all of configfs, which has some files for each LUN: thousands of them are read in a few seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Why nothing can be said of the node.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// What is configured cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// LIO cannot be seen.
    #[error("LIO cannot be read; `sbps-marshal check` says what is missing")]
    Lio(#[from] LioError),
    /// A read of configfs hangs.
    #[error("LIO does not answer: see `dmesg`")]
    Late(#[source] io::Error),
}

/// All that is known of this node now.
pub fn document_now(settings: &Settings) -> Result<Document, StatusError> {
    let settings = settings.clone();
    // The kernel may hang in what is read, and whoever reads hangs with it.
    let document = runtime().block_on(Aside::default().ask(LIMIT, move || offline(&settings)));
    document.map_err(StatusError::Late)?
}

fn offline(settings: &Settings) -> Result<Document, StatusError> {
    let actual = LioAdapter::new(&settings.lio)?.observe()?;
    Ok(document(&actual, &site(settings), &remembered(settings)))
}

/// What the agent stored last. It knows ETags and which image is whose; without it, they are not known.
fn remembered(settings: &Settings) -> History {
    let stored = history::read(&settings.state_dir.join(history::FILE)).ok().flatten();
    let boot = Boot { id: boot::id(), since: boot::since() };
    let history = stored.map(|bytes| History::from_bytes(&bytes, &boot, settings.guard.window));
    history.and_then(Result::ok).unwrap_or_default()
}

fn document(actual: &Actual, site: &Site, history: &History) -> Document {
    // Only IMS knows the names.
    let names = BTreeMap::new();
    let projections = projections::live(actual, site, Remembered { history, names: &names });
    let sessions = actual.tpg.iter().flat_map(|tpg| tpg.sessions.iter().cloned());
    Document {
        schema: SCHEMA,
        node: config::hostname(),
        iqn: actual.iqn().to_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
        taken: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        agent: None,
        map_digest: projections::map_digest(&projections),
        projections,
        conditions: Vec::new(),
        portals: projections::portals(actual),
        sessions: sessions.collect(),
    }
}
