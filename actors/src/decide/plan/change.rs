//! What a plan is made from, and what it is made of.

use crate::decide::desired::Desired;
use crate::decide::evidence::image_of;
use crate::decide::history::{Freed, History};
use crate::decide::in_use::Unused;
use crate::decide::live::{LiveFiles, Mounts};
use crate::decide::reason::Reason;
use crate::decide::removals::{Hold, LookTime, Removal};
use crate::decide::withdrawal::Withdrawal;
use crate::model::{Actual, Cause, Identity, ImageRef, Step};
use std::collections::BTreeSet;

/// Everything that a plan is made of, beside the settings.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// What should be.
    pub desired: &'a Desired,
    /// What is.
    pub actual: &'a Actual,
    /// What the mount shows of what is live.
    pub live: &'a LiveFiles,
    /// Of which mount that is.
    pub mounts: &'a Mounts,
    /// When all this was seen.
    pub time: LookTime,
}

/// What is to be done about one image. Its steps are done in order; the first that fails ends this change alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which way, and why.
    pub action: Action,
    /// Which image.
    pub image: ImageRef,
    /// Who it is.
    pub identity: Identity,
    /// The LUN number.
    pub lun: Option<u16>,
    /// The number it would have if no other image had come before it.
    pub own_lun: Option<u16>,
    /// Its file.
    pub file: String,
    /// It is not done before these are live: of a superseded projection its successors.
    pub after: Vec<Identity>,
    /// It is not begun once its LUN has been used (R4). `None`: that does not matter.
    pub unused: Option<Unused>,
    /// Its number was another image's before its quarantine was over: no other number was free (R5).
    pub reused: Option<Freed>,
    /// What to tell LIO.
    pub steps: Vec<Step>,
}

/// Which way a change goes, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new projection, of this many bytes.
    Project(u64),
    /// A live one, of this many bytes, made anew under its number: its file belongs to a mount that is gone.
    Remake(u64),
    /// The end of one.
    Withdraw(Withdrawal),
}

/// What has become of the changes before one, in the same pass.
#[derive(Debug, Default)]
pub struct SoFar {
    /// The files of those that were left for the next pass.
    pub left: BTreeSet<String>,
    failed: bool,
    remake_failed: bool,
}

impl SoFar {
    /// One has failed.
    pub fn note_failure(&mut self, change: &Change) {
        self.failed = true;
        self.remake_failed |= matches!(change.action, Action::Remake(_));
    }

    /// Whether a change is left for the next pass. What has to be taken down before it can come back is left once
    /// something could not be made: whatever kept that one from coming may keep this one. `is_followed`: what it waits
    /// for is live.
    pub fn leaves(&self, change: &Change, is_followed: impl FnOnce() -> bool) -> bool {
        match change.action {
            Action::Remake(_) => self.remake_failed,
            Action::Withdraw(Withdrawal::Superseded) if change.after.is_empty() => self.failed,
            Action::Withdraw(_) => !is_followed(),
            Action::Project(_) => self.left.contains(&change.file),
        }
    }
}

/// A removal that has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub removal: Removal,
    /// Which image.
    pub image: ImageRef,
    /// Why.
    pub hold: Hold,
}

impl Held {
    pub(super) fn new(removal: Removal, hold: Hold, history: &History) -> Self {
        Held { image: image_of(&removal.ours, history), removal, hold }
    }
}

/// An image that is not projected, or not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Which image.
    pub image: ImageRef,
    /// Why.
    pub reason: Reason,
}

/// A live projection that looks wrong but must not be touched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drifted {
    /// Which image.
    pub image: ImageRef,
    /// What is wrong: short, from a bounded set.
    pub kind: &'static str,
}

impl Drifted {
    /// What it means, and what to do about it.
    pub fn remedy(&self) -> &'static str {
        match (self.kind, &self.image) {
            (NOT_MAPPED_TO_ACL, _) => "a node ACL has no mapping of it: make one, with write_protect=1",
            (CONTENT_CHANGED, ImageRef::Pe(_)) => {
                "its object was replaced under its key, and what s3fs reads for it may be old, new or mixed: upload it \
                 under another key; or let the LUN be made anew: `sbps-marshal plan` shows the code for confirm-removal, \
                 and pe.on_change = \"replace\" does it always"
            }
            (CONTENT_CHANGED, ImageRef::Rootfs(_)) => {
                "its object has another size than its LUN: untag the image until its LUN is gone, then tag it again"
            }
            _ => "nodes do not find it by its name: untag the image until its LUN is gone, then tag it again",
        }
    }
}

/// Initiators see `FILEIO` in the place of its name.
pub const MODEL_ALIAS_OFF: &str = "model_alias_off";
/// Its object is another one by now, or has another size (R6).
pub const CONTENT_CHANGED: &str = "content_changed";
/// A node ACL does not have it.
pub const NOT_MAPPED_TO_ACL: &str = "not_mapped_to_acl";

/// An image that could not be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    /// Which image.
    pub image: ImageRef,
    /// Who did not answer.
    pub cause: Cause,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::sample::{SIZE, addition, change, identity, removal};

    #[test]
    fn r2_what_is_superseded_goes_when_its_successors_are_live_and_without_any_unless_something_has_failed() {
        let superseded = change(Action::Withdraw(Withdrawal::Superseded));
        let with_successor = Change { after: vec![identity()], ..superseded.clone() };
        let mut so_far = SoFar::default();
        assert!(!so_far.leaves(&superseded, || false));
        assert!(so_far.leaves(&with_successor, || false) && !so_far.leaves(&with_successor, || true));
        so_far.note_failure(&addition());
        assert!(so_far.leaves(&superseded, || true));
        assert!(!so_far.leaves(&with_successor, || true), "its successor is there");
    }

    #[test]
    fn no_lun_is_taken_down_to_be_remade_once_that_has_failed_and_what_was_left_holds_its_file() {
        let (remake, mut so_far) = (change(Action::Remake(SIZE)), SoFar::default());
        so_far.note_failure(&addition());
        assert!(!so_far.leaves(&remake, || true));
        so_far.note_failure(&remake);
        assert!(so_far.leaves(&remake, || true));
        assert!(!so_far.leaves(&addition(), || true) && !so_far.leaves(&removal(), || true));
        so_far.left.insert(addition().file);
        assert!(so_far.leaves(&addition(), || true));
    }
}
