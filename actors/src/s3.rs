//! The S3 actor: owns the S3 client and the manifests it has read, each under the ETag it was read with.

use crate::desired::ManifestAnswer;
use crate::manifest::{self, LONGEST_MANIFEST, Rootfs};
use crate::model::{Cause, Etag, ObjectIndex, ObjectKey, Relevant, Snapshot, Source};
use crate::ports::{S3Error, S3Port};
use crate::reason::Reason;
use actix::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// What was read of a manifest, and its ETag then: unchanged ETag, unchanged meaning.
type Read = (Etag, Result<Rootfs, Reason>);
type Cache = BTreeMap<ObjectKey, Read>;

/// Owns the S3 client and the manifests.
pub struct S3<P> {
    port: Rc<P>,
    bucket: Rc<str>,
    cache: Rc<RefCell<Cache>>,
}

impl<P: S3Port> S3<P> {
    /// An actor over this port, for this bucket.
    pub fn new(port: P, bucket: &str) -> Self {
        S3 { port: Rc::new(port), bucket: bucket.into(), cache: Rc::default() }
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
                Err(error) => Snapshot::Unknown(unknown(&error)),
            }
        })
    }
}

/// Request: what these manifests say, by image id. Only new and changed ones are read.
#[derive(Message)]
#[rtype(result = "Manifests")]
pub struct FetchManifests {
    /// Image id and key of its manifest.
    pub wanted: Vec<(String, ObjectKey)>,
    /// The listing of this pass.
    pub index: Arc<ObjectIndex>,
}

/// What the manifests say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifests {
    /// By image id.
    pub answers: BTreeMap<String, ManifestAnswer>,
    /// How many had to be read.
    pub fetched: usize,
}

impl<P: S3Port> Handler<FetchManifests> for S3<P> {
    type Result = ResponseFuture<Manifests>;

    fn handle(&mut self, msg: FetchManifests, _: &mut Self::Context) -> Self::Result {
        let (port, bucket, cache) = (self.port.clone(), self.bucket.clone(), self.cache.clone());
        Box::pin(async move { fetch_manifests(&*port, &bucket, &cache, msg).await })
    }
}

async fn fetch_manifests(
    port: &impl S3Port,
    bucket: &str,
    cache: &RefCell<Cache>,
    request: FetchManifests,
) -> Manifests {
    let mut manifests = Manifests::default();
    let mut kept = Cache::new();
    for (id, key) in request.wanted {
        let before = known(&key, &request.index, &cache.borrow());
        let answer = match before {
            Ok(Some((etag, rootfs))) => {
                kept.insert(key, (etag, rootfs.clone()));
                of_read(rootfs)
            }
            Err(reason) => ManifestAnswer::Bad(reason),
            Ok(None) => {
                manifests.fetched += 1;
                let etag = request.index.get(&key).map(|meta| meta.etag.clone()).unwrap_or(Etag::new(""));
                match port.get(&key, &etag, LONGEST_MANIFEST).await {
                    Ok(bytes) => {
                        let rootfs = manifest::read(&bytes, bucket).map_err(Reason::from);
                        kept.insert(key, (etag, rootfs.clone()));
                        of_read(rootfs)
                    }
                    Err(error) => ManifestAnswer::Unknown(unknown(&error)),
                }
            }
        };
        manifests.answers.insert(id, answer);
    }
    // What is wanted no more is forgotten, so that memory grows with what is relevant.
    *cache.borrow_mut() = kept;
    manifests
}

/// What can be said without reading the manifest.
fn known(key: &ObjectKey, index: &ObjectIndex, cache: &Cache) -> Result<Option<Read>, Reason> {
    let meta = index.get(key).ok_or_else(|| Reason::ManifestMissing(key.clone()))?;
    if meta.size > LONGEST_MANIFEST {
        return Err(Reason::ManifestTooLarge(meta.size));
    }
    Ok(cache.get(key).filter(|(etag, _)| *etag == meta.etag).cloned())
}

fn of_read(rootfs: Result<Rootfs, Reason>) -> ManifestAnswer {
    match rootfs {
        Ok(rootfs) => ManifestAnswer::Rootfs(rootfs),
        Err(reason) => ManifestAnswer::Bad(reason),
    }
}

fn unknown(error: &S3Error) -> Cause {
    Cause::new(Source::S3, error.kind(), error)
}
