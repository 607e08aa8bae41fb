//! One projection, for tests.

use crate::decide::plan::change::{Action, Change};
use crate::decide::withdrawal::Withdrawal;
use crate::model::{
    Actual, Backstore, Identity, ImageRef, Inventory, LunEntry, ObjectKey, Report, SaveOutcome, Saved, Site,
    Step, TpgPath, Word,
};
use std::collections::BTreeSet;

pub const SIZE: u64 = 4096;
pub const FILE: &str = "/m/PE/a";

pub fn site() -> Site {
    Site { bucket: "boot-images".into(), mount: "/m".into() }
}

pub fn key() -> ObjectKey {
    ObjectKey::new("PE/a")
}

pub fn identity() -> Identity {
    Identity::of_pe("boot-images", &key())
}

pub fn file() -> Word {
    Word::try_from(FILE).unwrap()
}

pub fn tpg() -> TpgPath {
    TpgPath::new("iscsi/iqn.2023-06.csm.iscsi:w/tpgt_1")
}

pub fn backstore() -> Backstore {
    Backstore {
        plugin: "fileio".into(),
        name: identity().name().to_string(),
        file: FILE.into(),
        serial: identity().wwn().to_string(),
        size: SIZE,
        model_alias: true,
        enabled: true,
        inode: 1,
        opened: None,
    }
}

pub fn lun(number: u16) -> LunEntry {
    LunEntry { tpg: tpg(), lun: number, plugin: "fileio".into(), name: identity().name().to_string() }
}

/// Our TPG, and this on the node; nothing is saved.
pub fn actual(backstores: Vec<Backstore>, luns: Vec<LunEntry>) -> Actual {
    Actual {
        tpg_path: tpg(),
        tpg: None,
        backstores,
        luns,
        bare_luns: BTreeSet::new(),
        others: BTreeSet::new(),
        saved: Saved::Missing,
    }
}

/// What is live is what is saved.
pub fn saved(mut actual: Actual) -> Actual {
    actual.saved = Saved::Readable(actual.inventory());
    actual
}

pub fn nothing() -> Inventory {
    Inventory::default()
}

pub fn change(action: Action) -> Change {
    Change {
        action,
        image: ImageRef::Pe(key()),
        identity: identity(),
        lun: Some(7),
        own_lun: Some(7),
        file: FILE.into(),
        after: Vec::new(),
        unused: None,
        reused: None,
        steps: Vec::new(),
    }
}

pub fn addition() -> Change {
    change(Action::Project(SIZE))
}

pub fn removal() -> Change {
    change(Action::Withdraw(Withdrawal::Untagged))
}

pub fn create_backstore() -> Step {
    Step::CreateBackstore { name: identity().name(), file: file(), wwn: identity().wwn().clone() }
}

pub fn delete_backstore() -> Step {
    Step::DeleteBackstore { name: identity().name(), wwn: identity().wwn().clone() }
}

/// Nothing has come about.
pub fn report() -> Report {
    Report {
        added: 0,
        remade: 0,
        removed: BTreeSet::new(),
        failed: Vec::new(),
        untried: 0,
        busy: None,
        locked: None,
        saved: SaveOutcome::Untried,
        after: None,
        duration_ms: 0,
    }
}
