//! A superseded projection goes only for another one: its image is never without a LUN for the want of a plan (R2).

use crate::decide::desired::Desired;
use crate::decide::evidence::Claims;
use crate::decide::history::History;
use crate::decide::plan::change::{Action, Change, Seen};
use crate::decide::removals::Removal;
use crate::decide::withdrawal::Withdrawal;
use crate::model::{Identity, Projection};
use std::collections::BTreeSet;

/// Whether nothing is lost by this removal: all that supersedes it is live, or created by these `changes`.
pub(super) fn comes(removal: &Removal, seen: Seen<'_>, changes: &[Change], history: &History) -> bool {
    if removal.why != Withdrawal::Superseded {
        return true;
    }
    let is_live = |successor: &Projection| seen.actual.is_projected(&successor.identity);
    // One that fails in the same pass keeps a file from being swapped: see `Lio::apply`.
    let is_created =
        |successor: &Projection| changes.iter().any(|change| change.identity == successor.identity);
    Claims { desired: seen.desired, history }
        .successors(&removal.ours)
        .all(|successor| is_live(successor) || is_created(successor))
}

/// What has to be live before this removal is done. Nothing, where both are one file: targetcli makes no second
/// backstore on it.
pub(super) fn to_wait_for(removal: &Removal, desired: &Desired, history: &History) -> Vec<Identity> {
    if removal.why != Withdrawal::Superseded {
        return Vec::new();
    }
    let others = Claims { desired, history }
        .successors(&removal.ours)
        .filter(|successor| successor.key != removal.ours.key);
    others.map(|successor| successor.identity.clone()).collect()
}

/// The files whose backstore is removed and made anew with another identity.
pub(super) fn swapped_files(changes: &[Change]) -> BTreeSet<String> {
    let withdrawn = changes.iter().filter(|change| change.action == Action::Withdraw(Withdrawal::Superseded));
    let withdrawn: BTreeSet<&str> = withdrawn.map(|change| change.file.as_str()).collect();
    let created = changes.iter().filter(|change| matches!(change.action, Action::Project(_)));
    created
        .filter(|change| withdrawn.contains(change.file.as_str()))
        .map(|change| change.file.clone())
        .collect()
}
