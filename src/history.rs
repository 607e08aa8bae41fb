//! The history on disk: what the agent remembers over a restart and a reboot.

use crate::aside::{Aside, FILE_LIMIT};
use crate::boot;
use crate::files::{self, Folders};
use actors::model::Boot;
use actors::ports::{HistoryError, HistoryPort};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Its name in `state_dir`.
pub const FILE: &str = "history.json";

/// Bytes of the longest history that is read: ten thousand projections need a third of it.
const LARGEST: u64 = 8 << 20;

/// Its name in `runtime_dir`: there from before something is stored until it has been. If it is there at a start, what
/// was to be stored last is lost: what lies in `state_dir` is of an earlier time.
const MARKER: &str = "history.unstored";

/// `<state_dir>/history.json`.
#[derive(Debug)]
pub struct HistoryFile {
    path: PathBuf,
    marker: PathBuf,
    boot: String,
    aside: Aside,
}

impl HistoryFile {
    /// Nothing is read yet.
    pub fn new(Folders { runtime_dir, state_dir }: Folders<'_>) -> Self {
        let (path, marker) = (state_dir.join(FILE), runtime_dir.join(MARKER));
        HistoryFile { path, marker, boot: boot::id(), aside: Aside::default() }
    }

    fn failed(&self, done: &'static str) -> impl FnOnce(io::Error) -> HistoryError {
        let path = self.path.display().to_string();
        move |source| HistoryError::Io { path, done, source }
    }
}

impl HistoryPort for HistoryFile {
    async fn load(&self) -> Result<Option<Vec<u8>>, HistoryError> {
        let (path, marker) = (self.path.clone(), self.marker.clone());
        let load = move || match marker.try_exists() {
            Ok(true) => Err(HistoryError::Outdated { path: path.display().to_string() }),
            _ => read(&path),
        };
        self.aside.ask(FILE_LIMIT, load).await.map_err(self.failed("read")).flatten()
    }

    async fn store(&self, bytes: Vec<u8>) -> Result<(), HistoryError> {
        let (path, marker) = (self.path.clone(), self.marker.clone());
        let write = move || {
            files::replace(&marker, &[])?;
            files::replace(&path, &bytes)?;
            fs::remove_file(&marker)
        };
        let written = self.aside.ask(FILE_LIMIT, write).await;
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

    fn of(folder: &Path) -> HistoryFile {
        HistoryFile::new(Folders { runtime_dir: folder, state_dir: folder })
    }

    #[tokio::test]
    async fn what_was_stored_is_loaded_by_the_next_process_and_nothing_before_the_first_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("made/by/us");
        assert_eq!(of(&state).load().await.unwrap(), None);
        of(&state).store(b"one".to_vec()).await.unwrap();
        of(&state).store(b"two".to_vec()).await.unwrap();
        assert_eq!(of(&state).load().await.unwrap(), Some(b"two".to_vec()));
        fs::remove_file(state.join(FILE)).unwrap();
        assert_eq!(of(&state).load().await.unwrap(), None, "lost is as never stored");
    }

    #[tokio::test]
    async fn a_write_that_a_power_cut_tore_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let history = of(folder.path());
        history.store(b"whole".to_vec()).await.unwrap();
        fs::write(folder.path().join("history.json.new"), "to").unwrap();
        assert_eq!(history.load().await.unwrap(), Some(b"whole".to_vec()));
        history.store(b"next".to_vec()).await.unwrap();
        assert_eq!(history.load().await.unwrap(), Some(b"next".to_vec()));
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_an_error_that_names_the_file() {
        // Read-only for root too.
        let error = of(Path::new("/proc/self")).store(b"x".to_vec()).await.unwrap_err();
        assert!(matches!(error, HistoryError::Io { .. }));
        assert_eq!(error.to_string(), "/proc/self/history.json cannot be written");
        assert_eq!(error.kind(), "history_io");
    }

    #[tokio::test]
    async fn a_file_that_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let history = of(folder.path());
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
        let error = of(folder.path()).load().await.unwrap_err();
        assert!(matches!(error, HistoryError::Io { done: "read", .. }));
    }

    #[test]
    fn the_boot_is_the_same_for_every_process_of_it() {
        let (one, other) = (of(Path::new("/x")).boot(), of(Path::new("/y")).boot());
        assert_eq!(one.id, other.id);
        assert!(one.since <= other.since && !one.since.is_zero());
    }

    #[tokio::test]
    async fn r3_what_could_not_be_stored_last_makes_what_was_stored_before_it_outdated() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let history = || HistoryFile::new(Folders { runtime_dir: folder.path(), state_dir: &state });
        history().store(b"one".to_vec()).await.unwrap();
        // A folder in the place of the new file: it cannot be written.
        fs::create_dir_all(state.join("history.json.new/x")).unwrap();
        assert!(history().store(b"two".to_vec()).await.is_err());
        assert!(matches!(history().load().await.unwrap_err(), HistoryError::Outdated { .. }));
        fs::remove_dir_all(state.join("history.json.new")).unwrap();
        history().store(b"two".to_vec()).await.unwrap();
        assert_eq!(history().load().await.unwrap(), Some(b"two".to_vec()));
    }
}
