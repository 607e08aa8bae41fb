//! The images of a node, as configfs shows them.

use super::document::Projected;
use actors::decide::evidence::image_of;
use actors::decide::history::History;
use actors::model::{Actual, Backstore, ImageId, ImageRef, Ours, Site};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Characters of the digest that are shown.
const DIGEST_DIGITS: usize = 16;

const MIB: u64 = 1 << 20;

/// What names and ETags are known by, beside configfs.
#[derive(Clone, Copy)]
pub(super) struct Remembered<'a> {
    pub history: &'a History,
    pub names: &'a BTreeMap<ImageId, String>,
}

/// Those that are LUNs of our TPG, by their numbers.
pub(super) fn live(actual: &Actual, site: &Site, known: Remembered<'_>) -> Vec<Projected> {
    let of_lun = |ours: &Ours| {
        let mut luns = actual.luns_of_fileio(ours.identity.name_str());
        luns.find(|lun| lun.tpg == actual.tpg_path).map(|lun| lun.lun)
    };
    let ours = site.ours_live(actual);
    let on_lun = ours.iter().filter_map(|(backstore, ours)| Some((of_lun(ours)?, *backstore, ours)));
    let mut all: Vec<Projected> =
        on_lun.map(|(lun, backstore, ours)| one(lun, backstore, ours, actual, site, known)).collect();
    all.sort_by_key(|projected| projected.lun);
    all
}

fn one(
    lun: u16,
    backstore: &Backstore,
    ours: &Ours,
    actual: &Actual,
    site: &Site,
    known: Remembered<'_>,
) -> Projected {
    let traffic = actual.tpg.as_ref().and_then(|tpg| tpg.traffic.get(&lun));
    Projected {
        state: "live".into(),
        key: Some(ours.key.to_string()),
        s3_path: Some(format!("s3://{}/{}", site.bucket, ours.key)),
        etag: known.history.contents.get(&ours.identity).map(ToString::to_string),
        file: Some(backstore.file.clone()),
        size_bytes: Some(backstore.size),
        lun: Some(lun),
        name: Some(ours.identity.name().to_string()),
        wwn: Some(ours.identity.wwn().to_string()),
        wwid: Some(ours.identity.initiator_wwid()),
        commands: traffic.map(|traffic| traffic.commands),
        read_bytes: traffic.map(|traffic| traffic.read_mib * MIB),
        ..image(&image_of(ours, known.history), known.names)
    }
}

/// What is known of an image that need not be a LUN.
pub(super) fn image(image: &ImageRef, names: &BTreeMap<ImageId, String>) -> Projected {
    Projected {
        kind: image.kind().to_string(),
        image_id: image.to_string(),
        image_name: image.id().and_then(|id| names.get(id)).cloned(),
        ..Projected::default()
    }
}

/// The same for the same images under the same numbers, on whichever worker.
pub fn map_digest(projections: &[Projected]) -> String {
    let mut lines: Vec<(u16, &str)> =
        projections.iter().filter_map(|one| Some((one.lun?, one.wwn.as_deref()?))).collect();
    lines.sort_unstable();
    let digest =
        lines.iter().fold(Sha256::new(), |digest, (lun, wwn)| digest.chain_update(format!("{lun} {wwn}\n")));
    let hex = digest.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    hex[..DIGEST_DIGITS].to_owned()
}

/// Where initiators log in to our TPG: `10.0.0.1:3260`.
pub(super) fn portals(actual: &Actual) -> Vec<String> {
    let folder = format!("{}/np/", actual.tpg_path);
    actual.others.iter().filter_map(|other| other.strip_prefix(&folder)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lun(lun: u16, wwn: &str) -> Projected {
        Projected { lun: Some(lun), wwn: Some(wwn.into()), ..Projected::default() }
    }

    #[test]
    fn the_digest_is_that_of_numbers_and_identities_in_any_order_and_of_nothing_else() {
        let (a, b) = (lun(1, "a"), lun(2, "b"));
        let digest = map_digest(&[a.clone(), b.clone()]);
        assert_eq!(digest.len(), DIGEST_DIGITS);
        let read = Projected { read_bytes: Some(7), ..a.clone() };
        assert_eq!(map_digest(&[b.clone(), read, Projected::default()]), digest);
        for other in [vec![], vec![a.clone()], vec![lun(2, "a"), lun(1, "b")], vec![a, b, lun(3, "c")]] {
            assert_ne!(map_digest(&other), digest);
        }
    }
}
