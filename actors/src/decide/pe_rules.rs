//! Which objects of a listing are PE images.

use crate::decide::desired::{Candidate, Verdict, file_of};
use crate::decide::policy::PeRules;
use crate::model::{Identity, ImageRef, ObjectIndex, ObjectKey, Projection, Site};

/// The PE images of a listing.
pub fn discover(index: &ObjectIndex, site: &Site, rules: &PeRules) -> Vec<Candidate> {
    let is_pe = |key: &ObjectKey| {
        key.as_str().starts_with(&rules.prefix) && key.as_str().ends_with(&rules.suffix)
            // S3 has no folders; what browsers and s3fs leave in their place is no image.
            && !key.as_str().ends_with('/')
    };
    index
        .iter()
        .filter(|(key, _)| is_pe(key))
        .map(|(key, meta)| {
            let identity = Identity::of_pe(&site.bucket, key);
            let verdict = match file_of(site, key) {
                Ok(file) => Verdict::Project(Projection {
                    image: ImageRef::Pe(key.clone()),
                    identity,
                    key: key.clone(),
                    file,
                    size: meta.size,
                    etag: meta.etag.clone(),
                    modified: meta.modified,
                }),
                Err(reason) => Verdict::Pending { claims: Some(identity), reason },
            };
            Candidate { image: ImageRef::Pe(key.clone()), verdict }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Etag, ObjectMeta};

    fn found(keys: &[&str], suffix: &str) -> Vec<Candidate> {
        let site = Site { bucket: "boot-images".into(), mount: "/var/lib/cps-local/boot-images".into() };
        discover(
            &index(keys),
            &site,
            &PeRules {
                prefix: "PE/".into(),
                suffix: suffix.into(),
                on_change: crate::decide::policy::OnChange::Hold,
            },
        )
    }

    fn index(keys: &[&str]) -> ObjectIndex {
        let meta = ObjectMeta { size: 4096, etag: Etag::new("e"), modified: std::time::Duration::ZERO };
        keys.iter().map(|key| (ObjectKey::new(*key), meta.clone())).collect()
    }

    fn kind_of(key: &str) -> &'static str {
        match &found(&[key], "")[0].verdict {
            Verdict::Project(_) => "project",
            Verdict::Pending { reason, .. } => reason.kind(),
            Verdict::Unknown { .. } => "unknown",
        }
    }

    #[test]
    fn every_key_under_the_prefix_is_a_pe_image_and_folder_markers_are_not() {
        let found = found(&["PE/", "PE/a.squashfs", "PE/sub/", "PE/sub/b", "x/rootfs"], "");
        let labels: Vec<&str> = found.iter().map(|c| c.image.as_str()).collect();
        assert_eq!(labels, ["PE/a.squashfs", "PE/sub/b"]);
    }

    #[test]
    fn a_suffix_narrows_the_choice() {
        assert_eq!(found(&["PE/a.squashfs", "PE/README"], ".squashfs").len(), 1);
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
