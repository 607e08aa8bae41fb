//! What is true of a simulated site, found out the long way round: from its objects and records, not from the agent.

use actors::guard::{Ours, recognise_live};
use actors::identity::Identity;
use actors::manifest;
use actors::model::{Actual, Backstore, LunEntry, ObjectKey, Saved};
use actors::ports::FileFacts;
use actors::sim::{BUCKET, MOUNT, Site, TPG};
use actors::squashfs;
use std::collections::{BTreeMap, BTreeSet};

/// What each tagged image names; `None`: its manifest cannot be understood.
pub fn named(site: &Site) -> BTreeMap<String, Option<(Identity, ObjectKey, String)>> {
    let tagged = site.images.iter().filter(|image| image["metadata"]["sbps-project"] == "true");
    let read = |id: &str| {
        let (_, bytes) = site.objects.get(&ObjectKey::new(format!("{id}/manifest.json")))?;
        let rootfs = manifest::read(bytes, BUCKET).ok()?;
        Some((rootfs.identity, rootfs.key, rootfs.etag))
    };
    tagged.filter_map(|image| image["id"].as_str()).map(|id| (id.to_owned(), read(id))).collect()
}

/// What the agent may know of manifests that cannot be read now: what they named in earlier passes.
pub type Memory = BTreeMap<String, Identity>;

/// Whether nothing can mean this projection of ours: then, and only then, it may go.
pub fn is_gone(site: &Site, ours: &Ours, memory: &Memory) -> bool {
    if !site.objects.contains_key(&ours.key) {
        return true;
    }
    if Identity::of_pe(BUCKET, ours.key.as_str()) == ours.identity {
        return !ours.key.as_str().starts_with("PE/");
    }
    let listed = site.images.iter().any(|image| image["id"] == ours.key.folder());
    named(site).into_iter().all(|(id, named)| match (named, memory.get(&id)) {
        (Some((identity, ..)), _) => identity != ours.identity,
        (None, _) if id == ours.key.folder() => false,
        (None, Some(before)) => *before != ours.identity,
        (None, None) => listed,
    })
}

/// The backstores of ours by name.
pub fn ours(actual: &Actual) -> BTreeMap<String, (Ours, Backstore)> {
    let recognised = |b: &Backstore| Some((b.name.clone(), (recognise_live(b, MOUNT)?, b.clone())));
    actual.backstores.iter().filter_map(recognised).collect()
}

/// Whether a LUN is ours: in our TPG, on a backstore of ours.
pub fn is_our_lun(actual: &Actual, lun: &LunEntry) -> bool {
    lun.tpg == TPG && lun.plugin == "fileio" && ours(actual).contains_key(&lun.name)
}

/// Everything that is not ours.
pub fn foreign(actual: &Actual) -> (Vec<Backstore>, Vec<LunEntry>) {
    let backstores = actual.backstores.iter().filter(|b| recognise_live(b, MOUNT).is_none());
    let luns = actual.luns.iter().filter(|lun| !is_our_lun(actual, lun));
    (backstores.cloned().collect(), luns.cloned().collect())
}

/// Our projections: number by name.
pub fn numbers(actual: &Actual) -> BTreeMap<String, u16> {
    let luns = actual.luns.iter().filter(|lun| is_our_lun(actual, lun));
    luns.map(|lun| (lun.name.clone(), lun.lun)).collect()
}

/// R7: whether the object of a key is a complete image.
pub fn is_complete(site: &Site, key: &ObjectKey) -> bool {
    site.objects.get(key).is_some_and(|(_, bytes)| {
        let facts = FileFacts {
            size: bytes.len() as u64,
            head: bytes.iter().take(96).copied().collect(),
            mode: 0o640,
        };
        squashfs::check(&facts, bytes.len() as u64).is_ok()
    })
}

fn is_plain(key: &ObjectKey) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_./:+@~-".contains(&b);
    let segments = || key.as_str().split('/');
    key.as_str().bytes().all(plain) && segments().all(|segment| !matches!(segment, "" | "." | ".."))
}

/// The names of all that should be projected, by all that is tagged and uploaded.
pub fn valid(site: &Site) -> BTreeSet<String> {
    let rootfs = named(site).into_values().flatten().filter_map(|(identity, key, etag)| {
        let listed = site.objects.get(&key)?.0.as_str() == etag;
        (listed && is_plain(&key) && is_complete(site, &key)).then(|| identity.name().to_string())
    });
    let pe = site.objects.keys().filter(|key| key.as_str().starts_with("PE/"));
    let pe = pe.filter(|key| is_plain(key) && is_complete(site, key));
    rootfs.chain(pe.map(|key| Identity::of_pe(BUCKET, key.as_str()).name().to_string())).collect()
}

/// Saved entries that are neither live nor saved any more: forgotten by a save.
pub fn forgotten(before: &Site, after: &Site) -> (Vec<LunEntry>, Vec<String>) {
    let (Saved::Readable(old), Saved::Readable(new)) = (&before.actual.saved, &after.actual.saved) else {
        return Default::default();
    };
    let live = after.actual.inventory();
    let kept = |lun: &&LunEntry| !new.luns.contains(lun) && !live.luns.contains(lun);
    let stores = old.backstores.difference(&new.backstores).filter(|b| !live.backstores.contains(b));
    (old.luns.iter().filter(kept).cloned().collect(), stores.map(|(_, name, ..)| name.clone()).collect())
}
