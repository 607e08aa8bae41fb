//! From what the sources said to what should be projected. Pure.
//!
//! Every image gets one verdict: project it, leave it as it is for a reason, or unknown. And every backstore of ours
//! gets a standing: wanted, claimed by an image that is pending, or gone, with the evidence.

use crate::decide::images::{ImageList, ImageRecord, Tag};
use crate::decide::manifest::{Proof, Rootfs};
use crate::decide::policy::Policy;
use crate::decide::reason::{DENIED, Reason};
use crate::decide::squashfs;
use crate::model::{
    Cause, FileFacts, Identity, ImageId, ImageRef, ObjectIndex, ObjectKey, Projection, S3Path, Site,
    Snapshot, Source, Word,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is to be done about one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Project it.
    Project(Projection),
    /// Not now; what is live stays live.
    Pending {
        /// Who it is, if that much is known.
        claims: Option<Identity>,
        /// Why.
        reason: Reason,
    },
    /// It could not be found out; what is live stays live.
    Unknown {
        /// Who it is, if that much is known.
        claims: Option<Identity>,
        /// Who did not answer.
        cause: Cause,
    },
}

/// An image that someone wants to be projected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub image: ImageRef,
    /// What is to be done about it.
    pub verdict: Verdict,
}

/// What the manifest of a wanted image says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestAnswer {
    /// The root file system it names.
    Rootfs(Rootfs),
    /// Nothing usable: read, but wrong.
    Bad(Reason),
    /// It could not be read.
    Unknown(Cause),
}

/// What is wrong with a wanted record's link, or where its manifest lies.
pub fn manifest_key(record: &ImageRecord, bucket: &str) -> Result<ObjectKey, Reason> {
    let link = record.link.as_deref().ok_or(Reason::NoLink)?;
    let path = S3Path::parse(link).ok_or_else(|| Reason::LinkUnusable(link.to_owned()))?;
    if path.bucket != bucket {
        return Err(Reason::LinkElsewhere(link.to_owned()));
    }
    Ok(path.key)
}

/// The file of a key, if its path stays in the mount (R8) and is one targetcli token (R9).
pub fn file_of(site: &Site, key: &ObjectKey) -> Result<Word, Reason> {
    if !key.is_plain() {
        return Err(Reason::KeyEscapes(key.clone()));
    }
    Word::try_from(site.path_of(key)).map_err(|problem| Reason::KeyRejected { key: key.clone(), problem })
}

/// The root file systems of the wanted images.
pub fn rootfs_candidates(
    images: &ImageList,
    manifests: &BTreeMap<ImageId, ManifestAnswer>,
    objects: &ObjectIndex,
    policy: &Policy,
) -> Vec<Candidate> {
    let tagging = policy.tagging;
    let candidate =
        |record: &ImageRecord, verdict| Candidate { image: ImageRef::Rootfs(record.id.clone()), verdict };
    let pending = |reason| Verdict::Pending { claims: None, reason };
    images
        .records
        .iter()
        .filter_map(|record| match &record.tag {
            Tag::Unclear(why) if tagging => Some(candidate(record, pending(Reason::TagUnclear(why.clone())))),
            Tag::Misplaced if tagging => Some(candidate(record, pending(Reason::TagMisplaced))),
            _ if !record.is_wanted(tagging) => None,
            _ => Some(candidate(
                record,
                match manifests.get(&record.id) {
                    // Nobody asked, so nobody answered: "no link" would be a licence to remove (R2).
                    None => Verdict::Unknown { claims: None, cause: not_asked(Source::S3, "its manifest") },
                    Some(ManifestAnswer::Bad(reason)) => pending(reason.clone()),
                    Some(ManifestAnswer::Unknown(cause)) => {
                        Verdict::Unknown { claims: None, cause: cause.clone() }
                    }
                    Some(ManifestAnswer::Rootfs(rootfs)) => {
                        rootfs_verdict(record, rootfs, objects, &policy.site)
                    }
                },
            )),
        })
        .collect()
}

fn rootfs_verdict(record: &ImageRecord, rootfs: &Rootfs, objects: &ObjectIndex, site: &Site) -> Verdict {
    let pending = |reason| Verdict::Pending { claims: Some(rootfs.identity.clone()), reason };
    let file = match file_of(site, &rootfs.key) {
        Ok(file) => file,
        Err(reason) => return pending(reason),
    };
    let Some(meta) = objects.get(&rootfs.key) else {
        return pending(Reason::ObjectMissing(rootfs.key.clone()));
    };
    if meta.etag != rootfs.etag {
        let (listed, manifest) = (meta.etag.clone(), rootfs.etag.clone());
        match &rootfs.proof {
            Proof::Proven => {}
            Proof::None => return pending(Reason::EtagDiffers { listed, manifest }),
            Proof::Wanted => return pending(Reason::Verifying { listed, manifest }),
            Proof::Refuted => return pending(Reason::ContentDiffers { listed, manifest }),
        }
    }
    Verdict::Project(Projection {
        image: ImageRef::Rootfs(record.id.clone()),
        identity: rootfs.identity.clone(),
        key: rootfs.key.clone(),
        file,
        size: meta.size,
        etag: meta.etag.clone(),
        modified: meta.modified,
    })
}

fn not_asked(source_name: Source, what: &str) -> Cause {
    Cause { source_name, kind: "not_asked", detail: format!("{what} was not checked in this pass") }
}

/// What the mount said of the files it was asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileChecks {
    /// Per file: complete, or why not, or that it could not be found out.
    pub files: BTreeMap<ObjectKey, FileVerdict>,
    /// Why the others are not known: the mount itself did not answer.
    pub cause: Option<Cause>,
}

/// What is known of one file (R7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileVerdict {
    /// It is a complete image.
    Complete,
    /// It is not (yet).
    Incomplete(Reason),
    /// The mount refuses this one file, or there was no time for it.
    Unknown(Cause),
}

/// R7: what a file that has been opened is.
pub fn file_verdict(facts: &FileFacts, listed: u64) -> FileVerdict {
    if squashfs::is_denied(facts, listed) {
        let detail =
            "the mount shows it with size 0 and no permissions: s3fs is denied this object".to_owned();
        return FileVerdict::Incomplete(Reason::File { kind: DENIED, detail });
    }
    match squashfs::check(facts, listed) {
        Ok(()) => FileVerdict::Complete,
        Err(why) => FileVerdict::Incomplete(Reason::from(why)),
    }
}

/// The verdict on a candidate that is not live yet, now that its file has been looked at (R7).
pub fn with_file(candidate: Candidate, checks: &FileChecks) -> Candidate {
    let Verdict::Project(projection) = candidate.verdict else {
        return candidate;
    };
    let verdict = match (checks.files.get(&projection.key), &checks.cause) {
        (Some(FileVerdict::Complete), _) => Verdict::Project(projection),
        (Some(FileVerdict::Incomplete(reason)), _) => {
            Verdict::Pending { claims: Some(projection.identity), reason: reason.clone() }
        }
        (Some(FileVerdict::Unknown(cause)), _) => {
            Verdict::Unknown { claims: Some(projection.identity), cause: cause.clone() }
        }
        (None, cause) => Verdict::Unknown {
            claims: Some(projection.identity),
            cause: cause.clone().unwrap_or_else(|| not_asked(Source::Mount, "its file")),
        },
    };
    Candidate { verdict, ..candidate }
}

/// Everything that should be, and what is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Every image that someone wants.
    pub candidates: Vec<Candidate>,
    /// The sources that did not answer in this pass: while there is one, there is no evidence (R2).
    pub unknown: Vec<Cause>,
    /// The listing, if there is one.
    pub objects: Snapshot<Arc<ObjectIndex>>,
    /// Who should be projected now.
    pub projected: BTreeSet<Identity>,
    /// Keys that the listing does not have, and of which S3, asked about each, says the same.
    pub gone: BTreeSet<ObjectKey>,
    /// Ids of all images that IMS lists, wanted or not.
    pub listed: BTreeSet<ImageId>,
    /// IMS answered with no image at all.
    pub nothing_listed: bool,
}

impl Desired {
    /// Puts the answers of the sources together.
    pub fn new(
        images: &Snapshot<ImageList>,
        objects: Snapshot<Arc<ObjectIndex>>,
        gone: Snapshot<BTreeSet<ObjectKey>>,
        candidates: Vec<Candidate>,
        mount: Option<Cause>,
    ) -> Self {
        let without_id = images.known().map_or(0, |list| list.without_id);
        let without_id = (without_id > 0).then(|| Cause {
            source_name: Source::Ims,
            kind: "record_without_id",
            detail: format!(
                "{without_id} IMS records have no id of their own: any image could be behind them"
            ),
        });
        let mut unknown: Vec<Cause> = Vec::new();
        let causes = images.cause().into_iter().chain(objects.cause()).chain(gone.cause());
        for cause in causes.chain(&without_id).chain(&mount) {
            if !unknown.iter().any(|known| (known.source_name, known.kind) == (cause.source_name, cause.kind))
            {
                unknown.push(cause.clone());
            }
        }
        let records = images.known().map(|list| &list.records);
        let listed = records.into_iter().flatten().map(|record| record.id.clone()).collect();
        let nothing_listed = records.is_some_and(Vec::is_empty) && without_id.is_none();
        let gone = gone.known().cloned().unwrap_or_default();
        let projected = candidates.iter().filter_map(|candidate| match &candidate.verdict {
            Verdict::Project(projection) => Some(projection.identity.clone()),
            _ => None,
        });
        let projected = projected.collect();
        Desired { candidates, projected, unknown, objects, gone, listed, nothing_listed }
    }
}
