//! R13: what is done while somebody has plain targetcli's lock, perhaps in a shell that was left open overnight. Pure.

use crate::decide::plan::change::Action;
use crate::model::{Engine, Request, Step};

/// How something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// With the lock in our hands: no plain targetcli changes anything meanwhile.
    Taken,
    /// Without it: whoever has it may be about to use the same HBA index, and may not know of what we make.
    Left,
}

impl Lock {
    /// The request for it.
    pub fn request(self, wanted: Request) -> Request {
        match self {
            Lock::Taken => wanted,
            Lock::Left => Request::Unlocked(Box::new(wanted)),
        }
    }
}

/// How a step is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// By whom it is carried out.
    pub engine: Engine,
    /// With the lock or without it.
    pub lock: Lock,
}

impl Way {
    /// The request for it.
    pub fn request(self, step: Step) -> Request {
        self.lock.request(self.engine.request(step))
    }
}

/// What can be wanted while the lock is held.
#[derive(Clone, Copy, Debug)]
pub enum Wish<'a> {
    /// A change of a plan.
    Change(&'a Action),
    /// The save of what is live.
    Save,
}

/// What a wish does when the lock has been waited for in vain. A node waits for its image, or has a dead root file system:
/// that cannot wait until somebody closes his shell; nor can the save, without which a boot in between would lose it again. A
/// removal can.
pub fn without_lock(wish: Wish<'_>) -> Option<Lock> {
    match wish {
        Wish::Change(Action::Project(_) | Action::Remake(_)) | Wish::Save => Some(Lock::Left),
        Wish::Change(Action::Withdraw(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::withdrawal::Withdrawal;

    #[test]
    fn r13_without_the_lock_luns_come_and_are_saved_and_none_goes() {
        let wishes = [
            Wish::Change(&Action::Project(1)),
            Wish::Change(&Action::Remake(1)),
            Wish::Save,
            Wish::Change(&Action::Withdraw(Withdrawal::Untagged)),
            Wish::Change(&Action::Withdraw(Withdrawal::Superseded)),
        ];
        let goes = wishes.map(|wish| without_lock(wish).is_some());
        assert_eq!(goes, [true, true, true, false, false]);
    }

    #[test]
    fn r13_what_goes_without_the_lock_is_asked_for_as_such() {
        let save = Request::Save { backup: true };
        assert_eq!(Lock::Taken.request(save.clone()), save);
        assert_eq!(Lock::Left.request(save.clone()), Request::Unlocked(Box::new(save)));
    }
}
