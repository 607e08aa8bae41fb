//! What is being written into LIO's configfs, for as long as that takes. It is kept in `runtime_dir`, which is empty after a
//! boot, as configfs is: whoever comes after an agent that was killed in between knows what is half made, and that it was
//! ours to make (R1).

use super::write::failed;
use crate::files;
use actors::ports::LioError;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Its name in `runtime_dir`.
const FILE: &str = "configfs.json";

/// Bytes of the longest one: a LUN with its mapping to each of some thousand node ACLs.
const LARGEST: u64 = 1 << 20;

/// A change that consists of several writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnderWay {
    /// A fileio backstore is made or removed, with its HBA.
    Backstore {
        /// `fileio_1048576`.
        hba: String,
        /// Its name.
        name: String,
    },
    /// A LUN is made or removed, with its mappings.
    Lun {
        /// Folder of its TPG.
        tpg: String,
        /// Its number.
        number: u16,
        /// Its backstore.
        name: String,
        /// Which initiator sees it under which number.
        mapped: Vec<(String, u16)>,
    },
}

/// `<runtime_dir>/configfs.json`: there for as long as a change is being written, and after that if it was cut short.
#[derive(Clone, Debug)]
pub struct Journal(PathBuf);

impl Journal {
    /// Nothing is read yet.
    pub fn new(runtime_dir: &Path) -> Self {
        Journal(runtime_dir.join(FILE))
    }

    /// Nothing was cut short.
    pub fn is_empty(&self) -> bool {
        !self.0.exists()
    }

    /// Before the first write.
    pub(super) fn begin(&self, change: &UnderWay) -> Result<(), LioError> {
        let bytes = serde_json::to_vec(change).map_err(|error| failed(&self.0, error.into()))?;
        files::replace(&self.0, &bytes).map_err(|source| failed(&self.0, source))
    }

    /// After the last one.
    pub(super) fn end(&self) -> Result<(), LioError> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&self.0, error)),
            _ => Ok(()),
        }
    }

    /// What was cut short.
    pub(super) fn read(&self) -> Result<Option<UnderWay>, LioError> {
        let bytes = match files::read_up_to(&self.0, LARGEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(|source| self.unreadable(source))?,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| self.unreadable(error.into()))
    }

    fn unreadable(&self, source: io::Error) -> LioError {
        LioError::Configfs { path: self.0.display().to_string(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_read_back_until_it_has_ended_and_what_is_torn_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path());
        assert_eq!(journal.read().unwrap(), None);
        let (tpg, name) = ("iscsi/iqn.x/tpgt_1".to_owned(), "a".to_owned());
        let mapped = vec![("iqn.i".to_owned(), 7)];
        let lun = UnderWay::Lun { tpg, number: 300, name, mapped };
        journal.begin(&lun).unwrap();
        assert_eq!(journal.read().unwrap(), Some(lun));
        journal.end().unwrap();
        journal.end().unwrap();
        assert_eq!(journal.read().unwrap(), None);
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(
            journal.read().unwrap_err().to_string(),
            format!("{}/{FILE} cannot be read", folder.path().display())
        );
    }
}
