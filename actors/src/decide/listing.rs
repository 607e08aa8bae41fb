//! What a pass has to ask S3 about, and what the answers mean.

use crate::decide::desired::{self, ManifestAnswer};
use crate::decide::history::History;
use crate::decide::images::ImageList;
use crate::decide::manifest::{LONGEST_MANIFEST, Proof, Rootfs};
use crate::decide::policy::Policy;
use crate::decide::reason::Reason;
use crate::model::{
    Actual, Cause, Etag, ImageId, Md5Sum, ObjectIndex, ObjectKey, ObjectVersion, Relevant, Saved, Source,
};
use std::collections::{BTreeMap, BTreeSet};

/// A manifest that has to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestQuery {
    /// Whose it is.
    pub image: ImageId,
    /// Its object.
    pub key: ObjectKey,
}

/// What the manifests of the wanted images say.
pub type ManifestAnswers = BTreeMap<ImageId, ManifestAnswer>;

/// The manifests of the wanted images, and what is wrong with the links of the others.
pub fn wanted_manifests(list: &ImageList, policy: &Policy) -> (Vec<ManifestQuery>, ManifestAnswers) {
    let (mut wanted, mut unusable) = (Vec::new(), BTreeMap::new());
    for record in list.records.iter().filter(|record| record.is_wanted(policy.tagging)) {
        let image = record.id.clone();
        match desired::manifest_key(record, &policy.site.bucket) {
            Ok(key) => wanted.push(ManifestQuery { image, key }),
            Err(reason) => drop(unusable.insert(image, ManifestAnswer::Bad(reason))),
        }
    }
    (wanted, unusable)
}

/// Which part of the bucket has to be listed. `named` are the artifacts that manifests are known to name.
pub fn relevant(
    wanted: &[ManifestQuery],
    named: BTreeSet<ObjectKey>,
    actual: &Actual,
    policy: &Policy,
) -> Relevant {
    Relevant {
        prefix: policy.pe.prefix.clone(),
        folders: wanted.iter().map(|query| query.key.folder().to_owned()).collect(),
        keys: keys_in_use(actual, policy).chain(named).collect(),
    }
}

/// The keys of all files under our mount that are live or saved: whose else they may be does not matter here.
fn keys_in_use<'a>(actual: &'a Actual, policy: &'a Policy) -> impl Iterator<Item = ObjectKey> + 'a {
    // What is saved counts as well: a listing without it would say that it is gone (R11).
    let saved = match &actual.saved {
        Saved::Readable(saved) => Some(saved.backstores.iter().map(|backstore| &backstore.file)),
        Saved::Missing | Saved::Unreadable { .. } => None,
    };
    let files = actual.backstores.iter().map(|b| &b.file).chain(saved.into_iter().flatten());
    files.filter_map(|file| policy.site.key_of(file))
}

/// What was read of a manifest, and its ETag then: unchanged ETag, unchanged meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadManifest {
    /// What it was listed with.
    pub etag: Etag,
    /// The root file system it names, or what is wrong with it.
    pub rootfs: Result<Rootfs, Reason>,
}

impl ReadManifest {
    /// What it says.
    pub fn answer(&self) -> ManifestAnswer {
        match &self.rootfs {
            Ok(rootfs) => ManifestAnswer::Rootfs(rootfs.clone()),
            Err(reason) => ManifestAnswer::Bad(reason.clone()),
        }
    }
}

/// What the listing says of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It has been read, and is still the same.
    Cached(ReadManifest),
    /// It has to be read, under this ETag.
    Fetch(Etag),
    /// It is no manifest, and is not read.
    Unusable(Reason),
}

/// Whether a manifest has to be read, given what was `read` under its key before.
pub fn look_up(key: &ObjectKey, index: &ObjectIndex, read: Option<&ReadManifest>) -> Lookup {
    match index.get(key) {
        None => Lookup::Unusable(Reason::ManifestMissing(key.clone())),
        Some(meta) if meta.size > LONGEST_MANIFEST => Lookup::Unusable(Reason::ManifestTooLarge(meta.size)),
        Some(meta) => match read.filter(|read| read.etag == meta.etag) {
            Some(read) => Lookup::Cached(read.clone()),
            None => Lookup::Fetch(meta.etag.clone()),
        },
    }
}

/// The objects that manifests name.
pub fn named_by(manifests: &ManifestAnswers) -> BTreeSet<ObjectKey> {
    let named = manifests.values().filter_map(|answer| match answer {
        ManifestAnswer::Rootfs(rootfs) => Some(rootfs.key.clone()),
        _ => None,
    });
    named.collect()
}

/// What of ours, live and saved, the listing does not have: S3 has to be asked about each (R2).
pub fn missing(index: &ObjectIndex, actual: &Actual, policy: &Policy) -> BTreeSet<ObjectKey> {
    let site = &policy.site;
    let live = site.ours_live(actual).into_iter().map(|(_, ours)| ours);
    let saved = match &actual.saved {
        Saved::Readable(saved) => Some(site.ours_saved(saved).map(|(_, ours)| ours)),
        Saved::Missing | Saved::Unreadable { .. } => None,
    };
    let keys = live.chain(saved.into_iter().flatten()).map(|ours| ours.key);
    keys.filter(|key| !index.contains_key(key)).collect()
}

/// Whether all of these keys are gone: S3 has said so of each. One that is there after all makes the listing a short
/// one, and one that nobody answered for makes it unknown (R2).
pub fn confirmed_gone(
    keys: BTreeSet<ObjectKey>,
    answers: &BTreeMap<ObjectKey, Result<bool, Cause>>,
) -> Result<BTreeSet<ObjectKey>, Cause> {
    for key in &keys {
        match answers.get(key) {
            Some(Ok(false)) => {}
            Some(Ok(true)) => {
                return Err(Cause {
                    source_name: Source::S3,
                    kind: "short_listing",
                    detail: format!("the listing omits {key}, but S3 returns the object"),
                });
            }
            Some(Err(cause)) => return Err(cause.clone()),
            None => return Err(late("whether a key is gone")),
        }
    }
    Ok(keys)
}

/// There was no time left to ask.
pub fn late(what: &str) -> Cause {
    Cause {
        source_name: Source::S3,
        kind: "timeout",
        detail: format!("this pass ran out of time before it could check {what}"),
    }
}

/// The objects that have another ETag than their manifest says, and may be proven by the MD5 that it has (facts 5.1: an
/// undelete copies): those whose MD5 is remembered, and those that have to be read.
pub fn to_prove(
    manifests: &ManifestAnswers,
    index: &ObjectIndex,
    history: &History,
) -> (BTreeMap<ObjectVersion, Md5Sum>, BTreeSet<ObjectVersion>) {
    let (mut proven, mut open) = (BTreeMap::new(), BTreeSet::new());
    for object in manifests.values().filter_map(|answer| differing(answer, index)) {
        match history.proven.get(&object).cloned() {
            Some(sum) => drop(proven.insert(object, sum)),
            None => drop(open.insert(object)),
        }
    }
    (proven, open)
}

/// Marks each of them by what its MD5 says.
pub fn mark_proofs(
    manifests: &mut ManifestAnswers,
    index: &ObjectIndex,
    proven: &BTreeMap<ObjectVersion, Md5Sum>,
) {
    for answer in manifests.values_mut() {
        let Some(object) = differing(answer, index) else { continue };
        if let ManifestAnswer::Rootfs(rootfs) = answer {
            rootfs.proof = match proven.get(&object) {
                None => Proof::Wanted,
                Some(sum) if Some(sum) == rootfs.md5.as_ref() => Proof::Proven,
                Some(_) => Proof::Refuted,
            };
        }
    }
}

fn differing(answer: &ManifestAnswer, index: &ObjectIndex) -> Option<ObjectVersion> {
    let ManifestAnswer::Rootfs(rootfs) = answer else { return None };
    rootfs.md5.as_ref()?;
    let etag: Etag = index.get(&rootfs.key)?.etag.clone();
    (etag != rootfs.etag).then(|| ObjectVersion { key: rootfs.key.clone(), etag })
}
