//! The first half of a pass: asks every source and puts the answers together. The second half is the plan.

use crate::desired::{self, Candidate, Desired, ManifestAnswer, Verdict};
use crate::ims::{ImageList, ListImages};
use crate::lio::{Apply, Observe};
use crate::model::{Actual, Cause, ObjectIndex, ObjectKey, Relevant, Saved, Snapshot, Source};
use crate::pe::{CheckFiles, DiscoverPe};
use crate::plan::Policy;
use crate::s3::{FetchManifests, ListObjects, Manifests};
use actix::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Whom a pass asks.
#[derive(Clone)]
pub struct Sources {
    /// The Ims actor.
    pub ims: Recipient<ListImages>,
    /// The S3 actor.
    pub list: Recipient<ListObjects>,
    /// The S3 actor.
    pub manifests: Recipient<FetchManifests>,
    /// The Pe actor.
    pub discover: Recipient<DiscoverPe>,
    /// The Pe actor.
    pub check: Recipient<CheckFiles>,
    /// The Lio actor.
    pub observe: Recipient<Observe>,
    /// The Lio actor.
    pub apply: Recipient<Apply>,
}

/// What a pass goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether only tagged images are projected.
    pub tagging: bool,
    /// PE images' keys start so.
    pub pe_prefix: String,
    /// The settings that decide.
    pub policy: Policy,
    /// LIO has hung if it takes longer over one step.
    pub patience: Duration,
}

/// How much was asked and found, for the summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that IMS listed.
    pub images_listed: usize,
    /// Root file systems and PE images that should be projected.
    pub candidates: usize,
    /// Manifests that had to be read.
    pub manifests_fetched: usize,
}

/// What a pass sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// What IMS listed.
    pub images: Snapshot<ImageList>,
    /// What should be.
    pub desired: Desired,
    /// What is.
    pub actual: Arc<Actual>,
    /// What the manifests name.
    pub named: BTreeSet<ObjectKey>,
    /// How much was asked and found.
    pub counts: Counts,
}

/// Asks every source. Only if configfs cannot be read there is nothing to be said.
pub async fn look(sources: &Sources, rules: &Rules, named: BTreeSet<ObjectKey>) -> Result<Look, Cause> {
    let (images, actual) = tokio::join!(sources.ims.send(ListImages), sources.observe.send(Observe));
    let images = images.unwrap_or_else(|error| Snapshot::Unknown(gone(Source::Ims)(error)));
    let actual = match actual.map_err(gone(Source::Lio))? {
        Snapshot::Known(actual) => Arc::new(actual),
        Snapshot::Unknown(cause) => return Err(cause),
    };
    let empty = ImageList::default();
    let list = images.known().unwrap_or(&empty);
    let (wanted, unusable) = wanted_manifests(list, rules);

    let mut relevant = relevant(rules, &wanted, &actual, named);
    let mut objects = list_objects(sources, &relevant).await;
    let mut manifests = fetch_manifests(sources, &objects, wanted.clone()).await;
    let named = named_by(&manifests);
    if objects.known().is_some() && !named.iter().all(|key| relevant.wants(key.as_str())) {
        // A manifest that was just read names an object outside its image's folder: look for that as well.
        relevant.keys.extend(named.iter().cloned());
        objects = list_objects(sources, &relevant).await;
    }
    manifests.answers.extend(unusable);

    let mount = &rules.policy.mount;
    let mut candidates = Vec::new();
    if let Snapshot::Known(index) = &objects {
        candidates = desired::rootfs_candidates(list, rules.tagging, &manifests.answers, index, mount);
        candidates
            .extend(sources.discover.send(DiscoverPe(index.clone())).await.map_err(gone(Source::Mount))?);
    }
    let (candidates, mount_cause) = check_files(sources, candidates, &actual).await?;
    let counts = Counts {
        images_listed: list.records.len(),
        candidates: candidates.len(),
        manifests_fetched: manifests.fetched,
    };
    let desired = Desired::new(&images, objects, candidates, mount_cause);
    Ok(Look { images, desired, actual, named, counts })
}

type Wanted = Vec<(String, ObjectKey)>;

/// The manifests of the wanted images, and what is wrong with the links of the others.
fn wanted_manifests(list: &ImageList, rules: &Rules) -> (Wanted, Vec<(String, ManifestAnswer)>) {
    let (mut wanted, mut unusable) = (Vec::new(), Vec::new());
    for record in list.records.iter().filter(|record| record.is_wanted(rules.tagging)) {
        match desired::manifest_key(record, &rules.policy.bucket) {
            Ok(key) => wanted.push((record.id.clone(), key)),
            Err(reason) => unusable.push((record.id.clone(), ManifestAnswer::Bad(reason))),
        }
    }
    (wanted, unusable)
}

fn relevant(
    rules: &Rules,
    wanted: &[(String, ObjectKey)],
    actual: &Actual,
    named: BTreeSet<ObjectKey>,
) -> Relevant {
    // What is saved counts as well: a listing without it would say that it is gone (R11).
    let saved = match &actual.saved {
        Saved::Readable(saved) => Some(saved.backstores.iter().map(|(_, _, file, _)| file)),
        Saved::Missing | Saved::Unreadable { .. } => None,
    };
    let files = actual.backstores.iter().map(|b| &b.file).chain(saved.into_iter().flatten());
    let key_of =
        |file: &String| file.strip_prefix(&rules.policy.mount)?.strip_prefix('/').map(ObjectKey::new);
    Relevant {
        prefix: rules.pe_prefix.clone(),
        folders: wanted.iter().map(|(_, key)| key.folder().to_owned()).collect(),
        keys: files.filter_map(key_of).chain(named).collect(),
    }
}

async fn list_objects(sources: &Sources, relevant: &Relevant) -> Snapshot<Arc<ObjectIndex>> {
    let answer = sources.list.send(ListObjects(relevant.clone())).await;
    answer.unwrap_or_else(|error| Snapshot::Unknown(gone(Source::S3)(error)))
}

async fn fetch_manifests(
    sources: &Sources,
    objects: &Snapshot<Arc<ObjectIndex>>,
    wanted: Wanted,
) -> Manifests {
    let Snapshot::Known(index) = objects else { return Manifests::default() };
    let request = FetchManifests { wanted: wanted.clone(), index: index.clone() };
    sources.manifests.send(request).await.unwrap_or_else(|error| {
        let unknown = ManifestAnswer::Unknown(gone(Source::S3)(error));
        Manifests { answers: wanted.into_iter().map(|(id, _)| (id, unknown.clone())).collect(), fetched: 0 }
    })
}

fn named_by(manifests: &Manifests) -> BTreeSet<ObjectKey> {
    let named = manifests.answers.values().filter_map(|answer| match answer {
        ManifestAnswer::Rootfs(rootfs) => Some(rootfs.key.clone()),
        _ => None,
    });
    named.collect()
}

/// Looks at the files of what is not live yet; what is live is not read again in every pass.
async fn check_files(
    sources: &Sources,
    candidates: Vec<Candidate>,
    actual: &Actual,
) -> Result<(Vec<Candidate>, Option<Cause>), Cause> {
    let is_live = |candidate: &Candidate| match &candidate.verdict {
        Verdict::Project(projection) => actual.is_projected(&projection.identity),
        _ => true,
    };
    let (live, new): (Vec<Candidate>, Vec<Candidate>) = candidates.into_iter().partition(is_live);
    let files = new.iter().filter_map(|candidate| match &candidate.verdict {
        Verdict::Project(projection) => Some((projection.key.clone(), projection.size)),
        _ => None,
    });
    let checks = sources.check.send(CheckFiles(files.collect())).await.map_err(gone(Source::Mount))?;
    let checked = new.into_iter().map(|candidate| desired::with_file(candidate, &checks));
    Ok((live.into_iter().chain(checked).collect(), checks.cause.clone()))
}

/// An actor that does not live any more: its answer is unknown, never empty.
pub fn gone(source_name: Source) -> impl FnOnce(MailboxError) -> Cause {
    move |error| Cause { source_name, kind: "actor_gone", detail: error.to_string() }
}
