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
    let mut by_image = BTreeMap::<(Option<&str>, &str), Vec<&str>>::new();
    for (node, map) in maps {
        let one = map.get(&lun);
        let image = one.map_or("not there", |one| one.image_id.as_str());
        by_image.entry((one.and_then(|one| one.wwn.as_deref()), image)).or_default().push(node);
    }
    if by_image.len() < 2 {
        return None;
    }
    let each = by_image
        .iter()
        .map(|((_, image), nodes)| format!("{} on {}", one_line(image, SHOWN), nodes.join(" ")));
    Some(format!("LUN {lun}: {}", each.collect::<Vec<_>>().join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, luns: &[(u16, &str)]) -> Document {
        let one = |(lun, image): &(u16, &str)| Projected {
            lun: Some(*lun),
            image_id: (*image).into(),
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
        assert_eq!(told, [r"LUN 2: b on w1 w3; c on w2", r"LUN 9: not there on w1 w2; PE/x\u{1b} on w3"]);
    }
}
