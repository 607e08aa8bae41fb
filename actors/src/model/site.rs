//! The boot bucket and its mount, and what of LIO is ours (R1).

use super::identity::Identity;
use super::image::Kind;
use super::lio::{Actual, Backstore, BackstoreEntry, FILEIO, Inventory, LunEntry, TpgPath};
use super::object::ObjectKey;
use std::sync::Arc;

/// The boot bucket, and where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The boot bucket.
    pub bucket: Arc<str>,
    /// Its mount point, without a slash at its end.
    pub mount: String,
}

/// A backstore of ours, recognised by its form and its file (R1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// Who it is.
    pub identity: Identity,
    /// The object its file is.
    pub key: ObjectKey,
    /// The bucket of that object.
    bucket: Arc<str>,
}

impl Site {
    /// The object that a file under the mount is; `None` for any other file.
    pub fn key_of(&self, file: &str) -> Option<ObjectKey> {
        file.strip_prefix(&self.mount)?.strip_prefix('/').map(ObjectKey::new)
    }

    /// The file that an object is. Whether it stays under the mount, [`ObjectKey::is_plain`] tells.
    pub fn path_of(&self, key: &ObjectKey) -> String {
        format!("{}/{key}", self.mount)
    }

    /// R1: whether a backstore is ours: a fileio of our form of name and serial, with its file under our mount.
    pub fn recognise(&self, backstore: &BackstoreEntry) -> Option<Ours> {
        let key = self.key_of(&backstore.file)?;
        let identity = Identity::of_serial(&backstore.serial)?;
        let is_ours = backstore.plugin == FILEIO && backstore.name == identity.name_str();
        is_ours.then(|| Ours { identity, key, bucket: self.bucket.clone() })
    }

    /// R1, for what is live.
    pub fn ours_live<'a>(&self, actual: &'a Actual) -> Vec<(&'a Backstore, Ours)> {
        actual.backstores.iter().filter_map(|b| Some((b, self.recognise(&b.entry())?))).collect()
    }

    /// R1, for what is saved.
    pub fn ours_saved<'a>(
        &'a self,
        saved: &'a Inventory,
    ) -> impl Iterator<Item = (&'a BackstoreEntry, Ours)> {
        saved.backstores.iter().filter_map(|backstore| Some((backstore, self.recognise(backstore)?)))
    }
}

impl Ours {
    /// A PE image is known by its key, which its identity is made of.
    pub fn kind(&self) -> Kind {
        match Identity::of_pe(&self.bucket, &self.key) == self.identity {
            true => Kind::Pe,
            false => Kind::Rootfs,
        }
    }

    /// The LUNs that a TPG has on it, by what is saved.
    pub fn saved_luns<'a>(
        &self,
        saved: &'a Inventory,
        tpg: &'a TpgPath,
    ) -> impl Iterator<Item = &'a LunEntry> + use<'a> {
        let name = self.identity.name();
        saved.luns.iter().filter(move |lun| lun.tpg == *tpg && lun.leads_to(name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WWN: &str = "de4cc04e7dacfb9ada0a6b4ccdae676";

    fn site() -> Site {
        Site { bucket: "boot-images".into(), mount: "/mnt/boot-images".into() }
    }

    fn backstore() -> BackstoreEntry {
        BackstoreEntry {
            plugin: FILEIO.into(),
            name: WWN[..15].into(),
            file: "/mnt/boot-images/PE/CPE-base.x86_64-24.11.squashfs".into(),
            serial: WWN.into(),
        }
    }

    #[test]
    fn r1_a_fileio_of_our_form_under_our_mount_is_ours_and_its_kind_is_known() {
        let ours = site().recognise(&backstore()).unwrap();
        assert_eq!(
            (ours.identity.wwn().as_str(), ours.key.as_str(), ours.kind()),
            (WWN, "PE/CPE-base.x86_64-24.11.squashfs", Kind::Pe)
        );
        let other = BackstoreEntry { file: "/mnt/boot-images/id/rootfs".into(), ..backstore() };
        assert_eq!(site().recognise(&other).unwrap().kind(), Kind::Rootfs);
    }

    #[test]
    fn r1_a_backstore_of_another_form_plugin_or_folder_is_not_ours() {
        let with = |change: fn(&mut BackstoreEntry)| {
            let mut other = backstore();
            change(&mut other);
            other
        };
        for foreign in [
            with(|b| b.plugin = "block".into()),
            with(|b| b.name = "backup".into()),
            with(|b| b.name = WWN[..14].into()),
            with(|b| b.name = WWN[..15].to_uppercase()),
            with(|b| b.name = "0331b9aaef49840".into()),
            with(|b| b.serial = WWN[..30].into()),
            with(|b| b.serial = WWN.to_uppercase()),
            with(|b| b.serial = "de4cc04e-7dac-fb9a-da0a-6b4ccda".into()),
            with(|b| b.file = "/srv/a".into()),
            with(|b| b.file = "/mnt/boot-images-2/a".into()),
            with(|b| b.file = "/mnt/boot-images".into()),
        ] {
            assert_eq!(site().recognise(&foreign), None, "{foreign:?}");
        }
    }
}
