//! Where the LUN maps of several workers differ: a node that loses one path has to find the same image under the same
//! number on the next.

use crate::causes::one_line;
use crate::status::document::{Document, Projected, SCHEMA};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Characters of an image's name that are shown.
const SHOWN: usize = 200;

/// Why a file cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is not what `sbps-marshal status --json` prints", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Its agent has just started.
    #[error("{} is of an agent that had not seen its node yet: take it again", path.display())]
    Early {
        /// Which.
        path: PathBuf,
    },
    /// It is of a version with another meaning.
    #[error("{} has schema {found}, this program knows {SCHEMA}: compare with that version", path.display())]
    Schema {
        /// Which.
        path: PathBuf,
        /// Its own.
        found: u32,
    },
}

/// What a file says.
pub fn read(path: &Path) -> Result<Document, CompareError> {
    let text = fs::read(path).map_err(|source| CompareError::Unreadable { path: path.to_owned(), source })?;
    let document: Document = serde_json::from_slice(&text)
        .map_err(|source| CompareError::Foreign { path: path.to_owned(), source })?;
    match document.schema {
        SCHEMA if document.agent.as_ref().is_some_and(|agent| agent.pass.is_none()) => {
            Err(CompareError::Early { path: path.to_owned() })
        }
        SCHEMA => Ok(document),
        found => Err(CompareError::Schema { path: path.to_owned(), found }),
    }
}

/// One line for each LUN number that means different images, or is not on every node. None: the maps are equal.
pub fn differences(nodes: &[Document]) -> Vec<String> {
    let maps: Vec<(&str, BTreeMap<u16, &Projected>)> =
        nodes.iter().map(|node| (node.node.as_str(), of(node))).collect();
    let numbers: BTreeSet<u16> = maps.iter().flat_map(|(_, map)| map.keys().copied()).collect();
    numbers.into_iter().filter_map(|lun| difference(lun, &maps)).collect()
}

fn of(node: &Document) -> BTreeMap<u16, &Projected> {
    node.projections.iter().filter_map(|one| Some((one.lun?, one))).collect()
}

fn difference(lun: u16, maps: &[(&str, BTreeMap<u16, &Projected>)]) -> Option<String> {
    let mut by_identity = BTreeMap::<Option<&str>, (String, Vec<String>)>::new();
    for (node, map) in maps {
        let one = map.get(&lun);
        let identity = one.and_then(|one| one.wwn.as_deref());
        let (_, nodes) = by_identity.entry(identity).or_insert_with(|| (called(one.copied()), Vec::new()));
        nodes.push(one_line(node, SHOWN));
    }
    if by_identity.len() < 2 {
        return None;
    }
    let each = by_identity.values().map(|(image, nodes)| format!("{image} on {}", nodes.join(" ")));
    Some(format!("LUN {lun}: {}", each.collect::<Vec<_>>().join("; ")))
}

/// Two contents of one image have one id and two backstore names.
fn called(one: Option<&Projected>) -> String {
    let Some(one) = one else { return "not there".to_owned() };
    let name = one.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    one_line(&format!("{}{name}", one.image_id), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, luns: &[(u16, &str)]) -> Document {
        let one = |(lun, image): &(u16, &str)| Projected {
            lun: Some(*lun),
            image_id: (*image).into(),
            name: image.get(..1).map(str::to_owned),
            wwn: Some(format!("wwn of {image}")),
            ..Projected::default()
        };
        Document { node: name.into(), projections: luns.iter().map(one).collect(), ..Document::default() }
    }

    #[test]
    fn equal_maps_have_no_difference_whatever_else_differs() {
        let mut busy = node("w2", &[(1, "a"), (2, "b")]);
        busy.projections[0].read_bytes = Some(7);
        busy.projections.push(Projected { state: "pending".into(), ..Projected::default() });
        assert!(differences(&[node("w1", &[(2, "b"), (1, "a")]), busy]).is_empty());
        assert!(differences(&[]).is_empty());
    }

    #[test]
    fn a_number_that_means_another_image_or_none_on_some_node_is_told_with_the_nodes() {
        let told = differences(&[
            node("w1", &[(1, "a"), (2, "b")]),
            node("w2", &[(1, "a"), (2, "c")]),
            node("w3", &[(1, "a"), (2, "b"), (9, "PE/x\u{1b}")]),
        ]);
        assert_eq!(
            told,
            [r"LUN 2: b (b) on w1 w3; c (c) on w2", r"LUN 9: not there on w1 w2; PE/x\u{1b} (P) on w3"]
        );
    }
}
