//! The history on disk: what the agent remembers over a restart and a reboot.

use crate::aside::{Aside, FILE_LIMIT};
use crate::{boot, files};
use actors::model::Boot;
use actors::ports::{HistoryError, HistoryPort};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Its name in `state_dir`.
pub const FILE: &str = "history.json";

/// Bytes of the longest history that is read: ten thousand projections need a third of it.
const LARGEST: u64 = 8 << 20;

/// `<state_dir>/history.json`.
#[derive(Debug)]
pub struct HistoryFile {
    path: PathBuf,
    boot: String,
    aside: Aside,
}

impl HistoryFile {
    /// Nothing is read yet.
    pub fn new(state_dir: &Path) -> Self {
        HistoryFile { path: state_dir.join(FILE), boot: boot::id(), aside: Aside::default() }
    }

    fn failed(&self, done: &'static str) -> impl FnOnce(io::Error) -> HistoryError {
        let path = self.path.display().to_string();
        move |source| HistoryError::Io { path, done, source }
    }
}

impl HistoryPort for HistoryFile {
    async fn load(&self) -> Result<Option<Vec<u8>>, HistoryError> {
        let path = self.path.clone();
        self.aside.ask(FILE_LIMIT, move || read(&path)).await.map_err(self.failed("read")).flatten()
    }

    async fn store(&self, bytes: Vec<u8>) -> Result<(), HistoryError> {
        let path = self.path.clone();
        let written = self.aside.ask(FILE_LIMIT, move || files::replace(&path, &bytes)).await;
        written.flatten().map_err(self.failed("written"))
    }

    fn boot(&self) -> Boot {
        Boot { id: self.boot.clone(), since: boot::since() }
    }
}

/// The history of this file; `None` if there is none. It may block.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, HistoryError> {
    let shown = || path.display().to_string();
    let failed = |source| HistoryError::Io { path: shown(), done: "read", source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let size = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::new();
    // Bounded by itself as well: it may be no plain file, or grow while it is read.
    let read = file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)? as u64;
    match size.max(read) {
        size if size > LARGEST => Err(HistoryError::TooLarge { path: shown(), size }),
        _ => Ok(Some(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[tokio::test]
    async fn what_was_stored_is_loaded_by_the_next_process_and_nothing_before_the_first_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("made/by/us");
        assert_eq!(HistoryFile::new(&state).load().await.unwrap(), None);
        HistoryFile::new(&state).store(b"one".to_vec()).await.unwrap();
        HistoryFile::new(&state).store(b"two".to_vec()).await.unwrap();
        assert_eq!(HistoryFile::new(&state).load().await.unwrap(), Some(b"two".to_vec()));
        fs::remove_file(state.join(FILE)).unwrap();
        assert_eq!(HistoryFile::new(&state).load().await.unwrap(), None, "lost is as never stored");
    }

    #[tokio::test]
    async fn a_write_that_a_power_cut_tore_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let history = HistoryFile::new(folder.path());
        history.store(b"whole".to_vec()).await.unwrap();
        fs::write(folder.path().join("history.json.new"), "to").unwrap();
        assert_eq!(history.load().await.unwrap(), Some(b"whole".to_vec()));
        history.store(b"next".to_vec()).await.unwrap();
        assert_eq!(history.load().await.unwrap(), Some(b"next".to_vec()));
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_an_error_that_names_the_file() {
        // Read-only for root too.
        let error = HistoryFile::new(Path::new("/proc/self")).store(b"x".to_vec()).await.unwrap_err();
        assert!(matches!(error, HistoryError::Io { .. }));
        assert_eq!(error.to_string(), "/proc/self/history.json cannot be written");
        assert_eq!(error.kind(), "history_io");
    }

    #[tokio::test]
    async fn a_file_that_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let history = HistoryFile::new(folder.path());
        File::create(folder.path().join(FILE)).unwrap().set_len(LARGEST + 1).unwrap();
        let error = history.load().await.unwrap_err();
        assert!(matches!(error, HistoryError::TooLarge { size, .. } if size == LARGEST + 1), "{error}");
        File::create(folder.path().join(FILE)).unwrap().set_len(LARGEST).unwrap();
        assert_eq!(history.load().await.unwrap().map(|bytes| bytes.len() as u64), Some(LARGEST));
    }

    #[tokio::test]
    async fn a_folder_in_its_place_is_an_error_and_not_an_empty_history() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FILE)).unwrap();
        let error = HistoryFile::new(folder.path()).load().await.unwrap_err();
        assert!(matches!(error, HistoryError::Io { done: "read", .. }));
    }

    #[test]
    fn the_boot_is_the_same_for_every_process_of_it() {
        let (one, other) =
            (HistoryFile::new(Path::new("/x")).boot(), HistoryFile::new(Path::new("/y")).boot());
        assert_eq!(one.id, other.id);
        assert!(one.since <= other.since && !one.since.is_zero());
    }
}
