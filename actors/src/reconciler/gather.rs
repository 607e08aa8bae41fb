//! The first half of a pass: asks every source and puts the answers together. The second half is the plan.

use crate::decide::desired::{Candidate, Desired, ManifestAnswer, Verdict};
use crate::decide::history::History;
use crate::decide::images::ImageList;
use crate::decide::listing::{Wanted, name_of, named_by, relevant, wanted_manifests};
use crate::decide::live::LiveFiles;
use crate::decide::manifest::Proof;
use crate::decide::plan::ours_live;
use crate::decide::policy::Rules;
use crate::decide::status::Counts;
use crate::decide::{desired, live};
use crate::ims::ListImages;
use crate::lio::{Apply, Knock, Observe};
use crate::model::{
    Actual, Cause, Etag, Identity, ObjectIndex, ObjectKey, Ours, Relevant, Saved, Snapshot, Source,
    saved_ours,
};
use crate::mount::{CheckFiles, DiscoverPe, ExamineFiles, FileQuery};
use crate::s3::{ComputeMd5, ConfirmGone, FetchManifests, Fetched, ListObjects};
use actix::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Whom a pass asks.
#[derive(Clone)]
pub struct Sources {
    /// The Ims actor.
    pub ims: Recipient<ListImages>,
    /// The S3 actor.
    pub list: Recipient<ListObjects>,
    /// The S3 actor.
    pub gone: Recipient<ConfirmGone>,
    /// The S3 actor.
    pub manifests: Recipient<FetchManifests>,
    /// The S3 actor.
    pub md5: Recipient<ComputeMd5>,
    /// The Pe actor.
    pub discover: Recipient<DiscoverPe>,
    /// The Pe actor.
    pub check: Recipient<CheckFiles>,
    /// The Pe actor.
    pub examine: Recipient<ExamineFiles>,
    /// The Lio actor.
    pub observe: Recipient<Observe>,
    /// The Lio actor.
    pub apply: Recipient<Apply>,
    /// The Lio actor.
    pub knock: Recipient<Knock>,
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
    /// What the mount shows of what is live.
    pub live: LiveFiles,
    /// What the manifests name.
    pub named: BTreeSet<ObjectKey>,
    /// MD5 of objects that were read to be proven, to be remembered.
    pub proven: BTreeMap<String, String>,
    /// How much was asked and found.
    pub counts: Counts,
}

/// Asks every source. Only if configfs cannot be read there is nothing to be said.
pub async fn look(
    sources: &Sources,
    rules: &Rules,
    named: BTreeSet<ObjectKey>,
    history: &History,
) -> Result<Look, Cause> {
    let (images, actual) = tokio::join!(sources.ims.send(ListImages), observe(sources, rules));
    let images = images.unwrap_or_else(|error| Snapshot::Unknown(gone(Source::Ims)(error)));
    let actual = Arc::new(actual?);
    let ours: Vec<_> = ours_live(&actual, &rules.policy.mount);
    let empty = ImageList::default();
    let list = images.known().unwrap_or(&empty);
    let (wanted, unusable) = wanted_manifests(list, rules);

    let mut relevant = relevant(rules, &wanted, &actual, named);
    let mut objects = list_objects(sources, &relevant).await;
    // Without a list of images nothing is wanted, and nothing of what was read is forgotten.
    let mut manifests = match images.known() {
        Some(_) => fetch_manifests(sources, rules, &objects, wanted).await,
        None => Fetched::default(),
    };
    let named = named_by(&manifests);
    if objects.known().is_some() && !named.iter().all(|key| relevant.wants(key.as_str())) {
        // A manifest that was just read names an object outside its image's folder: look for that as well.
        relevant.keys.extend(named.iter().cloned());
        objects = list_objects(sources, &relevant).await;
    }
    let proven = prove(sources, rules, &mut manifests, &objects, history).await;
    manifests.answers.extend(unusable);
    let (missing, live) = tokio::join!(
        confirm_gone(sources, rules, &objects, &actual),
        examine(sources, ours.iter().map(|(_, ours)| ours.key.clone()).collect())
    );

    let mount = &rules.policy.mount;
    let mut candidates = Vec::new();
    if let Snapshot::Known(index) = &objects {
        candidates = desired::rootfs_candidates(list, rules.tagging, &manifests.answers, index, mount);
        candidates
            .extend(sources.discover.send(DiscoverPe(index.clone())).await.map_err(gone(Source::Mount))?);
    }
    let (_, dead) = live::mounts(&ours, &live, history);
    let (candidates, mount_cause) =
        check_files(sources, candidates, &actual, &live, |identity| dead.contains(identity)).await?;
    let counts = Counts {
        images_listed: list.records.len(),
        candidates: candidates.len(),
        manifests_fetched: manifests.fetched,
    };
    let desired = Desired::new(&images, objects, missing, candidates, mount_cause);
    Ok(Look { images, desired, actual, live, named, proven, counts })
}

/// configfs blocks in the kernel while a backstore on a hung mount is being removed: that ends here, not there (R14).
async fn observe(sources: &Sources, rules: &Rules) -> Result<Actual, Cause> {
    let answer = timeout(rules.patience, sources.observe.send(Observe)).await;
    let answer = answer.map_err(|_| hung("configfs could not be read", rules.patience))?;
    match answer.map_err(gone(Source::Lio))? {
        Snapshot::Known(actual) => Ok(actual),
        Snapshot::Unknown(cause) => Err(cause),
    }
}

/// LIO, or the thread that is at it, does not come back.
pub fn hung(what: &str, patience: Duration) -> Cause {
    let detail = format!("{what} within {} s: the kernel or targetclid hangs", patience.as_secs());
    Cause { source_name: Source::Lio, kind: "hung", detail }
}

async fn list_objects(sources: &Sources, relevant: &Relevant) -> Snapshot<Arc<ObjectIndex>> {
    let answer = sources.list.send(ListObjects(relevant.clone())).await;
    answer.unwrap_or_else(|error| Snapshot::Unknown(gone(Source::S3)(error)))
}

/// What of ours the listing does not have, confirmed one by one: the index of a bucket may be behind (R2).
async fn confirm_gone(
    sources: &Sources,
    rules: &Rules,
    objects: &Snapshot<Arc<ObjectIndex>>,
    actual: &Actual,
) -> Snapshot<BTreeSet<ObjectKey>> {
    let Snapshot::Known(index) = objects else { return Snapshot::Known(BTreeSet::new()) };
    let mount = &rules.policy.mount;
    let live = ours_live(actual, mount).into_iter().map(|(_, ours)| ours);
    let saved: Vec<Ours> = match &actual.saved {
        Saved::Readable(saved) => saved_ours(saved, mount).map(|(_, ours)| ours).collect(),
        _ => Vec::new(),
    };
    let keys: BTreeSet<ObjectKey> =
        live.chain(saved).map(|ours| ours.key).filter(|key| !index.contains_key(key)).collect();
    if keys.is_empty() {
        return Snapshot::Known(keys);
    }
    let answer = sources.gone.send(ConfirmGone { keys, within: rules.objects_within }).await;
    answer.unwrap_or_else(|error| Snapshot::Unknown(gone(Source::S3)(error)))
}

async fn fetch_manifests(
    sources: &Sources,
    rules: &Rules,
    objects: &Snapshot<Arc<ObjectIndex>>,
    wanted: Wanted,
) -> Fetched {
    let Snapshot::Known(index) = objects else { return Fetched::default() };
    let within = rules.objects_within;
    let request = FetchManifests { wanted: wanted.clone(), index: index.clone(), within };
    sources.manifests.send(request).await.unwrap_or_else(|error| {
        let unknown = ManifestAnswer::Unknown(gone(Source::S3)(error));
        Fetched { answers: wanted.into_iter().map(|(id, _)| (id, unknown.clone())).collect(), fetched: 0 }
    })
}

/// Marks what has another ETag than its manifest says by what its MD5 says (FACTS 5.1: an undelete copies). What has
/// not been read yet is being read; each object once.
async fn prove(
    sources: &Sources,
    rules: &Rules,
    manifests: &mut Fetched,
    objects: &Snapshot<Arc<ObjectIndex>>,
    history: &History,
) -> BTreeMap<String, String> {
    let Some(index) = objects.known().filter(|_| rules.policy.verify_md5) else {
        return history.proven.clone();
    };
    let listed = |key: &ObjectKey| index.get(key).map(|meta| meta.etag.clone());
    let mut proven = BTreeMap::new();
    let mut open: BTreeSet<(ObjectKey, Etag)> = BTreeSet::new();
    let differing = |answer: &ManifestAnswer| match answer {
        ManifestAnswer::Rootfs(rootfs) if rootfs.md5.is_some() => listed(&rootfs.key)
            .filter(|etag| etag.as_str() != rootfs.etag)
            .map(|etag| (rootfs.key.clone(), etag)),
        _ => None,
    };
    for object in manifests.answers.values().filter_map(&differing) {
        match history.proven.get(&name_of(&object)) {
            Some(sum) => drop(proven.insert(name_of(&object), sum.clone())),
            None => drop(open.insert(object)),
        }
    }
    if !open.is_empty() {
        let computed = sources.md5.send(ComputeMd5(open)).await.unwrap_or_default();
        proven.extend(computed.iter().map(|(object, sum)| (name_of(object), sum.clone())));
    }
    for answer in manifests.answers.values_mut() {
        let Some(object) = differing(answer) else { continue };
        if let ManifestAnswer::Rootfs(rootfs) = answer {
            rootfs.proof = match proven.get(&name_of(&object)) {
                None => Proof::Wanted,
                Some(sum) if Some(sum) == rootfs.md5.as_ref() => Proof::Proven,
                Some(_) => Proof::Refuted,
            };
        }
    }
    proven
}

async fn examine(sources: &Sources, keys: Vec<ObjectKey>) -> LiveFiles {
    sources.examine.send(ExamineFiles(keys)).await.unwrap_or_default()
}

/// Looks into the files of what is not live yet, and of what has to be made anew; what is live is not read again in
/// every pass. What LIO has open is not opened at all: s3fs would take the new size over into
/// the file that is open, and write old and new bytes back to S3 when LIO closes it (seen with s3fs 1.90).
async fn check_files(
    sources: &Sources,
    candidates: Vec<Candidate>,
    actual: &Actual,
    live_files: &LiveFiles,
    is_dead: impl Fn(&Identity) -> bool,
) -> Result<(Vec<Candidate>, Option<Cause>), Cause> {
    let stays = |candidate: &Candidate| match &candidate.verdict {
        Verdict::Project(projection) => {
            actual.is_projected(&projection.identity) && !is_dead(&projection.identity)
        }
        _ => true,
    };
    let (live, new): (Vec<Candidate>, Vec<Candidate>) = candidates.into_iter().partition(stays);
    let is_open =
        |file: &str| actual.backstores.iter().any(|b| b.plugin == "fileio" && b.enabled && b.file == file);
    let (mut open, mut free) = (Vec::new(), Vec::new());
    for candidate in &new {
        if let Verdict::Project(p) = &candidate.verdict {
            let query = FileQuery { key: p.key.clone(), size: p.size, etag: p.etag.clone() };
            let is_open = is_open(p.file.as_str()) && !is_dead(&p.identity);
            if is_open { open.push(query) } else { free.push(query) }
        }
    }
    let mut checks = sources.check.send(CheckFiles(free)).await.map_err(gone(Source::Mount))?;
    let shown = |query: FileQuery| {
        let verdict = live::while_open(live_files, &query.key, query.size);
        (query.key, verdict)
    };
    checks.files.extend(open.into_iter().map(shown));
    let checked = new.into_iter().map(|candidate| desired::with_file(candidate, &checks));
    Ok((live.into_iter().chain(checked).collect(), checks.cause.clone()))
}

/// An actor that does not live any more: its answer is unknown, never empty.
pub fn gone(source_name: Source) -> impl FnOnce(MailboxError) -> Cause {
    move |error| Cause { source_name, kind: ACTOR_GONE, detail: error.to_string() }
}

/// The kind of a cause that no pass will ever cure.
pub const ACTOR_GONE: &str = "actor_gone";
