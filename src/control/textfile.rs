//! The metrics as a file, for sites that scrape node_exporter only: written after each pass, whole or not at all.

use super::server::Shared;
use crate::aside::{Aside, FILE_LIMIT};
use crate::{files, metrics};
use std::path::PathBuf;

/// As long as the process lives. A file that cannot be written is a file that node_exporter tells the age of.
pub(super) async fn keep(path: PathBuf, shared: Shared) {
    let (mut current, aside) = (shared.current.clone(), Aside::default());
    loop {
        let agent = current.borrow_and_update().clone();
        if let Some(agent) = agent {
            let mut status = agent.status.clone();
            loop {
                let text = metrics::classic(&metrics::openmetrics(&agent.document().await, &shared.counters));
                let file = path.clone();
                let written = aside.ask(FILE_LIMIT, move || files::publish(&file, text.as_bytes())).await;
                if let Err(error) = written.flatten() {
                    tracing::debug!(%error, "the metrics could not be written");
                }
                if status.changed().await.is_err() {
                    break;
                }
            }
        }
        if current.changed().await.is_err() {
            return;
        }
    }
}
