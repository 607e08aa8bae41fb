//! What a pass has to ask S3 about.

use crate::decide::desired;
use crate::decide::desired::ManifestAnswer;
use crate::decide::images::ImageList;
use crate::decide::policy::Rules;
use crate::model::{Actual, Etag, ObjectKey, Relevant, Saved};
use crate::s3::Fetched;
use std::collections::BTreeSet;

pub type Wanted = Vec<(String, ObjectKey)>;

/// The manifests of the wanted images, and what is wrong with the links of the others.
pub fn wanted_manifests(list: &ImageList, rules: &Rules) -> (Wanted, Vec<(String, ManifestAnswer)>) {
    let (mut wanted, mut unusable) = (Vec::new(), Vec::new());
    for record in list.records.iter().filter(|record| record.is_wanted(rules.tagging)) {
        match desired::manifest_key(record, &rules.policy.bucket) {
            Ok(key) => wanted.push((record.id.clone(), key)),
            Err(reason) => unusable.push((record.id.clone(), ManifestAnswer::Bad(reason))),
        }
    }
    (wanted, unusable)
}

/// The keys of all files under our mount that are live or saved: whose else they may be does not matter here.
pub fn keys_in_use<'a>(actual: &'a Actual, mount: &'a str) -> impl Iterator<Item = ObjectKey> + 'a {
    // What is saved counts as well: a listing without it would say that it is gone (R11).
    let saved = match &actual.saved {
        Saved::Readable(saved) => Some(saved.backstores.iter().map(|(_, _, file, _)| file)),
        Saved::Missing | Saved::Unreadable { .. } => None,
    };
    let files = actual.backstores.iter().map(|b| &b.file).chain(saved.into_iter().flatten());
    files.filter_map(move |file| file.strip_prefix(mount)?.strip_prefix('/').map(ObjectKey::new))
}

pub fn relevant(
    rules: &Rules,
    wanted: &[(String, ObjectKey)],
    actual: &Actual,
    named: BTreeSet<ObjectKey>,
) -> Relevant {
    Relevant {
        prefix: rules.pe_prefix.clone(),
        folders: wanted.iter().map(|(_, key)| key.folder().to_owned()).collect(),
        keys: keys_in_use(actual, &rules.policy.mount).chain(named).collect(),
    }
}

pub fn named_by(manifests: &Fetched) -> BTreeSet<ObjectKey> {
    let named = manifests.answers.values().filter_map(|answer| match answer {
        ManifestAnswer::Rootfs(rootfs) => Some(rootfs.key.clone()),
        _ => None,
    });
    named.collect()
}

pub fn name_of((key, etag): &(ObjectKey, Etag)) -> String {
    format!("{key} {}", etag.as_str())
}
