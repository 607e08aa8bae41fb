//! The first half of a pass: asks every source and puts the answers together. The second half is the plan.

use crate::decide::cadence::Deadlines;
use crate::decide::desired::{self, Candidate, Desired, FileChecks};
use crate::decide::history::History;
use crate::decide::images::ImageList;
use crate::decide::listing::{self, ManifestQuery};
use crate::decide::live::{self, LiveFiles, Mounts, Sorted};
use crate::decide::policy::Policy;
use crate::decide::status::Counts;
use crate::ims::ListImages;
use crate::lio::progress::Progress;
use crate::lio::{Apply, Observe, Prepare, TryDaemon};
use crate::model::{Actual, Cause, Md5Sum, ObjectIndex, ObjectKey, ObjectVersion, Snapshot, Source};
use crate::mount::{CheckFiles, DiscoverPe, ExamineFiles};
use crate::s3::{ComputeMd5, ConfirmGone, FetchManifests, Fetched, ListObjects};
use actix::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// The actors that a pass sends to.
#[derive(Clone)]
pub struct Peers {
    /// The Ims actor.
    pub images: Recipient<ListImages>,
    /// The S3 actor.
    pub list: Recipient<ListObjects>,
    /// The S3 actor.
    pub gone: Recipient<ConfirmGone>,
    /// The S3 actor.
    pub manifests: Recipient<FetchManifests>,
    /// The S3 actor.
    pub md5: Recipient<ComputeMd5>,
    /// The Mount actor.
    pub discover: Recipient<DiscoverPe>,
    /// The Mount actor.
    pub check: Recipient<CheckFiles>,
    /// The Mount actor.
    pub examine: Recipient<ExamineFiles>,
    /// The Lio actor.
    pub observe: Recipient<Observe>,
    /// The Lio actor.
    pub prepare: Recipient<Prepare>,
    /// The Lio actor.
    pub apply: Recipient<Apply>,
    /// The Lio actor.
    pub daemon: Recipient<TryDaemon>,
}

impl Peers {
    /// A question that panics leaves its actor alive; one that has died itself will never answer again.
    fn all_alive(&self) -> Result<(), Cause> {
        let actors = [
            (Source::Ims, self.images.connected()),
            (Source::S3, self.list.connected()),
            (Source::Mount, self.check.connected()),
            (Source::Lio, self.observe.connected()),
        ];
        match actors.into_iter().find(|(_, alive)| !alive) {
            Some((source_name, _)) => Err(actor_gone(source_name)(MailboxError::Closed)),
            None => Ok(()),
        }
    }
}

/// What every pass goes by.
#[derive(Clone)]
pub struct PassContext {
    /// Whom it asks.
    pub peers: Peers,
    /// What it decides by.
    pub policy: Policy,
    /// How long it waits.
    pub deadlines: Deadlines,
    /// Grows whenever something has come about: what the watchdog is fed by.
    pub progress: Progress,
}

impl PassContext {
    /// Something has come about.
    pub fn note_progress(&self) {
        self.progress.note();
    }
}

/// What a pass sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// What IMS listed.
    pub images: Snapshot<ImageList>,
    /// What should be.
    pub desired: Desired,
    /// What is.
    pub actual: Arc<Actual>,
    /// What the mount shows of what is live.
    pub live: LiveFiles,
    /// Of which mount that is.
    pub mounts: Mounts,
    /// What the manifests name.
    pub named: BTreeSet<ObjectKey>,
    /// MD5 of objects that were read to be proven, to be remembered.
    pub proven: BTreeMap<ObjectVersion, Md5Sum>,
    /// How much was asked and found.
    pub counts: Counts,
}

/// What a look is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Its plan is carried out.
    Apply,
    /// It is shown to somebody.
    Preview,
}

/// Asks every source. Only if configfs cannot be read, or an actor has died, there is nothing to be decided.
pub async fn gather(
    context: &PassContext,
    named: BTreeSet<ObjectKey>,
    history: &History,
    purpose: Purpose,
) -> Result<Observation, Cause> {
    let PassContext { peers, policy, deadlines, .. } = context;
    peers.all_alive()?;
    let until = Instant::now() + deadlines.upstream;
    let images = by(until, Source::Ims, peers.images.send(ListImages));
    let (images, actual) = tokio::join!(images, observe(peers, deadlines));
    let actual = Arc::new(actual?);
    context.note_progress();
    let empty = ImageList::default();
    let list = images.known().unwrap_or(&empty);
    let (wanted, unusable) = listing::wanted_manifests(list, policy);

    let mut relevant = listing::relevant(&wanted, named, &actual, policy);
    let mut objects = by(until, Source::S3, peers.list.send(ListObjects(relevant.clone()))).await;
    context.note_progress();
    // Without a list of images nothing is wanted, and nothing of what was read is forgotten.
    let mut manifests = match images.known() {
        Some(_) => fetch_manifests(peers, &objects, wanted, objects_within(deadlines, until)).await,
        None => Fetched::default(),
    };
    context.note_progress();
    let named = listing::named_by(&manifests.answers);
    if objects.known().is_some() && !named.iter().all(|key| relevant.wants(key.as_str())) {
        // A manifest that was just read names an object outside its image's folder: look for that as well.
        relevant.keys.extend(named.iter().cloned());
        objects = by(until, Source::S3, peers.list.send(ListObjects(relevant.clone()))).await;
        context.note_progress();
    }
    let proven = prove(peers, policy, &mut manifests, &objects, history).await;
    manifests.answers.extend(unusable);
    let (missing, live) =
        tokio::join!(confirm_gone(context, &objects, &actual, until), examine(peers, &actual, policy));
    context.note_progress();

    let mut candidates = Vec::new();
    if let Snapshot::Known(index) = &objects {
        candidates = desired::rootfs_candidates(list, &manifests.answers, index, policy);
        let discovered = peers.discover.send(DiscoverPe(index.clone())).await;
        candidates.extend(discovered.map_err(actor_gone(Source::Mount))?);
    }
    let mounts = live::mounts(&policy.site.ours_live(&actual), &live, history);
    let sorted = live::sort_files(candidates, &actual, &live, &mounts.dead);
    if purpose == Purpose::Apply && !sorted.new.is_empty() {
        // targetclid starts, and reads its tree, while the files are looked into.
        peers.prepare.do_send(Prepare { actual: actual.clone() });
    }
    let (candidates, mount_cause) = check_files(peers, sorted).await?;
    context.note_progress();
    let counts = Counts {
        images_listed: list.records.len(),
        candidates: candidates.len(),
        manifests_fetched: manifests.fetched,
    };
    let desired = Desired::new(&images, objects, missing, candidates, mount_cause);
    Ok(Observation { images, desired, actual, live, mounts, named, proven, counts })
}

/// configfs blocks in the kernel while a backstore on a hung mount is being removed: that ends here, not there (R14).
async fn observe(peers: &Peers, deadlines: &Deadlines) -> Result<Actual, Cause> {
    let answer = timeout(deadlines.step, peers.observe.send(Observe)).await;
    let answer = answer.map_err(|_| hung("configfs could not be read", deadlines.step))?;
    match answer.map_err(actor_gone(Source::Lio))? {
        Snapshot::Known(actual) => Ok(actual),
        Snapshot::Unknown(cause) => Err(cause),
    }
}

/// LIO, or the thread that is at it, does not come back.
pub fn hung(what: &str, waited: Duration) -> Cause {
    let detail = format!("{what} within {} s: the kernel or targetclid hangs", waited.as_secs());
    Cause { source_name: Source::Lio, kind: "hung", detail }
}

/// An answer of IMS or S3, if it comes while there is time: their ports have deadlines of their own, and this is that of
/// the pass (R14).
async fn by<T>(
    until: Instant,
    source_name: Source,
    answer: impl Future<Output = Result<Snapshot<T>, MailboxError>>,
) -> Snapshot<T> {
    match timeout_at(until, answer).await {
        Ok(answer) => answer.unwrap_or_else(|error| Snapshot::Unknown(actor_gone(source_name)(error))),
        Err(_) => {
            let detail = "this pass ran out of time before it had an answer".to_owned();
            Snapshot::Unknown(Cause { source_name, kind: "timeout", detail })
        }
    }
}

/// What objects that are asked about one by one have left.
fn objects_within(deadlines: &Deadlines, until: Instant) -> Duration {
    deadlines.objects.min(until.saturating_duration_since(Instant::now()))
}

/// What of ours the listing does not have, confirmed one by one: the index of a bucket may be behind (R2).
async fn confirm_gone(
    context: &PassContext,
    objects: &Snapshot<Arc<ObjectIndex>>,
    actual: &Actual,
    until: Instant,
) -> Snapshot<BTreeSet<ObjectKey>> {
    let PassContext { peers, policy, deadlines, .. } = context;
    let Snapshot::Known(index) = objects else { return Snapshot::Known(BTreeSet::new()) };
    let keys = listing::missing(index, actual, policy);
    if keys.is_empty() {
        return Snapshot::Known(keys);
    }
    let within = objects_within(deadlines, until);
    let answer = peers.gone.send(ConfirmGone { keys, within }).await;
    answer.unwrap_or_else(|error| Snapshot::Unknown(actor_gone(Source::S3)(error)))
}

async fn fetch_manifests(
    peers: &Peers,
    objects: &Snapshot<Arc<ObjectIndex>>,
    wanted: Vec<ManifestQuery>,
    within: Duration,
) -> Fetched {
    let Snapshot::Known(index) = objects else { return Fetched::default() };
    let request = FetchManifests { wanted: wanted.clone(), index: index.clone(), within };
    peers.manifests.send(request).await.unwrap_or_else(|error| {
        let unknown = desired::ManifestAnswer::Unknown(actor_gone(Source::S3)(error));
        Fetched {
            answers: wanted.into_iter().map(|query| (query.image, unknown.clone())).collect(),
            fetched: 0,
        }
    })
}

/// Marks what has another ETag than its manifest says by what its MD5 says. What has not been read yet is being read;
/// each object once. Gives what is to be remembered.
async fn prove(
    peers: &Peers,
    policy: &Policy,
    manifests: &mut Fetched,
    objects: &Snapshot<Arc<ObjectIndex>>,
    history: &History,
) -> BTreeMap<ObjectVersion, Md5Sum> {
    let Some(index) = objects.known().filter(|_| policy.verify_md5) else {
        return history.proven.clone();
    };
    let (mut proven, open) = listing::to_prove(&manifests.answers, index, history);
    if !open.is_empty() {
        let computed = peers.md5.send(ComputeMd5(open)).await.unwrap_or_default();
        proven.extend(computed);
    }
    listing::mark_proofs(&mut manifests.answers, index, &proven);
    proven
}

async fn examine(peers: &Peers, actual: &Actual, policy: &Policy) -> LiveFiles {
    let keys = policy.site.ours_live(actual).into_iter().map(|(_, ours)| ours.key).collect();
    peers.examine.send(ExamineFiles(keys)).await.unwrap_or_default()
}

/// Has the files inspected that have to be; gives every candidate, and why the mount as a whole is not known.
async fn check_files(peers: &Peers, sorted: Sorted) -> Result<(Vec<Candidate>, Option<Cause>), Cause> {
    let answer = peers.check.send(CheckFiles(sorted.to_inspect)).await;
    let mut checks: FileChecks = answer.map_err(actor_gone(Source::Mount))?;
    checks.files.extend(sorted.known);
    let checked = sorted.new.into_iter().map(|candidate| desired::with_file(candidate, &checks));
    Ok((sorted.stay.into_iter().chain(checked).collect(), checks.cause.clone()))
}

/// An actor that does not live any more: its answer is unknown, never empty.
pub fn actor_gone(source_name: Source) -> impl FnOnce(MailboxError) -> Cause {
    move |error| Cause { source_name, kind: ACTOR_GONE, detail: error.to_string() }
}

/// The kind of a cause that no pass will ever cure.
pub const ACTOR_GONE: &str = "actor_gone";
