//! The S3 actor: owns the S3 client and the manifests it has read, each under the ETag it was read with.

use crate::decide::desired::ManifestAnswer;
use crate::decide::listing::{Lookup, ManifestAnswers, ManifestQuery, ReadManifest};
use crate::decide::manifest::LONGEST_MANIFEST;
use crate::decide::reason::Reason;
use crate::decide::{listing, manifest};
use crate::model::{Etag, ImageId, Md5Sum, ObjectIndex, ObjectKey, ObjectVersion, Relevant, Snapshot};
use crate::ports::S3Port;
use actix::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Requests for single objects that are under way at once.
const AT_ONCE: usize = 16;

/// The manifests that have been read, by key. It outlives its actor, so that a reload forgets none.
pub type Manifests = Rc<RefCell<BTreeMap<ObjectKey, ReadManifest>>>;

/// Owns the S3 client and the manifests.
pub struct S3<P> {
    port: Rc<P>,
    bucket: Rc<str>,
    manifests: Manifests,
    md5: Rc<RefCell<Md5>>,
}

/// Objects that are, or have been, read whole: one at a time.
#[derive(Default)]
struct Md5 {
    reading: Option<ObjectVersion>,
    known: BTreeMap<ObjectVersion, Md5Sum>,
}

impl<P: S3Port> S3<P> {
    /// An actor over this port, for this bucket.
    pub fn new(port: P, bucket: &str, manifests: Manifests) -> Self {
        S3 { port: Rc::new(port), bucket: bucket.into(), manifests, md5: Rc::default() }
    }
}

impl<P: S3Port> Actor for S3<P> {
    type Context = Context<Self>;
}

/// Request: the relevant part of the whole bucket.
#[derive(Message)]
#[rtype(result = "Snapshot<Arc<ObjectIndex>>")]
pub struct ListObjects(pub Relevant);

impl<P: S3Port> Handler<ListObjects> for S3<P> {
    type Result = ResponseFuture<Snapshot<Arc<ObjectIndex>>>;

    fn handle(&mut self, msg: ListObjects, _: &mut Self::Context) -> Self::Result {
        let port = self.port.clone();
        Box::pin(async move {
            match port.list(&msg.0).await {
                Ok(index) => Snapshot::Known(Arc::new(index)),
                Err(error) => Snapshot::Unknown((&error).into()),
            }
        })
    }
}

/// Request: which of these keys, that a listing does not have, S3 itself says are gone. One that is there after all
/// makes the listing a short one; one that cannot be asked about makes the answer unknown (R2).
#[derive(Message)]
#[rtype(result = "Snapshot<BTreeSet<ObjectKey>>")]
pub struct ConfirmGone {
    /// What the listing does not have.
    pub keys: BTreeSet<ObjectKey>,
    /// For all of them.
    pub within: Duration,
}

impl<P: S3Port> Handler<ConfirmGone> for S3<P> {
    type Result = ResponseFuture<Snapshot<BTreeSet<ObjectKey>>>;

    fn handle(&mut self, msg: ConfirmGone, _: &mut Self::Context) -> Self::Result {
        let port = self.port.clone();
        Box::pin(async move {
            let asked: Vec<ObjectKey> = msg.keys.iter().cloned().collect();
            let answers = side_by_side(asked, msg.within, move |key| {
                let port = port.clone();
                async move { port.is_there(&key).await.map_err(|error| (&error).into()) }
            });
            match listing::confirmed_gone(msg.keys, &answers.await) {
                Ok(gone) => Snapshot::Known(gone),
                Err(cause) => Snapshot::Unknown(cause),
            }
        })
    }
}

/// Request: what these manifests say, by image id. Only new and changed ones are read.
#[derive(Message)]
#[rtype(result = "Fetched")]
pub struct FetchManifests {
    /// Which.
    pub wanted: Vec<ManifestQuery>,
    /// The listing of this pass.
    pub index: Arc<ObjectIndex>,
    /// For all of them.
    pub within: Duration,
}

/// What the manifests say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fetched {
    /// By image id.
    pub answers: ManifestAnswers,
    /// How many had to be read.
    pub fetched: usize,
}

impl<P: S3Port> Handler<FetchManifests> for S3<P> {
    type Result = ResponseFuture<Fetched>;

    fn handle(&mut self, msg: FetchManifests, _: &mut Self::Context) -> Self::Result {
        let (port, bucket, manifests) = (self.port.clone(), self.bucket.clone(), self.manifests.clone());
        Box::pin(async move { fetch_manifests(port, &bucket, &manifests, msg).await })
    }
}

async fn fetch_manifests<P: S3Port>(
    port: Rc<P>,
    bucket: &str,
    manifests: &Manifests,
    request: FetchManifests,
) -> Fetched {
    let mut answers = BTreeMap::new();
    let mut kept = BTreeMap::new();
    let mut unread: BTreeMap<ObjectKey, (Etag, Vec<ImageId>)> = BTreeMap::new();
    for ManifestQuery { image: id, key } in request.wanted {
        match listing::look_up(&key, &request.index, manifests.borrow().get(&key)) {
            Lookup::Cached(manifest) => {
                answers.insert(id, manifest.answer());
                kept.insert(key, manifest);
            }
            Lookup::Fetch(etag) => unread.entry(key).or_insert((etag, Vec::new())).1.push(id),
            Lookup::Unusable(reason) => drop(answers.insert(id, ManifestAnswer::Bad(reason))),
        }
    }
    let objects: Vec<ObjectVersion> = unread
        .iter()
        .map(|(key, (etag, _))| ObjectVersion { key: key.clone(), etag: etag.clone() })
        .collect();
    let fetched = objects.len();
    let read = side_by_side(objects, request.within, move |object| {
        let port = port.clone();
        async move { port.get(&object.key, &object.etag, LONGEST_MANIFEST).await }
    });
    let mut read = read.await;
    for (key, (etag, ids)) in unread {
        let answer = match read.remove(&ObjectVersion { key: key.clone(), etag: etag.clone() }) {
            Some(Ok(bytes)) => {
                let rootfs = manifest::read(&bytes, bucket).map_err(Reason::from);
                kept.entry(key).insert_entry(ReadManifest { etag, rootfs }).get().answer()
            }
            Some(Err(error)) => ManifestAnswer::Unknown((&error).into()),
            None => ManifestAnswer::Unknown(listing::late("its manifest")),
        };
        answers.extend(ids.into_iter().map(|id| (id, answer.clone())));
    }
    // What is wanted no more is forgotten, so that memory grows with what is relevant.
    *manifests.borrow_mut() = kept;
    Fetched { answers, fetched }
}

/// Request: the MD5 of each of these objects under its ETag, as far as it is known by now. What is not known is read in
/// the background, one object after the other: ask again.
#[derive(Message)]
#[rtype(result = "BTreeMap<ObjectVersion, Md5Sum>")]
pub struct ComputeMd5(pub BTreeSet<ObjectVersion>);

impl<P: S3Port> Handler<ComputeMd5> for S3<P> {
    type Result = MessageResult<ComputeMd5>;

    fn handle(&mut self, msg: ComputeMd5, ctx: &mut Self::Context) -> Self::Result {
        let mut md5 = self.md5.borrow_mut();
        md5.known.retain(|object, _| msg.0.contains(object));
        let next = msg.0.iter().find(|object| !md5.known.contains_key(*object)).cloned();
        if let (None, Some(object)) = (&md5.reading, next) {
            md5.reading = Some(object.clone());
            let (port, md5) = (self.port.clone(), self.md5.clone());
            let read = async move {
                let sum = port.md5(&object.key, &object.etag).await;
                let mut md5 = md5.borrow_mut();
                md5.reading = None;
                match sum {
                    Ok(sum) => drop(md5.known.insert(object, sum)),
                    Err(error) => tracing::debug!(key = %object.key, %error, "its MD5 could not be computed"),
                }
            };
            ctx.spawn(read.into_actor(self));
        }
        MessageResult(md5.known.clone())
    }
}

/// Asks all of these, a few at once; whatever has not been answered in time is missing in the answer.
async fn side_by_side<K, T, F>(asked: Vec<K>, within: Duration, ask: impl Fn(K) -> F) -> BTreeMap<K, T>
where
    K: Ord + Clone + 'static,
    T: 'static,
    F: Future<Output = T> + 'static,
{
    let until = Instant::now() + within;
    let (mut asked, mut under_way, mut answers) = (asked.into_iter(), JoinSet::new(), BTreeMap::new());
    loop {
        // One that waits for its turn is not made yet: a question to the SDK takes 20 KB.
        for key in asked.by_ref().take(AT_ONCE - under_way.len()) {
            let answer = ask(key.clone());
            under_way.spawn_local(async move { (key, answer.await) });
        }
        let Ok(Some(answer)) = timeout_at(until, under_way.join_next()).await else { return answers };
        answers.extend(answer.ok());
    }
}
