//! Live means readable: what each live file is now, and whether LIO still reads it through the mount that is there.
//! Pure.
//!
//! LIO keeps its files open. After s3fs has died and was mounted again they belong to the mount that is gone, every read
//! fails, and configfs shows nothing of it (facts L3). While LIO holds such a file its mount's `st_dev` stays in use, so
//! the new mount has another one.

use crate::decide::desired::{Candidate, FileVerdict, Verdict};
use crate::decide::history::{History, Opened};
use crate::decide::reason::{ABSENT, Reason};
use crate::model::{
    Actual, Backstore, Cause, Etag, FILEIO, Identity, MountFacts, ObjectKey, Ours, Projection, Source,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the mount shows of a live file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveFile {
    /// A regular file beneath the mount, of so many bytes.
    Regular(u64),
    /// Nothing (yet).
    Absent,
    /// Something else than a regular file beneath the mount: LIO exports what it leads to (R8).
    Escapes(String),
    /// The mount refuses it, or did not get to it in time.
    Unclear(String),
}

/// What the mount shows of all live files; empty if the mount does not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveFiles {
    /// Which mount answered; `None`: none did.
    pub mount: Option<MountFacts>,
    /// By key.
    pub files: BTreeMap<ObjectKey, LiveFile>,
}

/// R7 for a file that LIO has open, so that it must not be opened beside it: only its size can be
/// compared. Its content is looked into before its LUN, when another one is gone. What somebody else has open is not
/// looked at: it is taken.
fn while_open(live: &LiveFiles, key: &ObjectKey, listed: u64) -> FileVerdict {
    match live.files.get(key) {
        Some(LiveFile::Regular(size)) if *size == listed => FileVerdict::Complete,
        Some(LiveFile::Regular(size)) => FileVerdict::Incomplete(Reason::HeldOpen { listed, shown: *size }),
        Some(LiveFile::Escapes(what)) => {
            FileVerdict::Incomplete(Reason::File { kind: "file_escapes", detail: what.clone() })
        }
        Some(LiveFile::Absent) => {
            FileVerdict::Incomplete(Reason::File { kind: ABSENT, detail: "it is not there".into() })
        }
        Some(LiveFile::Unclear(what)) => unknown(what),
        None if live.mount.is_some() => FileVerdict::Complete,
        None => unknown("the mount does not answer"),
    }
}

fn unknown(what: &str) -> FileVerdict {
    FileVerdict::Unknown(Cause { source_name: Source::Mount, kind: "unclear", detail: what.to_owned() })
}

/// A file that should be a complete image, and what S3 lists of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileQuery {
    /// Which.
    pub key: ObjectKey,
    /// Bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: Etag,
}

/// The candidates by what has to be known of their files.
#[derive(Debug, Default)]
pub struct Sorted {
    /// What is live, or waits for another reason: its file is not read.
    pub stay: Vec<Candidate>,
    /// What is not live yet, or has to be made anew.
    pub new: Vec<Candidate>,
    /// The files of `new` that have to be opened and read.
    pub to_inspect: Vec<FileQuery>,
    /// Those that must not be.
    pub known: Vec<(ObjectKey, FileVerdict)>,
}

/// Which files have to be read. What LIO has open is not opened at all: s3fs would take the new size over into the file
/// that is open, and write old and new bytes back to S3 when LIO closes it (seen with s3fs 1.90).
pub fn sort_files(
    candidates: Vec<Candidate>,
    actual: &Actual,
    live: &LiveFiles,
    dead: &BTreeSet<Identity>,
) -> Sorted {
    let is_open = |file: &str| {
        let holds = |b: &Backstore| b.plugin == FILEIO && b.enabled && b.file == file;
        actual.backstores.iter().any(holds)
    };
    let projected = actual.projected_names();
    let mut sorted = Sorted::default();
    for candidate in candidates {
        let Verdict::Project(projection) = &candidate.verdict else {
            sorted.stay.push(candidate);
            continue;
        };
        let is_dead = dead.contains(&projection.identity);
        if projected.contains(projection.identity.name_str()) && !is_dead {
            sorted.stay.push(candidate);
            continue;
        }
        let Projection { key, size, etag, .. } = projection;
        if is_open(projection.file.as_str()) && !is_dead {
            sorted.known.push((key.clone(), while_open(live, key, *size)));
        } else {
            sorted.to_inspect.push(FileQuery { key: key.clone(), size: *size, etag: etag.clone() });
        }
        sorted.new.push(candidate);
    }
    sorted
}

/// The clock of backstores runs behind that of processes: by 0.2 s, as measured.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);

/// The mounts of the live files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    /// Under which each was opened, to be remembered.
    pub opened: BTreeMap<Identity, Opened>,
    /// Which belong to one that is gone.
    pub dead: BTreeSet<Identity>,
}

/// Of which mount each live file is. Nothing changes while the mount does not answer.
pub fn mounts(ours: &[(&Backstore, Ours)], live: &LiveFiles, history: &History) -> Mounts {
    let Some(mount) = live.mount else {
        return Mounts { opened: history.mounts.clone(), dead: BTreeSet::new() };
    };
    let mut opened = BTreeMap::new();
    for (backstore, ours) in ours {
        let known = history.mounts.get(&ours.identity).filter(|known| known.inode == backstore.inode);
        let now = Opened { inode: backstore.inode, device: mount.device };
        let of = match known {
            Some(known) => *known,
            // Older than the daemon that serves the mount: it can only be of an earlier one. The number that stands
            // for that one is no device's.
            None if is_older(backstore, &mount) => Opened { device: u64::MAX, ..now },
            None => now,
        };
        opened.insert(ours.identity.clone(), of);
    }
    let dead = opened.iter().filter(|(_, of)| of.device != mount.device);
    let dead = dead.map(|(identity, _)| identity.clone()).collect();
    Mounts { opened, dead }
}

fn is_older(backstore: &Backstore, mount: &MountFacts) -> bool {
    match (backstore.opened, mount.since) {
        (Some(opened), Some(since)) => opened + CLOCKS_DIFFER < since,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Site;

    fn site() -> Site {
        Site { bucket: "boot-images".into(), mount: "/m".into() }
    }

    fn identity() -> Identity {
        Identity::of_pe("boot-images", &ObjectKey::new("PE/a"))
    }

    fn backstore(inode: u64, opened: Option<u64>) -> Backstore {
        Backstore {
            plugin: "fileio".into(),
            name: identity().name().to_string(),
            file: "/m/PE/a".into(),
            serial: identity().wwn().to_string(),
            size: 4096,
            model_alias: true,
            enabled: true,
            inode,
            opened: opened.map(Duration::from_secs),
        }
    }

    fn is_dead(history: &History, backstore: &Backstore, device: u64, since: Option<u64>) -> bool {
        let ours = [(backstore, site().recognise(&backstore.entry()).unwrap())];
        let mount = Some(MountFacts { device, since: since.map(Duration::from_secs) });
        let live = LiveFiles { mount, ..LiveFiles::default() };
        mounts(&ours, &live, history).dead.contains(&identity())
    }

    fn seen(inode: u64, device: u64) -> History {
        History { mounts: BTreeMap::from([(identity(), Opened { inode, device })]), ..History::default() }
    }

    #[test]
    fn a_file_that_was_opened_under_another_mount_is_dead_and_stays_so_until_it_is_made_anew() {
        assert!(!is_dead(&seen(1, 40), &backstore(1, None), 40, None));
        assert!(is_dead(&seen(1, 40), &backstore(1, None), 41, None));
        assert!(!is_dead(&seen(1, 40), &backstore(2, None), 41, None), "somebody else has made it anew");
    }

    #[test]
    fn a_file_that_was_opened_before_the_daemon_of_the_mount_was_there_is_dead() {
        let unseen = History::default();
        assert!(is_dead(&unseen, &backstore(1, Some(100)), 40, Some(103)));
        assert!(!is_dead(&unseen, &backstore(1, Some(100)), 40, Some(102)), "clocks may differ");
        assert!(!is_dead(&unseen, &backstore(1, Some(100)), 40, Some(60)));
        assert!(!is_dead(&unseen, &backstore(1, None), 40, Some(60)), "what is not known is no evidence");
        assert!(!is_dead(&unseen, &backstore(1, Some(100)), 40, None));
    }

    #[test]
    fn r7_a_file_that_somebody_else_has_open_is_taken_and_unknown_while_the_mount_does_not_answer() {
        let key = ObjectKey::new("PE/a");
        let mount = Some(MountFacts { device: 40, since: None });
        let answers = LiveFiles { mount, ..LiveFiles::default() };
        assert_eq!(while_open(&answers, &key, 4096), FileVerdict::Complete, "who has it is found out later");
        assert!(matches!(while_open(&LiveFiles::default(), &key, 4096), FileVerdict::Unknown(_)));
    }

    #[test]
    fn r2_a_mount_that_does_not_answer_says_nothing_about_any_file() {
        let backstore = backstore(1, Some(1));
        let ours = [(&backstore, site().recognise(&backstore.entry()).unwrap())];
        let Mounts { opened: kept, dead } = mounts(&ours, &LiveFiles::default(), &seen(1, 40));
        assert_eq!((kept, dead.len()), (seen(1, 40).mounts, 0));
    }
}
