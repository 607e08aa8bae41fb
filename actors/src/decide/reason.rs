//! Everything that can keep an image from being projected. One list, so that operators, logs and tests use the
//! same names.

use crate::decide::manifest::ManifestError;
use crate::decide::squashfs::Incomplete;
use crate::model::{Etag, ObjectKey, TpgPath, WordError};

/// Why an image is pending. What is live stays live.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// `link` is null or absent: IMS is still building it.
    #[error("its IMS record has no link: the image is still being built, or its upload failed")]
    NoLink,
    /// `link.path` is not `s3://bucket/key`.
    #[error("its IMS record links to {0:?}, which is not s3://BUCKET/KEY")]
    LinkUnusable(String),
    /// `link.path` names another bucket.
    #[error("its IMS record links to {0:?}, which is not in the boot bucket")]
    LinkElsewhere(String),
    /// `metadata` has a shape that no IMS writes.
    #[error("its IMS metadata cannot be read: {0}")]
    TagUnclear(String),
    /// IMS bug CASMCMS-9375 wrote the tag as a key/value pair.
    #[error(
        "its tag is stored as {{\"key\":\"sbps-project\",\"value\":...}} (CASMCMS-9375), so it counts as untagged: \
         set it again with PATCH {{\"metadata\":{{\"operation\":\"set\",\"key\":\"sbps-project\",\"value\":\"true\"}}}}"
    )]
    TagMisplaced,
    /// The manifest's object is not in the bucket.
    #[error("its manifest {0} is not in the bucket")]
    ManifestMissing(ObjectKey),
    /// The manifest is larger than IMS would allow.
    #[error("its manifest has {0} bytes, at most 1 MiB is allowed")]
    ManifestTooLarge(u64),
    /// The manifest does not name one root file system.
    #[error("its manifest {0}")]
    Manifest(#[from] ManifestError),
    /// The key leads out of the mount (R8).
    #[error("its key {} leads out of the mount", quoted(.0))]
    KeyEscapes(ObjectKey),
    /// The key is not a valid targetcli token (R9).
    #[error(
        "its key {} cannot be projected: in the path {problem}; upload it under another key",
        quoted(key)
    )]
    KeyRejected {
        /// The key.
        key: ObjectKey,
        /// Which rule it breaks.
        problem: WordError,
    },
    /// The object that the manifest names is not in the bucket.
    #[error("its object {0} is not in the bucket")]
    ObjectMissing(ObjectKey),
    /// The object has been replaced, or re-parted by an undelete.
    #[error("S3 lists ETag {listed}, its manifest says {manifest}: nodes would look for another image")]
    EtagDiffers {
        /// By the listing.
        listed: Etag,
        /// By the manifest.
        manifest: Etag,
    },
    /// ... and its content is being compared with the manifest's MD5.
    #[error(
        "S3 lists ETag {listed}, its manifest says {manifest}: it is being read once, to compare its MD5"
    )]
    Verifying {
        /// By the listing.
        listed: Etag,
        /// By the manifest.
        manifest: Etag,
    },
    /// ... and its content is not the manifest's either.
    #[error(
        "S3 lists ETag {listed}, its manifest says {manifest}, and the MD5 differs: the object was replaced"
    )]
    ContentDiffers {
        /// By the listing.
        listed: Etag,
        /// By the manifest.
        manifest: Etag,
    },
    /// The file is not (yet) a complete image (R7).
    #[error("{0}")]
    Incomplete(#[from] Incomplete),
    /// S3 has another object by now, and s3fs shows the file as LIO has opened it.
    #[error(
        "S3 lists {listed} bytes, and s3fs shows the {shown} with which LIO has the old one open: untag the image until \
         its LUN is gone, then tag it again"
    )]
    HeldOpen {
        /// Bytes, by S3.
        listed: u64,
        /// Bytes, by the mount.
        shown: u64,
    },
    /// The mount does not show the file (yet), or shows something that must not be opened.
    #[error("{detail}")]
    File {
        /// Kind of the mount's error.
        kind: &'static str,
        /// The mount's error.
        detail: String,
    },
    /// It is on its way: its LUN has just been taken away, to be made of what the object is now (R6).
    #[error("its object was replaced: its LUN is made anew in the next pass")]
    Replaced,
    /// It is saved and not live, and nodes may remember what it held (R6).
    #[error(
        "its object was replaced while it was not live: set pe.on_change = \"replace\", or confirm the removal of what is \
         saved (`sbps-marshal plan` shows the code)"
    )]
    ReplacedWhileGone,
    /// Another backstore has its name.
    #[error(
        "a backstore {backstore} that is not ours has its name, on {file:?}: remove that one, or set mount.path back if \
         it was changed"
    )]
    NameTaken {
        /// Which.
        backstore: String,
        /// Its file.
        file: String,
    },
    /// Another backstore has its file; targetcli refuses a second one.
    #[error("backstore {0} already uses its file")]
    FileTaken(String),
    /// Its backstore is there without a LUN, and was made when its file had another size.
    #[error(
        "backstore {backstore} was made with {has} bytes, S3 lists {listed}: delete it, and it is made anew"
    )]
    BackstoreStale {
        /// Which.
        backstore: String,
        /// Bytes, by configfs.
        has: u64,
        /// Bytes, by S3.
        listed: u64,
    },
    /// Its backstore is there without a LUN of ours, was made with another product name, and is in use elsewhere: the
    /// kernel changes that only while no LUN leads to it.
    #[error("backstore {0} has emulate_model_alias=0 and a LUN of another target: delete that LUN first")]
    AliasLocked(String),
    /// Its backstore was opened under a mount that is gone, and cannot be made anew.
    #[error(
        "backstore {0} was opened under a mount that is gone, and a LUN of another target uses it: delete that LUN"
    )]
    DeadInUse(String),
    /// All numbers of the configured range are in use.
    #[error("no LUN number is free between lio.first_lun and lio.last_lun")]
    NoFreeNumber,
    /// Our target or TPG does not exist.
    #[error("the target's {0} does not exist: provision it; the agent never creates targets")]
    TargetMissing(TpgPath),
    /// Our TPG could be written to (R10).
    #[error("demo_mode_write_protect or prod_mode_write_protect of {0} is not 1: initiators could write")]
    NotWriteProtected(TpgPath),
}

impl Reason {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::NoLink => "no_link",
            Reason::LinkUnusable(_) => "link_unusable",
            Reason::LinkElsewhere(_) => "link_elsewhere",
            Reason::TagUnclear(_) => "tag_unclear",
            Reason::TagMisplaced => "tag_misplaced",
            Reason::ManifestMissing(_) => "manifest_missing",
            Reason::ManifestTooLarge(_) => "manifest_too_large",
            Reason::Manifest(error) => error.kind(),
            Reason::KeyEscapes(_) => "key_escapes",
            Reason::KeyRejected { .. } => "key_rejected",
            Reason::ObjectMissing(_) => "object_missing",
            Reason::EtagDiffers { .. } => "etag_differs",
            Reason::Verifying { .. } => "verifying",
            Reason::ContentDiffers { .. } => "content_differs",
            Reason::Incomplete(incomplete) => incomplete.kind(),
            Reason::HeldOpen { .. } => "size_differs",
            Reason::File { kind, .. } => kind,
            Reason::Replaced => "replaced",
            Reason::ReplacedWhileGone => "replaced_while_gone",
            Reason::NameTaken { .. } => "name_taken",
            Reason::FileTaken(_) => "file_taken",
            Reason::BackstoreStale { .. } => "backstore_stale",
            Reason::AliasLocked(_) => "alias_locked",
            Reason::DeadInUse(_) => "dead_in_use",
            Reason::NoFreeNumber => "no_free_number",
            Reason::TargetMissing(_) => "target_missing",
            Reason::NotWriteProtected(_) => "not_write_protected",
        }
    }

    /// Whether it is likely to pass soon by itself: then it is looked at again soon, for nodes wait 300 s (facts 5.3).
    pub fn will_pass(&self) -> bool {
        match self {
            Reason::ManifestMissing(_)
            | Reason::ObjectMissing(_)
            | Reason::EtagDiffers { .. }
            | Reason::Verifying { .. }
            | Reason::FileTaken(_)
            | Reason::Replaced
            | Reason::TargetMissing(_)
            | Reason::NotWriteProtected(_) => true,
            Reason::Incomplete(incomplete) => {
                matches!(
                    incomplete,
                    Incomplete::Empty | Incomplete::SizeDiffers { .. } | Incomplete::Truncated { .. }
                )
            }
            Reason::File { kind, .. } => *kind == "file_absent",
            _ => false,
        }
    }

    /// Whether it is the node that cannot project, and not the image that cannot be projected.
    pub fn is_of_the_node(&self) -> bool {
        match self {
            Reason::TargetMissing(_)
            | Reason::NotWriteProtected(_)
            | Reason::NoFreeNumber
            | Reason::Replaced => true,
            Reason::File { kind, .. } => *kind == DENIED,
            _ => false,
        }
    }
}

/// Kind of a file that s3fs is denied.
pub const DENIED: &str = "file_denied";

/// Kind of a file that the mount does not show.
pub const ABSENT: &str = "file_absent";

/// A key for a person: quoted, with what is no printable character escaped.
fn quoted(key: &ObjectKey) -> String {
    format!("{:?}", key.as_str())
}
