//! What is being written into LIO's configfs, for as long as that takes. It is kept in `runtime_dir`: whoever comes after an
//! agent that was killed in the middle of it knows what is half made, and that it was ours to make (R1). Of another boot it
//! says nothing: configfs is empty after one.

use super::write::failed;
use crate::boot;
use crate::files;
use actors::ports::LioError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Its name in `runtime_dir`.
const FILE: &str = "configfs.json";

/// Bytes of the longest one: a LUN with its mappings to a hundred thousand node ACLs.
const LARGEST: u64 = 16 << 20;

/// A change that consists of several writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnderWay {
    /// A fileio backstore is made, with its HBA.
    CreateBackstore {
        /// `fileio_1048576`.
        hba: String,
        /// Its name.
        name: String,
        /// Its unit serial, written before anything else of it.
        serial: String,
    },
    /// A fileio backstore is removed, with its HBA.
    DeleteBackstore {
        /// `fileio_7`.
        hba: String,
    },
    /// A LUN is made, with its mappings.
    CreateLun(Lun),
    /// A LUN is removed, with its mappings.
    DeleteLun(Lun),
}

/// For a person.
impl fmt::Display for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnderWay::CreateBackstore { hba, name, .. } => write!(f, "create backstore {hba}/{name}"),
            UnderWay::DeleteBackstore { hba } => write!(f, "delete the backstore of {hba}"),
            UnderWay::CreateLun(lun) => write!(f, "create LUN {} for {}", lun.number, lun.name),
            UnderWay::DeleteLun(lun) => write!(f, "delete LUN {} of {}", lun.number, lun.name),
        }
    }
}

/// A LUN as it is to be, or as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lun {
    /// Folder of its TPG.
    pub tpg: String,
    /// Its number.
    pub number: u16,
    /// Its backstore.
    pub name: String,
    /// Of node ACLs.
    pub mappings: Vec<Mapping>,
}

/// A LUN as a node ACL sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mapping {
    /// Whose ACL.
    pub initiator: String,
    /// Its number there.
    pub number: u16,
    /// Whether the initiator may only read it: what others have mapped may be otherwise (R10).
    pub write_protect: bool,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    boot: String,
    change: UnderWay,
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
    pub(super) fn begin(&self, change: UnderWay) -> Result<(), LioError> {
        let entry = Entry { boot: boot::id(), change };
        let bytes = serde_json::to_vec(&entry).map_err(|error| failed(&self.0, error.into()))?;
        files::replace(&self.0, &bytes).map_err(|source| failed(&self.0, source))
    }

    /// After the last one.
    pub(super) fn end(&self) -> Result<(), LioError> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&self.0, error)),
            _ => Ok(()),
        }
    }

    /// What was cut short since the node was booted.
    pub(super) fn read(&self) -> Result<Option<UnderWay>, LioError> {
        let bytes = match files::read_up_to(&self.0, LARGEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(|source| self.unreadable(source))?,
        };
        let entry: Entry = serde_json::from_slice(&bytes).map_err(|error| self.unreadable(error.into()))?;
        Ok((entry.boot == boot::id()).then_some(entry.change))
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
        let mappings = vec![Mapping { initiator: "iqn.i".into(), number: 7, write_protect: true }];
        let lun = Lun { tpg: "iscsi/iqn.x/tpgt_1".into(), number: 300, name: "a".into(), mappings };
        let lun = UnderWay::CreateLun(lun);
        journal.begin(lun.clone()).unwrap();
        assert_eq!(journal.read().unwrap(), Some(lun));
        let text = fs::read_to_string(&journal.0).unwrap();
        fs::write(&journal.0, text.replace(&boot::id(), "another")).unwrap();
        assert_eq!(journal.read().unwrap(), None, "of another boot");
        journal.end().unwrap();
        journal.end().unwrap();
        assert!(journal.is_empty());
        fs::write(&journal.0, "{").unwrap();
        let error = journal.read().unwrap_err().to_string();
        assert!(error.ends_with("configfs.json cannot be read"), "{error}");
    }
}
