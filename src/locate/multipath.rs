//! What an initiator's multipath calls an image. SBPS waits for `/dev/mapper/<alias>`, and nothing else on the wire says it.

use super::located::Lun;
use super::refusal::Refusal;
use serde::Serialize;

/// Characters of the longest name that device-mapper takes (`DM_NAME_LEN`, of which one is the end).
const LONGEST: usize = 127;

/// WWID and alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Multipath {
    /// By which multipath knows it.
    pub wwid: String,
    /// The key, with `_` for `/`.
    pub alias: String,
    /// `/dev/mapper/<alias>`
    pub device: String,
}

/// Of this LUN. A name that libdevmapper would write with escapes is refused: nobody waits for that (facts 3.11).
pub(super) fn of(lun: &Lun<'_>) -> Result<Multipath, Refusal> {
    let alias = lun.key.replace('/', "_");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c);
    // These two are folders.
    let is_name = !matches!(alias.as_str(), "" | "." | "..");
    if !is_name || alias.len() > LONGEST || !alias.chars().all(is_plain) {
        return Err(Refusal::Alias { alias });
    }
    let device = format!("/dev/mapper/{alias}");
    Ok(Multipath { wwid: lun.wwid.into(), alias, device })
}

/// A section of multipath.conf, which may have several of them. Quoted, since `#` begins a comment.
pub(super) fn block(Multipath { wwid, alias, .. }: &Multipath) -> String {
    format!(
        "multipaths {{\n    multipath {{\n        wwid \"{wwid}\"\n        alias \"{alias}\"\n    }}\n}}\n"
    )
}
