//! The Pe actor: owns the PE rules and the mount, and tells which files may be projected.

use crate::desired::{Candidate, FileChecks, Verdict, file_of};
use crate::identity::Identity;
use crate::model::{Cause, Kind, ObjectIndex, ObjectKey, Projection, Source};
use crate::ports::MountPort;
use crate::reason::{Reason, of_mount_error};
use crate::squashfs;
use actix::prelude::*;
use std::rc::Rc;
use std::sync::Arc;

/// Which objects are PE images, and where they and all other images lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeRules {
    /// The boot bucket.
    pub bucket: String,
    /// Its mount point.
    pub mount: String,
    /// PE images' keys start so (`PE/`).
    pub prefix: String,
    /// ... and end so; empty: all.
    pub suffix: String,
}

/// The PE images of a listing. Pure.
pub fn discover(index: &ObjectIndex, rules: &PeRules) -> Vec<Candidate> {
    let is_pe = |key: &ObjectKey| {
        key.as_str().starts_with(&rules.prefix) && key.as_str().ends_with(&rules.suffix)
            // S3 has no folders; what browsers and s3fs leave in their place is no image.
            && !key.as_str().ends_with('/')
    };
    index
        .iter()
        .filter(|(key, _)| is_pe(key))
        .map(|(key, meta)| {
            let identity = Identity::of_pe(&rules.bucket, key.as_str());
            let verdict = match file_of(&rules.mount, key) {
                Ok(file) => Verdict::Project(Projection {
                    kind: Kind::Pe,
                    label: key.to_string(),
                    identity,
                    key: key.clone(),
                    file,
                    size: meta.size,
                }),
                Err(reason) => Verdict::Pending { claims: Some(identity), reason },
            };
            Candidate { kind: Kind::Pe, label: key.to_string(), verdict }
        })
        .collect()
}

/// Owns the PE rules and the mount.
pub struct Pe<P> {
    rules: PeRules,
    mount: Rc<P>,
}

impl<P: MountPort> Pe<P> {
    /// An actor with these rules over this mount.
    pub fn new(rules: PeRules, mount: P) -> Self {
        Pe { rules, mount: Rc::new(mount) }
    }
}

impl<P: MountPort> Actor for Pe<P> {
    type Context = Context<Self>;
}

/// Request: the PE images of this listing.
#[derive(Message)]
#[rtype(result = "Vec<Candidate>")]
pub struct DiscoverPe(pub Arc<ObjectIndex>);

impl<P: MountPort> Handler<DiscoverPe> for Pe<P> {
    type Result = MessageResult<DiscoverPe>;

    fn handle(&mut self, msg: DiscoverPe, _: &mut Self::Context) -> Self::Result {
        MessageResult(discover(&msg.0, &self.rules))
    }
}

/// Request: whether the mount works, and whether these files are complete images of the listed size (bytes).
#[derive(Message)]
#[rtype(result = "FileChecks")]
pub struct CheckFiles(pub Vec<(ObjectKey, u64)>);

impl<P: MountPort> Handler<CheckFiles> for Pe<P> {
    type Result = ResponseFuture<FileChecks>;

    fn handle(&mut self, msg: CheckFiles, _: &mut Self::Context) -> Self::Result {
        let mount = self.mount.clone();
        Box::pin(async move { check_files(&*mount, msg.0).await })
    }
}

/// The first failure of the mount as a whole ends the round: what hangs once is not asked again (R14).
async fn check_files(mount: &impl MountPort, files: Vec<(ObjectKey, u64)>) -> FileChecks {
    let mut checks = FileChecks::default();
    if let Err(error) = mount.check().await {
        checks.cause = Some(Cause::new(Source::Mount, error.kind(), &error));
        return checks;
    }
    for (key, listed) in files {
        let verdict = match mount.inspect(&key).await {
            Ok(facts) => squashfs::check(&facts, listed).map_err(Reason::from),
            Err(error) => match of_mount_error(error) {
                Ok(reason) => Err(reason),
                Err(cause) => {
                    checks.cause = Some(cause);
                    return checks;
                }
            },
        };
        checks.files.insert(key, verdict);
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Etag, ObjectMeta};

    fn rules() -> PeRules {
        PeRules {
            bucket: "boot-images".into(),
            mount: "/var/lib/cps-local/boot-images".into(),
            prefix: "PE/".into(),
            suffix: String::new(),
        }
    }

    fn index(keys: &[&str]) -> ObjectIndex {
        let meta = ObjectMeta { size: 4096, etag: Etag::new("e"), modified: std::time::Duration::ZERO };
        keys.iter().map(|key| (ObjectKey::new(*key), meta.clone())).collect()
    }

    fn kind_of(key: &str) -> &'static str {
        match &discover(&index(&[key]), &rules())[0].verdict {
            Verdict::Project(_) => "project",
            Verdict::Pending { reason, .. } => reason.kind(),
            Verdict::Unknown(_) => "unknown",
        }
    }

    #[test]
    fn every_key_under_the_prefix_is_a_pe_image_and_folder_markers_are_not() {
        let found = discover(&index(&["PE/", "PE/a.squashfs", "PE/sub/", "PE/sub/b", "x/rootfs"]), &rules());
        let labels: Vec<&str> = found.iter().map(|c| c.label.as_str()).collect();
        assert_eq!(labels, ["PE/a.squashfs", "PE/sub/b"]);
    }

    #[test]
    fn a_suffix_narrows_the_choice() {
        let rules = PeRules { suffix: ".squashfs".into(), ..rules() };
        assert_eq!(discover(&index(&["PE/a.squashfs", "PE/README"]), &rules).len(), 1);
    }

    #[test]
    fn r8_keys_that_lead_out_of_the_mount_are_pending() {
        for key in ["PE/../../etc/shadow", "PE/..", "PE/./a", "PE//a", "PE/a/../b"] {
            assert_eq!(kind_of(key), "key_escapes", "{key}");
        }
        assert_eq!(kind_of("PE/a..b"), "project");
    }

    #[test]
    fn r9_keys_that_cannot_be_said_to_targetclid_are_pending() {
        for key in ["PE/a b", "PE/a%b", "PE/a\"b", "PE/é", "PE/a\u{1}b", &format!("PE/{}", "k".repeat(1021))]
        {
            assert_eq!(kind_of(key), "key_rejected", "{key}");
        }
    }
}
