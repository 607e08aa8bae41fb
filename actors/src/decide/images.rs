//! Reads the records of IMS: how it says "project this image".

use crate::model::ImageId;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a record says about projection (facts C2.1: every shape that has been seen).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `"sbps-project": "true"`.
    Tagged,
    /// Any other value, or none.
    Untagged,
    /// No `metadata` at all: an IMS before 3.16, which knows no tags; everything is projected.
    Unsupported,
    /// Stored as a key/value pair by CASMCMS-9375: counts as untagged.
    Misplaced,
    /// A shape that no IMS writes: neither tagged nor untagged.
    Unclear(String),
}

/// One image of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRecord {
    /// Its id.
    pub id: ImageId,
    /// What people call it. Not unique, and nothing is decided by it.
    pub name: Option<String>,
    /// `link.path`, where the record has one.
    pub link: Option<String>,
    /// `link.etag`: that of its manifest, where IMS knows it.
    pub link_etag: Option<String>,
    /// Whether it should be projected.
    pub tag: Tag,
}

impl ImageRecord {
    /// Whether this image should be projected. Without tagging, all should.
    pub fn is_wanted(&self, tagging: bool) -> bool {
        !tagging || matches!(self.tag, Tag::Tagged | Tag::Unsupported)
    }
}

/// An image that IMS wants to be projected, and as which it does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedImage {
    /// Its id.
    pub id: ImageId,
    /// See [`ImageRecord::link`].
    pub link: Option<String>,
    /// See [`ImageRecord::link_etag`].
    pub link_etag: Option<String>,
}

/// A complete list of images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageList {
    /// All records that have an id.
    pub records: Vec<ImageRecord>,
    /// How many have none, or one that an earlier record has: any image could be behind one of these.
    pub without_id: usize,
}

impl ImageList {
    /// What IMS wants to be projected: a change of this calls for a pass.
    pub fn wanted(&self, tagging: bool) -> BTreeSet<WantedImage> {
        let chosen = self.records.iter().filter(|record| record.is_wanted(tagging));
        let wanted = chosen.map(|record| WantedImage {
            id: record.id.clone(),
            link: record.link.clone(),
            link_etag: record.link_etag.clone(),
        });
        wanted.collect()
    }

    /// What people call them.
    pub fn names(&self) -> BTreeMap<ImageId, String> {
        let named = self.records.iter().filter_map(|record| Some((record.id.clone(), record.name.clone()?)));
        named.collect()
    }

    /// The record of an image.
    pub fn get(&self, id: &ImageId) -> Option<&ImageRecord> {
        self.records.iter().find(|record| record.id == *id)
    }
}

/// Reads the records. One bad record spoils no other.
pub fn read_records(values: &[Value]) -> ImageList {
    let mut ids = BTreeSet::new();
    let records = values.iter().filter_map(read_record).filter(|record| ids.insert(record.id.clone()));
    let records: Vec<ImageRecord> = records.collect();
    ImageList { without_id: values.len() - records.len(), records }
}

fn read_record(value: &Value) -> Option<ImageRecord> {
    let id = value.get("id")?.as_str().filter(|id| !id.is_empty())?;
    let link = value.pointer("/link/path").and_then(Value::as_str).map(str::to_owned);
    let link_etag = value.pointer("/link/etag").and_then(Value::as_str).map(str::to_owned);
    let name = value.get("name").and_then(Value::as_str).map(str::to_owned);
    Some(ImageRecord { id: ImageId::new(id), name, link, link_etag, tag: read_tag(value.get("metadata")) })
}

const TAG: &str = "sbps-project";

fn read_tag(metadata: Option<&Value>) -> Tag {
    let map = match metadata {
        None => return Tag::Unsupported,
        Some(Value::Object(map)) => map,
        Some(other) => return Tag::Unclear(format!("{other} is not an object")),
    };
    if let Some(value) = map.get(TAG) {
        return match value {
            Value::String(text) if text == "true" => Tag::Tagged,
            Value::String(_) => Tag::Untagged,
            other => Tag::Unclear(format!("{TAG} is {other}, not a string")),
        };
    }
    if let Some(Value::Array(annotations)) = map.get("annotations") {
        let ours = |a: &&Value| a.get("key").and_then(Value::as_str) == Some(TAG);
        let value = annotations.iter().find(ours).and_then(|a| a.get("value")).and_then(Value::as_str);
        return if value == Some("true") { Tag::Tagged } else { Tag::Untagged };
    }
    if map.get("key").and_then(Value::as_str) == Some(TAG) {
        return Tag::Misplaced;
    }
    Tag::Untagged
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn recorded(file: &str) -> ImageList {
        let values: Vec<Value> = serde_json::from_str(file).unwrap();
        read_records(&values)
    }

    #[test]
    fn the_recorded_lists_of_v3_and_v2_are_understood() {
        for file in [
            include_str!("../../../fixtures/ims-v3-images.json"),
            include_str!("../../../fixtures/ims-v2-images.json"),
        ] {
            let list = recorded(file);
            let wanted = list.records.iter().filter(|record| record.is_wanted(true)).count();
            assert_eq!((list.records.len(), list.without_id, wanted), (7, 0, 5));
            assert_eq!(list.records[6].link, None);
        }
    }

    #[test]
    fn every_metadata_shape_that_was_ever_seen_has_its_meaning() {
        for (metadata, tag) in [
            (json!({"sbps-project": "true"}), Tag::Tagged),
            (json!({"sbps-project": "false"}), Tag::Untagged),
            (json!({"sbps-project": "True"}), Tag::Untagged),
            (json!({}), Tag::Untagged),
            (json!({"other": "true"}), Tag::Untagged),
            (json!({"key": "sbps-project", "value": "true"}), Tag::Misplaced),
            (json!({"annotations": [{"key": "sbps-project", "value": "true"}]}), Tag::Tagged),
            (json!({"annotations": [{"key": "else", "value": "true"}]}), Tag::Untagged),
        ] {
            assert_eq!(read_tag(Some(&metadata)), tag, "{metadata}");
        }
        assert_eq!(read_tag(None), Tag::Unsupported);
    }

    #[test]
    fn r2_metadata_that_nobody_writes_is_unclear_and_not_untagged() {
        for metadata in [json!(null), json!([]), json!("true"), json!({"sbps-project": true})] {
            assert!(matches!(read_tag(Some(&metadata)), Tag::Unclear(_)), "{metadata}");
        }
    }

    #[test]
    fn r2_a_record_without_an_id_is_counted_and_spoils_no_other() {
        let list = read_records(&[json!({"id": "a", "metadata": {}}), json!({"name": "b"}), json!(7)]);
        assert_eq!((list.records.len(), list.without_id), (1, 2));
    }

    #[test]
    fn r2_an_id_that_comes_twice_makes_the_list_one_that_removes_nothing() {
        let tagged = json!({"sbps-project": "true"});
        let list =
            read_records(&[json!({"id": "a", "metadata": tagged}), json!({"id": "a", "metadata": {}})]);
        assert_eq!((list.records.len(), list.without_id), (1, 1));
    }

    #[test]
    fn without_tagging_every_image_is_wanted() {
        let record = ImageRecord {
            id: ImageId::new("a"),
            name: None,
            link: None,
            link_etag: None,
            tag: Tag::Untagged,
        };
        assert!(record.is_wanted(false) && !record.is_wanted(true));
    }
}
