//! What is remembered from pass to pass, and over a restart. Pure.
//!
//! Lost or unreadable, it only delays: looks are taken anew, and after a history that was there and cannot be read no
//! removal happens until the breaker's window is over. Times are since the node's boot.

use crate::decide::in_use::{self, Usage};
use crate::decide::withdrawal::Withdrawal;
use crate::model::{Boot, Etag, Identity, ImageId, Md5Sum, ObjectKey, ObjectVersion};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Of the stored form. A higher one is of a newer agent.
const VERSION: u32 = 1;

/// How many projections one image is remembered to have named: more than this, and the oldest name nothing live.
pub const MOST_CLAIMS: usize = 8;

/// What the reconciler remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// The first look at each projection that nothing wants any more (R2).
    pub looks: BTreeMap<Identity, FirstLook>,
    /// What the breaker holds, and what has been removed lately (R3).
    pub breaker: Breaker,
    /// How each live projection has been used (R4).
    pub usage: BTreeMap<Identity, Usage>,
    /// Removals of what nodes use (R4).
    pub in_use: HeldInUse,
    /// Which projections each image may mean: what it names, and what it named before that.
    pub claims: BTreeMap<ImageId, BTreeSet<Identity>>,
    /// Images that were wanted and unreadable when this history began: nobody knows what they named before.
    pub never_read: BTreeSet<ImageId>,
    /// Under which mount the file of each live projection was opened.
    pub mounts: BTreeMap<Identity, Opened>,
    /// What each live projection held when it was first seen (R6).
    pub contents: BTreeMap<Identity, Etag>,
    /// Numbers of projections that a torn saveconfig.json had, and that are not live again yet (R5).
    pub numbers: BTreeMap<Identity, u16>,
    /// The numbers of our live LUNs, as the last pass left them (R5).
    pub live: BTreeMap<u16, Identity>,
    /// Numbers that were freed and are in quarantine (R5).
    pub freed: BTreeMap<u16, Freed>,
    /// MD5 of objects that were read to be proven.
    pub proven: BTreeMap<ObjectVersion, Md5Sum>,
    /// Whether any pass has seen the site whole.
    pub begun: bool,
    /// Projections whose change failed in the last pass: their turn comes last. Not kept over a restart.
    #[serde(skip)]
    pub failed: BTreeSet<Identity>,
}

/// The first of the two looks that R2 asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstLook {
    /// What it saw; the second has to see the same.
    pub why: Withdrawal,
    /// The object, to know the image by.
    pub key: ObjectKey,
    /// When it ended.
    pub at: Duration,
}

/// The breaker's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// Removals that it holds, until they are confirmed or not due any more.
    pub held: BTreeSet<Identity>,
    /// Removals that an operator has confirmed.
    pub confirmed: BTreeSet<Identity>,
    /// Projections that were removed, and when.
    pub removed: BTreeMap<Identity, Duration>,
    /// Until then it lets nothing through: what it held before is not known.
    pub shut_until: Option<Duration>,
    /// The code of what it holds; for `confirm-removal`.
    pub code: Option<String>,
}

/// Removals of what nodes use (R4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeldInUse {
    /// Those that wait.
    pub held: BTreeSet<Identity>,
    /// Those that an operator has confirmed, until they are gone or not due any more.
    pub confirmed: BTreeSet<Identity>,
}

/// The mount that a backstore's file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Inode of the backstore's folder: another one is another backstore.
    pub inode: u64,
    /// `st_dev` of the mount.
    pub device: u64,
}

/// Whose a freed number was, and since when it is free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freed {
    /// Of this projection, which gets it back at once.
    pub identity: Identity,
    /// When it was first seen to be free.
    pub at: Duration,
}

/// Why what was stored cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryFault {
    /// Cut off, overwritten, or no history.
    #[error("the stored history is torn: {0}")]
    Torn(#[from] serde_json::Error),
    /// Of a newer agent.
    #[error("the stored history has version {0}, this agent knows {VERSION}")]
    Newer(u32),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    boot: String,
    #[serde(default)]
    history: serde_json::Value,
}

impl History {
    /// To be stored during this boot.
    pub fn to_bytes(&self, boot: &Boot) -> Result<Vec<u8>, HistoryFault> {
        let history = serde_json::to_value(self)?;
        Ok(serde_json::to_vec_pretty(&Stored { version: VERSION, boot: boot.id.clone(), history })?)
    }

    /// What was stored; of another boot, without its times and mounts.
    pub fn from_bytes(bytes: &[u8], boot: &Boot, window: Duration) -> Result<Self, HistoryFault> {
        let stored: Stored = serde_json::from_slice(bytes)?;
        if stored.version > VERSION {
            return Err(HistoryFault::Newer(stored.version));
        }
        let mut history: History = serde_json::from_value(stored.history)?;
        if stored.boot != boot.id {
            history.looks.clear();
            history.mounts.clear();
            history.usage.values_mut().for_each(Usage::reboot);
            // How long ago they were is not known: as if they had been just before the boot.
            history.breaker.removed.values_mut().for_each(|at| *at = Duration::ZERO);
            history.freed.values_mut().for_each(|freed| freed.at = Duration::ZERO);
            history.breaker.shut_until = history.breaker.shut_until.map(|_| boot.since + window);
        }
        Ok(history)
    }

    /// After one that was there and could not be read.
    pub fn lost(boot: &Boot, window: Duration) -> Self {
        let breaker = Breaker { shut_until: Some(boot.since + window), ..Breaker::default() };
        History { breaker, ..History::default() }
    }

    /// The codes that an operator can confirm now: of what the breaker holds (R3), and of each LUN in use (R4).
    pub fn held_codes(&self) -> Vec<String> {
        self.breaker.code.iter().cloned().chain(self.in_use.held.iter().map(in_use::code)).collect()
    }

    /// After a pass that saw nothing: the looks have to be taken anew (R2).
    pub fn restart_looks(&mut self) {
        self.looks.clear();
    }

    /// Someone has seen these images wanted: what missed them has to be seen twice anew (R2).
    pub fn seen_wanted<'a>(&mut self, ids: impl Iterator<Item = &'a ImageId>) {
        for id in ids {
            let claims = self.claims.get(id);
            self.looks.retain(|identity, look| {
                let of_ims = matches!(look.why, Withdrawal::Untagged | Withdrawal::ImageGone);
                let meant = look.key.folder() == id.as_str()
                    || claims.is_some_and(|claims| claims.contains(identity));
                !(of_ims && meant)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RootfsLink;

    const WINDOW: Duration = Duration::from_secs(3600);

    fn boot(id: &str, seconds: u64) -> Boot {
        Boot { id: id.into(), since: Duration::from_secs(seconds) }
    }

    fn history() -> History {
        let identity = Identity::of_pe("boot-images", &ObjectKey::new("PE/a"));
        let look = FirstLook {
            why: Withdrawal::ObjectGone,
            key: ObjectKey::new("PE/a"),
            at: Duration::from_secs(7),
        };
        let mut history = History { begun: true, ..History::default() };
        history.looks.insert(identity.clone(), look);
        history.claims.insert(ImageId::new("id"), BTreeSet::from([identity.clone()]));
        history.mounts.insert(identity.clone(), Opened { inode: 1, device: 2 });
        history.breaker.held.insert(identity.clone());
        history.in_use.held.insert(identity.clone());
        history.breaker.removed.insert(identity, Duration::from_secs(5));
        history.breaker.code = Some("0badc0de".into());
        history
    }

    #[test]
    fn what_is_stored_is_what_was_remembered_with_the_codes_of_what_is_held() {
        let bytes = history().to_bytes(&boot("a", 9)).unwrap();
        assert_eq!(History::from_bytes(&bytes, &boot("a", 10), WINDOW).unwrap(), history());
        let of_the_lun = in_use::code(&Identity::of_pe("boot-images", &ObjectKey::new("PE/a")));
        assert_eq!(history().held_codes(), ["0badc0de".to_owned(), of_the_lun]);
    }

    #[test]
    fn r2_r3_after_a_reboot_looks_are_taken_anew_and_what_was_held_stays_held() {
        let bytes = history().to_bytes(&boot("a", 9)).unwrap();
        let after = History::from_bytes(&bytes, &boot("b", 1), WINDOW).unwrap();
        assert!(after.looks.is_empty() && after.mounts.is_empty());
        assert_eq!((&after.claims, &after.breaker.held), (&history().claims, &history().breaker.held));
        assert_eq!(after.breaker.removed.values().collect::<Vec<_>>(), [&Duration::ZERO]);
    }

    #[test]
    fn r3_a_torn_history_and_one_of_a_newer_agent_shut_the_breaker_for_its_window() {
        let newer = br#"{"version": 2, "boot": "a", "history": {}}"#;
        for (bytes, kind) in [(newer.as_slice(), "version 2"), (b"{\"version\": 1,", "torn"), (b"", "torn")] {
            let fault = History::from_bytes(bytes, &boot("a", 9), WINDOW).unwrap_err().to_string();
            assert!(fault.contains(kind), "{fault}");
        }
        let lost = History::lost(&boot("a", 9), WINDOW);
        assert_eq!(lost.breaker.shut_until, Some(Duration::from_secs(3609)));
    }

    #[test]
    fn r2_a_look_that_sees_an_image_wanted_restarts_only_the_looks_of_that_image() {
        let mut history = History::default();
        for (n, why) in [(1, Withdrawal::Untagged), (2, Withdrawal::ImageGone), (3, Withdrawal::ObjectGone)] {
            let path = format!("i{n}/rootfs");
            let look = FirstLook { why, key: ObjectKey::new(path.as_str()), at: Duration::ZERO };
            history.looks.insert(Identity::of_rootfs(RootfsLink { path: &path, etag: "e" }), look);
        }
        history.seen_wanted([ImageId::new("i1"), ImageId::new("i3")].iter());
        let left: BTreeSet<&str> = history.looks.values().map(|look| look.key.as_str()).collect();
        assert_eq!(left, BTreeSet::from(["i2/rootfs", "i3/rootfs"]));
    }
}
