//! Soft delete and undelete, as IMS does them (v3: `src/server/v3/resources/images.py` and `helper.py` of Cray-HPE/ims):
//! objects move one by one, by copy and delete, while the record is still listed or not yet.

use super::{BUCKET, Node};
use serde_json::{Value, json};

/// The type of the manifest's own entry in the manifest of a deleted image.
const MANIFEST: &str = "application/vnd.cray.image.manifest";

impl Node {
    /// `DELETE /v3/images/<id>`: the artifacts, then the manifest go to `deleted/`, a `deleted_manifest.json` says
    /// where they are, and at last the record is listed no more.
    pub fn delete_image(&self, id: &str) {
        let mut record = self.ims.record(id);
        let mut moved = Vec::new();
        for mut artifact in self.artifacts(&record["link"]) {
            if let Some(link) = self.moved(&artifact["link"], |key| format!("deleted/{key}")) {
                artifact["link"] = link;
                moved.push(artifact);
            }
        }
        if let Some(link) = self.moved(&record["link"], |key| format!("deleted/{key}")) {
            moved.push(json!({"type": MANIFEST, "link": link}));
        }
        let deleted = json!({"version": "1.0", "created": "2026-11-20 20:41:33", "artifacts": moved});
        let key = format!("deleted/{id}/deleted_manifest.json");
        self.bucket.put(&key, deleted.to_string().as_bytes());
        record["link"] = json!({"path": format!("s3://{BUCKET}/{key}"), "etag": "", "type": "s3"});
        record["deleted"] = "2026-11-20T20:41:33.323368".into();
        self.ims.delete(record);
    }

    /// `PATCH /v3/deleted/images/<id>` with `undelete`: everything back under its key, `deleted_manifest.json` gone,
    /// and at last the record is listed again, with the link of the manifest as it is now.
    pub fn undelete_image(&self, id: &str) {
        let mut record = self.ims.take_deleted(id);
        let deleted_manifest = record["link"].take();
        for artifact in self.artifacts(&deleted_manifest) {
            let back = |key: &str| key.strip_prefix("deleted/").expect("a key of a deleted image").to_owned();
            let link = self.moved(&artifact["link"], back);
            if artifact["type"] == MANIFEST {
                record["link"] = link.expect("the manifest");
            }
        }
        self.bucket.delete(key_of(&deleted_manifest));
        record.as_object_mut().expect("a record").remove("deleted");
        self.ims.add_record(record);
    }

    fn artifacts(&self, manifest: &Value) -> Vec<Value> {
        let bytes = self.bucket.get(key_of(manifest)).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
        manifest["artifacts"].as_array().expect("artifacts").clone()
    }

    /// The link to the object under its new key; `None`, as IMS goes on, if there is no such object.
    fn moved(&self, link: &Value, new_key: impl Fn(&str) -> String) -> Option<Value> {
        let to = new_key(key_of(link));
        let etag = self.bucket.rename(key_of(link), &to)?;
        Some(json!({"etag": etag, "path": format!("s3://{BUCKET}/{to}"), "type": "s3"}))
    }
}

fn key_of(link: &Value) -> &str {
    let path = link["path"].as_str().expect("a link has a path");
    path.strip_prefix("s3://").and_then(|path| path.split_once('/')).expect("a path of the bucket").1
}
