//! The codes by which an operator confirms removals. Pure.

use crate::model::Identity;
use sha2::{Digest, Sha224};

/// A code that names exactly these projections, and `what` is confirmed of them: the same on every worker.
pub fn code_of<'a>(what: &str, identities: impl IntoIterator<Item = &'a Identity>) -> String {
    let of = |hash: Sha224, identity: &Identity| hash.chain_update(identity.wwn().as_str());
    let digest = identities.into_iter().fold(Sha224::new_with_prefix(what), of);
    digest.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
