//! What LIO is asked for.

use super::word::Word;
use std::fmt;

/// One change of LIO. Made of words only (R9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Takes a LUN out of our TPG.
    DeleteLun {
        /// Its number.
        lun: u16,
        /// The backstore it must still lead to.
        name: Word,
    },
    /// Removes a fileio backstore that has no LUN any more.
    DeleteBackstore {
        /// Its name.
        name: Word,
        /// The unit serial it must still have.
        wwn: Word,
    },
    /// Makes a fileio backstore. Never with a size: that would create a missing file (facts 2.5).
    CreateBackstore {
        /// Its name.
        name: Word,
        /// Its file.
        file: Word,
        /// Its unit serial.
        wwn: Word,
    },
    /// Sets `emulate_model_alias=1`; only possible before the LUN (facts 2.4).
    EnableModelAlias {
        /// The backstore's name.
        name: Word,
    },
    /// Adds a LUN to our TPG.
    CreateLun {
        /// Its number.
        lun: u16,
        /// The backstore's name.
        name: Word,
        /// Whether the TPG's node ACLs get it as well, under the same number, as plain targetcli would do.
        map_to_acls: bool,
    },
    /// Removes a fileio backstore whose creation was cut short: not enabled, no serial, no LUN.
    DiscardBackstore {
        /// Its name.
        name: Word,
        /// The file it must have, if it has one yet.
        file: Word,
    },
    /// Removes a LUN folder of our TPG that leads to nothing.
    DiscardLun {
        /// Its number.
        lun: u16,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::DeleteLun { lun, .. } => write!(f, "delete LUN {lun}"),
            Step::DeleteBackstore { name, .. } => write!(f, "delete backstore {name}"),
            Step::CreateBackstore { name, file, .. } => write!(f, "create backstore {name} on {file}"),
            Step::EnableModelAlias { name } => write!(f, "set emulate_model_alias of {name}"),
            Step::CreateLun { lun, name, .. } => write!(f, "create LUN {lun} for {name}"),
            Step::DiscardBackstore { name, .. } => write!(f, "discard half-made backstore {name}"),
            Step::DiscardLun { lun } => write!(f, "discard half-made LUN {lun}"),
        }
    }
}

/// Who carries a change out. The kernel shows the same afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// targetclid, which is told.
    #[default]
    Targetclid,
    /// The agent itself: it writes LIO's configfs, and has targetclid read its tree anew afterwards.
    Configfs,
}

impl Engine {
    /// The request for this step.
    pub fn request(self, step: Step) -> Request {
        match self {
            Engine::Targetclid => Request::Change(step),
            Engine::Configfs => Request::Direct(step),
        }
    }
}

/// What LIO is asked for: a change of a plan, or what goes with all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The daemon reads the tree anew: somebody else has changed it (facts 2.9).
    Refresh,
    /// Asks whether a change would be possible now: it is our turn at the daemon, and nobody has plain targetcli's lock.
    /// Nothing is changed, and nobody is waited for longer than a look takes.
    Probe,
    /// A change, by targetclid. No plain targetcli changes anything meanwhile.
    Change(Step),
    /// A change, written into configfs. No plain targetcli changes anything meanwhile; what is half done when it fails is
    /// taken back.
    Direct(Step),
    /// Renames a torn saveconfig.json to `saveconfig.json.torn-<seconds since 1970>`; targetclid is not asked.
    SetAside,
    /// Writes saveconfig.json.
    Save {
        /// targetcli first keeps a copy of the old one, 10 at most. Where no plain `targetcli` has ever run, targetclid
        /// has no `max_backup_files` and the copying fails: every save but the very first.
        backup: bool,
    },
    /// The same without plain targetcli's lock, which somebody else has (R13).
    Unlocked(Box<Request>),
}

impl From<Step> for Request {
    fn from(step: Step) -> Self {
        Request::Change(step)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Refresh => f.write_str("refresh"),
            Request::Probe => f.write_str("probe"),
            Request::Change(step) | Request::Direct(step) => step.fmt(f),
            Request::SetAside => f.write_str("set the torn saveconfig.json aside"),
            Request::Save { backup: true } => f.write_str("saveconfig"),
            Request::Save { backup: false } => f.write_str("saveconfig without a backup"),
            Request::Unlocked(request) => request.fmt(f),
        }
    }
}
