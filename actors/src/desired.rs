//! From what the sources said to what should be projected. Pure.
//!
//! Every image gets one verdict: project it, leave it as it is for a reason, or unknown. And every backstore of ours
//! gets a standing: wanted, claimed by an image that is pending, or gone, with the evidence.

use crate::identity::Identity;
use crate::ims::{ImageList, ImageRecord, Tag};
use crate::manifest::Rootfs;
use crate::model::{Cause, Kind, ObjectIndex, ObjectKey, Projection, S3Path, Snapshot, Source};
use crate::reason::Reason;
use crate::word::Word;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
    /// It could not be found out.
    Unknown(Cause),
}

/// An image that someone wants to be projected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its kind.
    pub kind: Kind,
    /// IMS image id, or PE key.
    pub label: String,
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

/// The file of a key, if its path stays in the mount (R8) and can be said to targetclid (R9).
pub fn file_of(mount: &str, key: &ObjectKey) -> Result<Word, Reason> {
    if key.as_str().split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(Reason::KeyEscapes(key.clone()));
    }
    Word::try_from(format!("{mount}/{key}"))
        .map_err(|problem| Reason::KeyRejected { key: key.clone(), problem })
}

/// The root file systems of the wanted images.
pub fn rootfs_candidates(
    images: &ImageList,
    tagging: bool,
    manifests: &BTreeMap<String, ManifestAnswer>,
    objects: &ObjectIndex,
    mount: &str,
) -> Vec<Candidate> {
    let candidate =
        |record: &ImageRecord, verdict| Candidate { kind: Kind::Rootfs, label: record.id.clone(), verdict };
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
                    None => pending(Reason::NoLink),
                    Some(ManifestAnswer::Bad(reason)) => pending(reason.clone()),
                    Some(ManifestAnswer::Unknown(cause)) => Verdict::Unknown(cause.clone()),
                    Some(ManifestAnswer::Rootfs(rootfs)) => rootfs_verdict(record, rootfs, objects, mount),
                },
            )),
        })
        .collect()
}

fn rootfs_verdict(record: &ImageRecord, rootfs: &Rootfs, objects: &ObjectIndex, mount: &str) -> Verdict {
    let pending = |reason| Verdict::Pending { claims: Some(rootfs.identity.clone()), reason };
    let file = match file_of(mount, &rootfs.key) {
        Ok(file) => file,
        Err(reason) => return pending(reason),
    };
    let Some(meta) = objects.get(&rootfs.key) else {
        return pending(Reason::ObjectMissing(rootfs.key.clone()));
    };
    if meta.etag.as_str() != rootfs.etag {
        let listed = meta.etag.as_str().to_owned();
        return pending(Reason::EtagDiffers { listed, manifest: rootfs.etag.clone() });
    }
    Verdict::Project(Projection {
        kind: Kind::Rootfs,
        label: record.id.clone(),
        identity: rootfs.identity.clone(),
        key: rootfs.key.clone(),
        file,
        size: meta.size,
    })
}

/// What the mount said of the files it was asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileChecks {
    /// Per file: complete, or why not.
    pub files: BTreeMap<ObjectKey, Result<(), Reason>>,
    /// Why the others are not known: the mount itself did not answer.
    pub cause: Option<Cause>,
}

/// The verdict on a candidate that is not live yet, now that its file has been looked at (R7).
pub fn with_file(candidate: Candidate, checks: &FileChecks) -> Candidate {
    let Verdict::Project(projection) = candidate.verdict else {
        return candidate;
    };
    let verdict = match (checks.files.get(&projection.key), &checks.cause) {
        (Some(Ok(())), _) => Verdict::Project(projection),
        (Some(Err(reason)), _) => {
            Verdict::Pending { claims: Some(projection.identity), reason: reason.clone() }
        }
        (None, cause) => Verdict::Unknown(cause.clone().unwrap_or(Cause {
            source_name: Source::Mount,
            kind: "not_asked",
            detail: "the mount was not asked about this file".into(),
        })),
    };
    Candidate { verdict, ..candidate }
}

/// Everything that should be, and what is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Every image that someone wants.
    pub candidates: Vec<Candidate>,
    /// What did not answer in this pass: while there is any, nothing is removed (R2).
    pub unknown: Vec<Cause>,
    /// The listing, if there is one.
    pub objects: Snapshot<Arc<ObjectIndex>>,
    /// Ids of all images that IMS lists, wanted or not.
    pub listed: BTreeSet<String>,
}

/// Why an image is gone: the evidence for a withdrawal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// S3 answered, and the object is not in the bucket.
    ObjectGone,
    /// IMS answered, and the image is not tagged.
    Untagged,
    /// IMS answered, and there is no such image.
    ImageGone,
    /// The image is there, and its manifest names another root file system now.
    Superseded,
    /// S3 answered, and the PE rules do not choose this object any more.
    NotSelected,
}

impl fmt::Display for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Withdrawal::ObjectGone => "object_gone",
            Withdrawal::Untagged => "untagged",
            Withdrawal::ImageGone => "image_gone",
            Withdrawal::Superseded => "superseded",
            Withdrawal::NotSelected => "not_selected",
        })
    }
}

/// How a backstore of ours stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It should be there.
    Wanted,
    /// An image that is pending, or unknown, may mean it.
    Claimed(String),
    /// Nothing that answered wants it.
    Gone(Withdrawal),
}

impl Desired {
    /// Puts the answers of the sources together.
    pub fn new(
        images: &Snapshot<ImageList>,
        objects: Snapshot<Arc<ObjectIndex>>,
        candidates: Vec<Candidate>,
        mount: Option<Cause>,
    ) -> Self {
        let nameless = images.known().map_or(0, |list| list.nameless);
        let nameless = (nameless > 0).then(|| Cause {
            source_name: Source::Ims,
            kind: "nameless_record",
            detail: format!("{nameless} IMS records have no id of their own: any image could be behind them"),
        });
        let of_candidates = candidates.iter().filter_map(|candidate| match &candidate.verdict {
            Verdict::Unknown(cause) => Some(cause),
            _ => None,
        });
        let mut unknown: Vec<Cause> = Vec::new();
        let causes = images.cause().into_iter().chain(objects.cause()).chain(of_candidates);
        for cause in causes.chain(&nameless).chain(&mount) {
            if !unknown.contains(cause) {
                unknown.push(cause.clone());
            }
        }
        let listed = images
            .known()
            .map_or_else(BTreeSet::new, |list| list.records.iter().map(|record| record.id.clone()).collect());
        Desired { candidates, unknown, objects, listed }
    }

    /// How the projection of this identity and key stands; `claims` is what each image named when last it could be
    /// read.
    pub fn standing(
        &self,
        identity: &Identity,
        key: &ObjectKey,
        bucket: &str,
        claims: &BTreeMap<String, Identity>,
    ) -> Standing {
        let is_pe = Identity::of_pe(bucket, key.as_str()) == *identity;
        let projects =
            |c: &Candidate| matches!(&c.verdict, Verdict::Project(live) if live.identity == *identity);
        if self.candidates.iter().any(projects) {
            Standing::Wanted
        } else if self.objects.known().is_some_and(|objects| !objects.contains_key(key)) {
            Standing::Gone(Withdrawal::ObjectGone)
        } else if let Some(claimant) =
            self.candidates.iter().find(|c| self.may_mean(c, identity, key, is_pe, claims))
        {
            Standing::Claimed(claimant.label.clone())
        } else {
            Standing::Gone(self.evidence(key, is_pe))
        }
    }

    /// Whether an image that cannot be projected now may mean this projection (R2).
    fn may_mean(
        &self,
        candidate: &Candidate,
        identity: &Identity,
        key: &ObjectKey,
        is_pe: bool,
        claims: &BTreeMap<String, Identity>,
    ) -> bool {
        let reason = match &candidate.verdict {
            Verdict::Project(_) => return false,
            Verdict::Pending { claims: Some(named), .. } => return named == identity,
            Verdict::Pending { claims: None, reason } => Some(reason),
            Verdict::Unknown(_) => None,
        };
        let in_its_folder = candidate.kind == Kind::Rootfs && candidate.label == key.folder();
        in_its_folder
            || match claims.get(&candidate.label) {
                Some(named) => named == identity,
                // Never read, so it may name anything; but not the image of another record, and nothing by no link.
                None => {
                    candidate.kind == Kind::Rootfs
                        && !is_pe
                        && reason != Some(&Reason::NoLink)
                        && !self.listed.contains(key.folder())
                }
            }
    }

    /// Why a projection that is not wanted, not claimed, and still has its object is gone.
    fn evidence(&self, key: &ObjectKey, is_pe: bool) -> Withdrawal {
        let names_another = |c: &Candidate| {
            c.kind == Kind::Rootfs
                && c.label == key.folder()
                && matches!(c.verdict, Verdict::Project(_) | Verdict::Pending { claims: Some(_), .. })
        };
        if is_pe {
            Withdrawal::NotSelected
        } else if self.candidates.iter().any(names_another) {
            Withdrawal::Superseded
        } else if self.listed.contains(key.folder()) {
            Withdrawal::Untagged
        } else {
            Withdrawal::ImageGone
        }
    }
}
