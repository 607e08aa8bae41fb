//! The boot bucket and its mount, and what of LIO is ours (R1).

use super::identity::Identity;
use super::lio::{Backstore, Inventory, LunEntry};
use super::object::ObjectKey;

/// A backstore of ours, recognised by its form and its file (R1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// Who it is.
    pub identity: Identity,
    /// The object its file is.
    pub key: ObjectKey,
}

/// R1: whether a backstore is ours: a fileio of our form of name and serial, with its file under our mount.
pub fn recognise(plugin: &str, name: &str, file: &str, serial: &str, mount: &str) -> Option<Ours> {
    let key = file.strip_prefix(mount)?.strip_prefix('/')?;
    let identity = Identity::recognise(name, serial).filter(|_| plugin == "fileio")?;
    Some(Ours { identity, key: ObjectKey::new(key) })
}

/// R1, for a backstore as configfs shows it.
pub fn recognise_live(backstore: &Backstore, mount: &str) -> Option<Ours> {
    recognise(&backstore.plugin, &backstore.name, &backstore.file, &backstore.serial, mount)
}

/// A saved backstore: plugin, name, file and serial.
pub type SavedBackstore = (String, String, String, String);

/// R1, for what is saved: our backstores.
pub fn saved_ours<'a>(
    saved: &'a Inventory,
    mount: &'a str,
) -> impl Iterator<Item = (&'a SavedBackstore, Ours)> {
    saved.backstores.iter().filter_map(move |backstore| {
        let (plugin, name, file, serial) = backstore;
        Some((backstore, recognise(plugin, name, file, serial, mount)?))
    })
}

/// R1, for what is saved: the LUNs that our TPG has on a backstore of ours.
pub fn saved_luns<'a>(
    saved: &'a Inventory,
    ours: &Ours,
    tpg: &'a str,
) -> impl Iterator<Item = &'a LunEntry> + use<'a> {
    let name = ours.identity.name();
    let ours = move |lun: &&LunEntry| lun.tpg == tpg && lun.plugin == "fileio" && lun.name == name.as_str();
    saved.luns.iter().filter(ours)
}
