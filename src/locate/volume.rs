//! An image as Kubernetes' in-tree iSCSI volume, whose one IQN and one number go for all of its portals: a volume is of one
//! worker.

use super::located::Lun;
use super::refusal::Refusal;
use super::yaml;
use serde_json::{Value, json};

/// The last number that the API server takes (facts C5.1).
pub const LAST_LUN: u16 = 255;
/// Of an object's name.
const LONGEST_NAME: usize = 253;
/// Of the identity in that name: a volume cannot be changed, so another content under the same key is another volume.
const IDENTITY_DIGITS: usize = 8;
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// `[PersistentVolume, PersistentVolumeClaim]`
pub type Volume = [Value; 2];

/// Of this LUN.
pub(super) fn of(lun: &Lun<'_>) -> Result<Volume, Refusal> {
    if lun.number > LAST_LUN {
        return Err(Refusal::LunTooHigh { lun: lun.number });
    }
    let mut portals = lun.addresses()?.iter().map(ToString::to_string);
    let (first, others) = (portals.next(), portals.collect::<Vec<_>>());
    let name = name(lun);
    let size = lun.image.size_bytes.unwrap_or_default().to_string();
    let mut labels = json!({"app.kubernetes.io/managed-by": "sbps-marshal", "image-kind": lun.image.kind});
    if let Some(architecture) = ARCHITECTURES.into_iter().find(|name| lun.key.contains(name)) {
        labels["image-arch"] = architecture.into();
    }
    let mut annotations = json!({"source": lun.image.s3_path, "wwid": lun.wwid});
    if let Some(etag) = &lun.image.etag {
        annotations["etag"] = etag.as_str().into();
    }
    let mut iscsi = json!({
        "targetPortal": first, "iqn": lun.iqn, "lun": lun.number, "fsType": "squashfs", "readOnly": true,
    });
    if !others.is_empty() {
        iscsi["portals"] = others.into();
    }
    let volume = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadOnlyMany"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "mountOptions": ["ro"],
            "iscsi": iscsi,
        },
    });
    let claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "volumeMode": "Filesystem",
            "storageClassName": "",
            "volumeName": name,
            "resources": {"requests": {"storage": size}},
        },
    });
    Ok([volume, claim])
}

/// For `kubectl apply -f -`.
pub(super) fn yaml([volume, claim]: &Volume) -> String {
    // kubelet goes by the pod's word, and not by the volume's: without it, it tries to change owners.
    let note = "# In the pod: persistentVolumeClaim: {claimName: ..., readOnly: true}\n";
    format!("{}---\n{note}{}", yaml::document(volume), yaml::document(claim))
}

/// A DNS-1123 subdomain: `pe-cpe-base.x86-64-24.11-de4cc04e-ncn-w001`.
fn name(lun: &Lun<'_>) -> String {
    let identity = lun.name.get(..IDENTITY_DIGITS).unwrap_or(lun.name);
    let end = subdomain(&format!("{identity}-{}", lun.node));
    let mut stem = subdomain(lun.key.trim_end_matches(".squashfs"));
    stem.truncate(LONGEST_NAME.saturating_sub(end.len() + 1));
    subdomain(&format!("{stem}-{end}"))
}

/// What it allows, a `-` for whatever else; its labels begin and end with a letter or a digit.
fn subdomain(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let text: String = text.chars().map(plain).collect();
    let labels = text.split('.').map(|label| label.trim_matches('-')).filter(|label| !label.is_empty());
    labels.collect::<Vec<_>>().join(".")
}
