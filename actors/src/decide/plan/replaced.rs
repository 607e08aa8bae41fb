//! R6: what each projection holds, and whether its object is another one by now. Pure.
//!
//! A root file system that is replaced is another projection, for its ETag is part of its identity. A PE image is the same
//! one to initiators whatever it holds: so it must not change under them.

use crate::decide::desired::Desired;
use crate::decide::history::History;
use crate::decide::policy::{OnChange, Policy};
use crate::model::{Backstore, Etag, Identity, Kind, Ours, Projection};
use std::collections::BTreeMap;

/// What each projection, live or saved, held when it was first seen. Its size is that of its backstore.
pub(super) fn contents(
    desired: &Desired,
    live: &[(&Backstore, Ours)],
    saved_only: &[Ours],
    before: &History,
) -> BTreeMap<Identity, Etag> {
    let Some(objects) = desired.objects.known() else { return before.contents.clone() };
    let first_seen = |(backstore, ours): &(&Backstore, Ours)| {
        let same = before.mounts.get(&ours.identity).is_none_or(|known| known.inode == backstore.inode);
        let known = before.contents.get(&ours.identity).filter(|_| same).cloned();
        let now = || objects.get(&ours.key).map(|meta| meta.etag.clone());
        Some((ours.identity.clone(), known.or_else(now)?))
    };
    // Of what is not live any more nodes may still know what it held.
    let remembered =
        |ours: &Ours| Some((ours.identity.clone(), before.contents.get(&ours.identity)?.clone()));
    live.iter().filter_map(first_seen).chain(saved_only.iter().filter_map(remembered)).collect()
}

/// Whether the object of a PE image is not the one any more that was projected: `live`, unless it is only saved.
pub(super) fn is_replaced(
    ours: &Ours,
    live: Option<&Backstore>,
    desired: &Desired,
    history: &History,
) -> bool {
    let Some(now) = desired.objects.known().and_then(|objects| objects.get(&ours.key)) else { return false };
    let other_content = history.contents.get(&ours.identity).is_some_and(|held| *held != now.etag);
    let other_size = live.is_some_and(|backstore| backstore.size != now.size);
    (other_content || other_size) && ours.kind() == Kind::Pe
}

/// Whether a projection that is saved and not live must not come back as another one without an operator.
pub(super) fn is_held(projection: &Projection, history: &History, policy: &Policy) -> bool {
    let held = history.contents.get(&projection.identity);
    let is_other = held.is_some_and(|held| *held != projection.etag);
    is_other && policy.pe.on_change == OnChange::Hold && projection.image.kind() == Kind::Pe
}
