//! Reads an IMS image manifest: which root file system does it name? Pure.

use crate::model::{Etag, Identity, Md5Sum, ObjectKey, RootfsLink, S3Path};
use serde::Deserialize;

/// IMS and BOS refuse larger manifests.
pub const LONGEST_MANIFEST: u64 = 1024 * 1024;

const ROOTFS: &str = "application/vnd.cray.image.rootfs.squashfs";

/// The root file system that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rootfs {
    /// Who it is: of `link.path` and `link.etag`, verbatim.
    pub identity: Identity,
    /// Its object in the boot bucket.
    pub key: ObjectKey,
    /// ETag that the object must have.
    pub etag: Etag,
    /// MD5 of the object, where the manifest has a plausible one.
    pub md5: Option<Md5Sum>,
    /// What is known of an object that has another ETag.
    pub proof: Proof,
}

/// Whether an object whose ETag is not the manifest's has been proven by its MD5: IMS moves a deleted image back by
/// copying, which gives an object of several parts another ETag and the same content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// There is none, or the ETag needs none.
    #[default]
    None,
    /// It is being read.
    Wanted,
    /// It has the manifest's MD5.
    Proven,
    /// It has another one.
    Refuted,
}

/// Why a manifest names no root file system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not an object.
    #[error("is not a JSON manifest: {0}")]
    NotJson(String),
    /// A version that nobody has written yet.
    #[error("has version {0:?}, only \"1.0\" is known")]
    Version(String),
    /// `artifacts` is missing.
    #[error("has no artifacts")]
    NoArtifacts,
    /// No artifact is a root file system.
    #[error("names no artifact of type {ROOTFS}")]
    NoRootfs,
    /// BOS cannot boot it either.
    #[error("names {0} root file systems, exactly one is valid")]
    ManyRootfs(usize),
    /// The artifact has no `link.path`.
    #[error("has a root file system without link.path")]
    NoPath,
    /// The artifact has no ETag: its identity cannot be computed.
    #[error("has a root file system without link.etag: import the image again")]
    NoEtag,
    /// Not `s3://bucket/key`.
    #[error("links its root file system to {0:?}, which is not s3://BUCKET/KEY")]
    LinkUnusable(String),
    /// Another bucket than the boot bucket.
    #[error("links its root file system to {0:?}, which is not in the boot bucket")]
    LinkElsewhere(String),
}

impl ManifestError {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            ManifestError::NotJson(_) => "manifest_not_json",
            ManifestError::Version(_) => "manifest_version",
            ManifestError::NoArtifacts => "manifest_no_artifacts",
            ManifestError::NoRootfs => "manifest_no_rootfs",
            ManifestError::ManyRootfs(_) => "manifest_many_rootfs",
            ManifestError::NoPath => "manifest_no_path",
            ManifestError::NoEtag => "manifest_no_etag",
            ManifestError::LinkUnusable(_) => "manifest_link_unusable",
            ManifestError::LinkElsewhere(_) => "manifest_link_elsewhere",
        }
    }
}

#[derive(Deserialize)]
struct Manifest {
    version: Option<String>,
    artifacts: Option<Vec<Artifact>>,
}

#[derive(Deserialize)]
struct Artifact {
    #[serde(rename = "type", default)]
    kind: String,
    md5: Option<serde_json::Value>,
    link: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    path: Option<String>,
    etag: Option<String>,
}

/// The one root file system of a manifest, as long as it lies in `bucket`.
pub fn read(bytes: &[u8], bucket: &str) -> Result<Rootfs, ManifestError> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|error| ManifestError::NotJson(error.to_string()))?;
    if let Some(version) = manifest.version.filter(|version| version != "1.0") {
        return Err(ManifestError::Version(version));
    }
    let artifacts = manifest.artifacts.ok_or(ManifestError::NoArtifacts)?;
    let mut rootfs: Vec<Artifact> = artifacts.into_iter().filter(|a| a.kind.starts_with(ROOTFS)).collect();
    match (rootfs.pop(), rootfs.len()) {
        (None, _) => Err(ManifestError::NoRootfs),
        (Some(only), 0) => of_artifact(only, bucket),
        (Some(_), others) => Err(ManifestError::ManyRootfs(others + 1)),
    }
}

fn of_artifact(artifact: Artifact, bucket: &str) -> Result<Rootfs, ManifestError> {
    let link = artifact.link.ok_or(ManifestError::NoPath)?;
    let path = link.path.filter(|path| !path.is_empty()).ok_or(ManifestError::NoPath)?;
    let etag = link.etag.filter(|etag| !etag.is_empty()).ok_or(ManifestError::NoEtag)?;
    let s3 = S3Path::parse(&path).ok_or_else(|| ManifestError::LinkUnusable(path.clone()))?;
    if s3.bucket != bucket {
        return Err(ManifestError::LinkElsewhere(path));
    }
    let md5 = artifact.md5.as_ref().and_then(serde_json::Value::as_str).and_then(Md5Sum::new);
    let identity = Identity::of_rootfs(RootfsLink { path: &path, etag: &etag });
    Ok(Rootfs { identity, key: s3.key, etag: Etag::verbatim(etag), md5, proof: Proof::None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_json(json: serde_json::Value) -> Result<Rootfs, ManifestError> {
        read(json.to_string().as_bytes(), "boot-images")
    }

    fn rootfs(link: serde_json::Value) -> serde_json::Value {
        serde_json::json!({"type": ROOTFS, "md5": "0", "link": link})
    }

    fn manifest(artifacts: Vec<serde_json::Value>) -> serde_json::Value {
        serde_json::json!({"version": "1.0", "artifacts": artifacts})
    }

    #[test]
    fn the_recorded_manifest_names_its_rootfs() {
        let rootfs = read(include_bytes!("../../../fixtures/manifest-1.0.json"), "boot-images").unwrap();
        assert_eq!(rootfs.key.as_str(), "04fea524-5392-41cf-b915-94f03a372d00/rootfs");
        assert_eq!(rootfs.etag.as_str(), "43510433365909f50e95bb731c7364bd");
    }

    #[test]
    fn two_root_file_systems_are_refused_as_bos_refuses_them() {
        let link = serde_json::json!({"path": "s3://boot-images/a/rootfs", "etag": "1"});
        let two = manifest(vec![rootfs(link.clone()), rootfs(link)]);
        assert_eq!(read_json(two), Err(ManifestError::ManyRootfs(2)));
    }

    #[test]
    fn a_missing_or_empty_etag_is_named() {
        for link in [
            serde_json::json!({"path": "s3://boot-images/a/rootfs"}),
            serde_json::json!({"path": "s3://boot-images/a/rootfs", "etag": ""}),
            serde_json::json!({"path": "s3://boot-images/a/rootfs", "etag": null}),
        ] {
            assert_eq!(read_json(manifest(vec![rootfs(link)])), Err(ManifestError::NoEtag));
        }
    }

    #[test]
    fn a_link_into_another_bucket_is_refused() {
        let link = serde_json::json!({"path": "s3://secrets/a/rootfs", "etag": "1"});
        let refused = ManifestError::LinkElsewhere("s3://secrets/a/rootfs".into());
        assert_eq!(read_json(manifest(vec![rootfs(link)])), Err(refused));
    }

    #[test]
    fn a_null_link_no_artifacts_and_no_rootfs_are_told_apart() {
        assert_eq!(read_json(manifest(vec![rootfs(serde_json::Value::Null)])), Err(ManifestError::NoPath));
        assert_eq!(read_json(serde_json::json!({"version": "1.0"})), Err(ManifestError::NoArtifacts));
        assert_eq!(read_json(manifest(vec![])), Err(ManifestError::NoRootfs));
        assert!(matches!(read(b"<html>", "b"), Err(ManifestError::NotJson(_))));
    }

    #[test]
    fn an_unknown_version_is_refused() {
        let future = serde_json::json!({"version": "2.0", "artifacts": []});
        assert_eq!(read_json(future), Err(ManifestError::Version("2.0".into())));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes, "boot-images");
        }
    }
}
