//! The last look at a file, just before anybody can read from it (R7, R8). Pure.

use crate::decide::plan::change::{Action, Change};
use crate::decide::squashfs;
use crate::model::{FileFacts, Step};

/// How a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is opened, and its superblock is read.
    Open,
    /// LIO has it open: whoever opens it beside LIO lets s3fs write old content over an object that was replaced
    /// (facts 4.4). Where it leads and its size can be seen without that.
    WithoutOpening,
}

/// Why a file may not be what it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTheSame {
    /// It is not (R7, R8).
    #[error("its file has changed since it was checked: {0}")]
    Changed(String),
    /// The mount does not say.
    #[error("the mount did not confirm that the file is unchanged: {0}")]
    Unknown(String),
}

impl NotTheSame {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            NotTheSame::Changed(_) => "file_changed",
            NotTheSame::Unknown(_) => "mount_silent",
        }
    }
}

/// How the file of a change is looked at before its first step. Only what is taken down to be made anew: LIO has that
/// file open, but on the mount that is gone, which was another s3fs; so the new one may open and read it without any harm
/// (facts 4.4). And it has to: what cannot be read whole there would not come back.
pub fn before(change: &Change) -> Option<How> {
    matches!(change.action, Action::Remake(_)).then_some(How::Open)
}

/// How it is looked at before this step. Before a LUN its backstore is there, so LIO has the file open on this mount.
pub fn before_step(step: &Step) -> Option<How> {
    matches!(step, Step::CreateLun { .. }).then_some(How::WithoutOpening)
}

/// Bytes that the file of a change must have; `None` if the change needs no file.
pub fn size(change: &Change) -> Option<u64> {
    match change.action {
        Action::Project(size) | Action::Remake(size) => Some(size),
        Action::Withdraw(_) => None,
    }
}

/// A file that was opened.
pub fn opened(facts: &FileFacts, size: u64) -> Result<(), NotTheSame> {
    squashfs::check(facts, size).map_err(|why| NotTheSame::Changed(why.to_string()))
}

/// A file of which only the size was seen.
pub fn seen(shown: u64, size: u64) -> Result<(), NotTheSame> {
    if shown == size {
        return Ok(());
    }
    Err(NotTheSame::Changed(format!("it has {shown} bytes, S3 lists {size}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::sample::{SIZE, addition, change, create_backstore, removal};

    #[test]
    fn r8_a_file_is_looked_at_before_it_is_taken_down_to_be_remade_and_before_each_lun() {
        assert_eq!(before(&change(Action::Remake(SIZE))), Some(How::Open));
        assert_eq!((before(&addition()), before(&removal())), (None, None));
        let lun = Step::CreateLun { lun: 7, name: addition().identity.name(), map_to_acls: false };
        assert_eq!(before_step(&lun), Some(How::WithoutOpening));
        assert_eq!(before_step(&create_backstore()), None);
        assert_eq!((size(&addition()), size(&removal())), (Some(SIZE), None));
    }

    #[test]
    fn r7_a_file_of_another_size_is_another_and_the_kinds_are_bounded() {
        assert_eq!(seen(SIZE, SIZE), Ok(()));
        let changed = seen(512, SIZE).unwrap_err();
        assert_eq!(changed.kind(), "file_changed");
        assert_eq!(NotTheSame::Unknown(String::new()).kind(), "mount_silent");
        let text = FileFacts { size: SIZE, head: b"text".to_vec(), mode: 0o644 };
        assert!(matches!(opened(&text, SIZE), Err(NotTheSame::Changed(_))));
    }
}
