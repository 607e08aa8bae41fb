//! What the rules say of a simulated site, found out the long way round: from the words of R1 to R14, from the site's
//! objects and records and from what its parties show; not from the agent.

use actors::model::{Actual, Backstore, Etag, Identity, LunEntry, ObjectKey, Ours, RootfsLink, Saved};
use actors::sim::{BUCKET, MOUNT, SimSite, site, tpg};
use std::collections::{BTreeMap, BTreeSet};

/// The evidence that R2 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// S3 says that this very key is gone.
    ObjectGone,
    /// IMS answered: the image is not tagged.
    Untagged,
    /// IMS answered: there is no such image.
    NotListed,
    /// Its image names another root file system, which can be projected now.
    Successor,
    /// No rule chooses the object.
    NotSelected,
    /// What is exported is another file: only with an operator's word.
    Escaped,
    /// R6: its object is another one than what was projected: only with an operator's word.
    Replaced,
}

/// What each tagged image names; `None`: its manifest cannot be understood.
pub fn named(site: &SimSite) -> BTreeMap<String, Option<(Identity, ObjectKey, String)>> {
    let tagged = site.images.iter().filter(|image| image["metadata"]["sbps-project"] == "true");
    let read = |id: &str| {
        let key = ObjectKey::new(format!("{id}/manifest.json"));
        let (_, bytes) = site.objects.get(&key)?;
        rootfs_of(bytes)
    };
    tagged.filter_map(|image| image["id"].as_str()).map(|id| (id.to_owned(), read(id))).collect()
}

/// The one root file system of a manifest of version 1.0, in the boot bucket: identity, key, ETag.
fn rootfs_of(manifest: &[u8]) -> Option<(Identity, ObjectKey, String)> {
    let manifest: serde_json::Value = serde_json::from_slice(manifest).ok()?;
    let is_rootfs = |artifact: &&serde_json::Value| {
        artifact["type"]
            .as_str()
            .is_some_and(|kind| kind.starts_with("application/vnd.cray.image.rootfs.squashfs"))
    };
    let rootfs: Vec<_> = manifest["artifacts"].as_array()?.iter().filter(is_rootfs).collect();
    let [only] = rootfs[..] else { return None };
    let (path, etag) = (only["link"]["path"].as_str()?, only["link"]["etag"].as_str()?);
    let key = path.strip_prefix("s3://")?.strip_prefix(BUCKET)?.strip_prefix('/')?;
    let usable = !key.is_empty() && !etag.is_empty() && manifest["version"] == "1.0";
    usable.then(|| (Identity::of_rootfs(RootfsLink { path, etag }), ObjectKey::new(key), etag.to_owned()))
}

/// What a witness of all passes knows of the images.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// All that each tagged image has named since it was tagged.
    pub named: BTreeMap<String, BTreeSet<Identity>>,
    /// Tagged images that were unreadable when the agent first saw the site, and still are.
    pub never_read: BTreeSet<String>,
    /// Whether it has seen the site.
    pub begun: bool,
    /// The ETags that the object of each live or saved projection has had while it was one.
    pub held: BTreeMap<String, BTreeSet<Etag>>,
    /// The manifests that this agent has read, by image: it need not read them again.
    pub read: BTreeMap<String, Etag>,
}

impl Memory {
    /// What a pass learns, that saw every source or only the images and their manifests.
    pub fn learn(&mut self, site: &SimSite, sees_all: bool) {
        let tagged = named(site);
        self.named.retain(|image, _| !sees_all || tagged.contains_key(image));
        self.read.retain(|image, etag| {
            tagged.contains_key(image) && manifest_etag(site, image).as_ref() == Some(etag)
        });
        let readable = tagged.keys().filter(|id| !site.faults.unreadable.contains(&manifest_key(id)));
        let read: Vec<_> = readable.filter_map(|id| Some((id.clone(), manifest_etag(site, id)?))).collect();
        self.read.extend(read);
        let read = self.read.clone();
        let unreadable = |id: &String| !read.contains_key(id);
        for (image, named) in &tagged {
            if let (Some((identity, ..)), false) = (named, unreadable(image)) {
                self.named.entry(image.clone()).or_default().insert(identity.clone());
                self.never_read.remove(image);
            } else if sees_all && !self.begun && !self.named.contains_key(image) {
                self.never_read.insert(image.clone());
            }
        }
        self.never_read.retain(|image| tagged.contains_key(image));
        self.begun |= sees_all;
    }

    /// What each projection holds by now.
    pub fn learn_contents(&mut self, site: &SimSite) {
        let all = ours_all(&site.actual);
        self.held.retain(|name, _| all.contains_key(name));
        for (name, (ours, _)) in all {
            let etag = site.objects.get(&ours.key).map(|(etag, _)| etag.clone());
            self.held.entry(name).or_default().extend(etag);
        }
    }

    /// R6: another ETag, or another size than LIO has.
    fn is_replaced(&self, site: &SimSite, ours: &Ours, is_live: bool) -> bool {
        let Some((now, bytes)) = site.objects.get(&ours.key) else { return false };
        let name = ours.identity.name_str();
        let other = |held: &BTreeSet<Etag>| held.iter().any(|etag| etag != now);
        let has = |b: &&Backstore| b.plugin == "fileio" && b.name == name;
        let size = site.actual.backstores.iter().find(has).map(|b| b.size);
        self.held.get(name).is_some_and(other)
            || (is_live && size.is_some_and(|size| size != bytes.len() as u64))
    }
}

fn manifest_key(image: &str) -> ObjectKey {
    ObjectKey::new(format!("{image}/manifest.json"))
}

fn manifest_etag(site: &SimSite, image: &str) -> Option<Etag> {
    // What a listing leaves out cannot be read either.
    let key = manifest_key(image);
    site.objects.get(&key).filter(|_| !site.faults.unlisted.contains(&key)).map(|(etag, _)| etag.clone())
}

/// R2: on what evidence this projection of ours may go, if on any.
pub fn evidence(site: &SimSite, ours: &Ours, is_live: bool, memory: &Memory) -> Option<Evidence> {
    let escaped = (is_live && site.faults.symlinks.contains(&ours.key)).then_some(Evidence::Escaped);
    if !site.objects.contains_key(&ours.key) {
        return Some(Evidence::ObjectGone);
    }
    if Identity::of_pe(BUCKET, &ours.key) == ours.identity {
        let selected = ours.key.as_str().starts_with("PE/");
        let replaced = memory.is_replaced(site, ours, is_live).then_some(Evidence::Replaced);
        return if selected { escaped.or(replaced) } else { Some(Evidence::NotSelected) };
    }
    let folder = ours.key.folder();
    let listed = site.images.iter().any(|image| image["id"] == folder);
    let mut successor = false;
    for (image, names) in named(site) {
        let is_its =
            image == folder || memory.named.get(&image).is_some_and(|all| all.contains(&ours.identity));
        let unreadable = !memory.read.contains_key(&image);
        match names.filter(|_| !unreadable) {
            // It is wanted, or will be as soon as its file is there.
            Some((identity, ..)) if identity == ours.identity => return escaped,
            Some((identity, key, etag)) if is_its => {
                match is_up(site, &identity) || projectable(site, &key, &etag) {
                    true => successor = true,
                    false => return escaped,
                }
            }
            Some(_) => {}
            // One failed manifest: nothing is removed that it may have named.
            None if is_its || memory.never_read.contains(&image) => return escaped,
            None if !listed && !memory.named.contains_key(&image) => return escaped,
            None => {}
        }
    }
    Some(match (successor, listed) {
        (true, _) => Evidence::Successor,
        (false, true) => Evidence::Untagged,
        (false, false) => Evidence::NotListed,
    })
}

/// Whether it has a LUN already.
fn is_up(site: &SimSite, identity: &Identity) -> bool {
    numbers(&site.actual).contains_key(identity.name().as_str())
}

/// R7 to R9: whether the object of a key can be projected under this ETag.
pub fn projectable(site: &SimSite, key: &ObjectKey, etag: &str) -> bool {
    let listed = site.objects.get(key).is_some_and(|(now, _)| now.as_str() == etag);
    listed && is_plain(key) && is_complete(site, key)
}

/// The projections of ours, live or saved: name, and whether it is live.
pub fn ours_all(actual: &Actual) -> BTreeMap<String, (Ours, bool)> {
    let saved = match &actual.saved {
        Saved::Readable(saved) => {
            site().ours_saved(saved).map(|(_, o)| (o.identity.name().to_string(), (o, false))).collect()
        }
        _ => BTreeMap::new(),
    };
    let live = ours(actual).into_iter().map(|(name, (ours, _))| (name, (ours, true)));
    saved.into_iter().chain(live).collect()
}

/// The backstores of ours by name.
pub fn ours(actual: &Actual) -> BTreeMap<String, (Ours, Backstore)> {
    let of = |b: &Backstore| {
        let ours = site().recognise(&b.entry());
        assert_eq!(ours.is_some(), is_ours(b), "R1: {b:?}");
        Some((b.name.clone(), (ours?, b.clone())))
    };
    actual.backstores.iter().filter_map(of).collect()
}

/// R1: a fileio on a file under the mount, with a serial of 31 lower hex digits, named by its first 15.
fn is_ours(b: &Backstore) -> bool {
    let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    let beneath = b.file.strip_prefix(MOUNT).is_some_and(|rest| rest.starts_with('/'));
    b.plugin == "fileio"
        && beneath
        && b.serial.len() == 31
        && b.serial.chars().all(hex)
        && b.name == b.serial[..15]
}

/// Whether a LUN is ours: in our TPG, on a backstore of ours.
pub fn is_our_lun(actual: &Actual, lun: &LunEntry) -> bool {
    lun.tpg == tpg() && lun.plugin == "fileio" && ours(actual).contains_key(&lun.name)
}

/// Everything that is not ours.
pub fn foreign(actual: &Actual) -> (Vec<Backstore>, Vec<LunEntry>) {
    // What was cut short while it was made has no serial yet.
    let half_made = |b: &&Backstore| b.enabled || !b.file.starts_with(MOUNT);
    let backstores = actual.backstores.iter().filter(|b| !is_ours(b)).filter(half_made);
    let luns = actual.luns.iter().filter(|lun| !is_our_lun(actual, lun));
    (backstores.cloned().collect(), luns.cloned().collect())
}

/// Our projections: number by name.
pub fn numbers(actual: &Actual) -> BTreeMap<String, u16> {
    let luns = actual.luns.iter().filter(|lun| is_our_lun(actual, lun));
    luns.map(|lun| (lun.name.clone(), lun.lun)).collect()
}

/// The number under which a projection of this name is saved.
pub fn saved_number(site: &SimSite, name: &str) -> Option<u16> {
    let Saved::Readable(saved) = &site.actual.saved else { return None };
    saved
        .luns
        .iter()
        .find(|lun| lun.tpg == tpg() && lun.plugin == "fileio" && lun.name == name)
        .map(|lun| lun.lun)
}

/// R7: whether the object of a key is a complete image, and the mount shows all of it.
pub fn is_complete(site: &SimSite, key: &ObjectKey) -> bool {
    let hidden = site.faults.refused.contains(key)
        || site.faults.denied.contains(key)
        || site.faults.symlinks.contains(key);
    !hidden
        && site.objects.get(key).is_some_and(|(_, bytes)| {
            let size = bytes.len() as u64;
            let shown = site.faults.stale.get(key).copied().unwrap_or(size);
            let used = bytes.get(40..48).map(|used| u64::from_le_bytes(used.try_into().unwrap()));
            shown == size
                && size > 0
                && size.is_multiple_of(512)
                && bytes.starts_with(b"hsqs")
                && used.is_some_and(|used| used <= size)
        })
}

/// R8, R9: whether a key can be projected at all.
fn is_plain(key: &ObjectKey) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_./:+@~-".contains(&b);
    let segments = || key.as_str().split('/');
    key.as_str().bytes().all(plain) && segments().all(|segment| !matches!(segment, "" | "." | ".."))
}

/// The names of all that should be projected, by all that is tagged and uploaded.
pub fn valid(site: &SimSite) -> BTreeSet<String> {
    let rootfs = named(site).into_values().flatten().filter_map(|(identity, key, etag)| {
        let listed = site.objects.get(&key)?.0.as_str() == etag;
        (listed && is_plain(&key) && is_complete(site, &key)).then(|| identity.name().to_string())
    });
    let pe = site.objects.keys().filter(|key| key.as_str().starts_with("PE/"));
    let pe = pe.filter(|key| is_plain(key) && is_complete(site, key));
    rootfs.chain(pe.map(|key| Identity::of_pe(BUCKET, key).name().to_string())).collect()
}

/// Saved LUNs, and names of saved fileio backstores, that are neither live nor saved any more: forgotten by a save.
pub fn forgotten(before: &SimSite, after: &SimSite) -> (Vec<LunEntry>, Vec<String>) {
    let (Saved::Readable(old), Saved::Readable(new)) = (&before.actual.saved, &after.actual.saved) else {
        return Default::default();
    };
    let live = after.actual.inventory();
    let kept = |lun: &&LunEntry| !new.luns.contains(lun) && !live.luns.contains(lun);
    let stores = old.backstores.difference(&new.backstores).filter(|b| !live.backstores.contains(b));
    let stores = stores.filter(|b| b.plugin == "fileio");
    (old.luns.iter().filter(kept).cloned().collect(), stores.map(|b| b.name.clone()).collect())
}
