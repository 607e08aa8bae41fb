//! What a SIGHUP comes to: nothing new, an agent ready to be started, or a refusal that changes nothing.

use super::Backend;
use super::prepared::{InForce, PortsError, Prepared, trusted};
use crate::aside::{Aside, FILE_LIMIT};
use crate::causes;
use crate::config::{self, ConfigErrors, Settings, Sources};
use crate::telemetry::LevelHandle;
use actors::events::emit;
use std::io;

/// Why the old configuration stays in force.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The lock would stay in the old folder, and so would what is remembered.
    #[error("{key} cannot change while the agent runs: systemctl restart sbps-marshal")]
    NeedsRestart { key: &'static str },
    #[error(transparent)]
    Ports(#[from] PortsError),
    #[error("the configuration could not be read")]
    Unread(#[source] io::Error),
}

impl ReloadError {
    /// Short, from a bounded set.
    fn kind(&self) -> &'static str {
        match self {
            ReloadError::Config(_) => "config",
            ReloadError::NeedsRestart { .. } => "needs_restart",
            ReloadError::Ports(error) => error.kind(),
            ReloadError::Unread(_) => "unread",
        }
    }
}

/// Reads files at a SIGHUP, beside the actors' thread, which goes on hearing signals.
pub(super) struct Reloader<'a> {
    pub sources: &'a Sources,
    pub backend: Backend,
    pub level: &'a LevelHandle,
    pub aside: Aside,
}

impl Reloader<'_> {
    /// The agent to go on with, if anything is new.
    pub async fn read(&self, now: &InForce) -> Option<Box<Prepared>> {
        let prepared = self.prepare(now).await.unwrap_or_else(|error| {
            let (reason, detail) = (error.kind(), causes::with_causes(&error));
            emit!(RELOAD_REFUSED, reason, detail);
            None
        })?;
        if let Err(error) = self.level.set(&prepared.in_force.settings.log) {
            emit!(LEVEL_NOT_SET, detail = error.to_string());
        }
        emit!(RELOADED);
        prepared.log_notes();
        Some(prepared)
    }

    async fn prepare(&self, now: &InForce) -> Result<Option<Box<Prepared>>, ReloadError> {
        let (sources, backend, now) = (self.sources.clone(), self.backend, now.clone());
        let prepared = self.aside.ask(FILE_LIMIT, move || prepare(&sources, backend, &now)).await;
        prepared.map_err(ReloadError::Unread).flatten()
    }
}

/// Reads everything again; `None`: it is what it was.
fn prepare(sources: &Sources, backend: Backend, now: &InForce) -> Result<Option<Box<Prepared>>, ReloadError> {
    let settings = config::load(sources)?.settings;
    stays_where_it_is(&now.settings, &settings)?;
    if now.is_equal(&settings, &trusted(&settings, backend)?) {
        return Ok(None);
    }
    Ok(Some(Box::new(Prepared::make(settings, backend, Some(now))?)))
}

fn stays_where_it_is(old: &Settings, new: &Settings) -> Result<(), ReloadError> {
    let changed = [
        ("runtime_dir", old.runtime_dir != new.runtime_dir),
        ("state_dir", old.state_dir != new.state_dir),
        ("http.listen", old.http != new.http),
        ("metrics.textfile", old.metrics != new.metrics),
    ];
    match changed.into_iter().find(|(_, changed)| *changed) {
        Some((key, _)) => Err(ReloadError::NeedsRestart { key }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
