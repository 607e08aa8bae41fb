//! The half of a plan that adds: which projections, under which numbers, by which steps. Pure.

use crate::desired::{Desired, Verdict};
use crate::guard;
use crate::identity::{Identity, allocate};
use crate::model::{Actual, Inventory, Projection, Saved, Step};
use crate::plan::{Action, Change, Pending, Plan, Policy};
use crate::reason::Reason;
use std::collections::{BTreeMap, BTreeSet};

/// Plans what is to be added: every wanted projection that is not live, once what stands in its way is gone.
pub fn add_projections<'a>(plan: &mut Plan, desired: &'a Desired, actual: &'a Actual, policy: &Policy) {
    // What this very plan removes first stands in nobody's way.
    let going: BTreeSet<String> =
        plan.changes.iter().map(|change| change.identity.name().to_string()).collect();
    let mut files: BTreeMap<&str, String> = actual
        .backstores
        .iter()
        .filter(|b| !(b.plugin == "fileio" && going.contains(&b.name)))
        .map(|b| (b.file.as_str(), format!("{}/{}", b.plugin, b.name)))
        .collect();
    let mut live: BTreeSet<&Identity> = BTreeSet::new();
    let mut new: BTreeMap<Identity, (&Projection, Vec<Step>)> = BTreeMap::new();
    let mut pending = |kind, label: &str, reason| {
        plan.pending.push(Pending { kind, label: label.to_owned(), reason });
    };
    for candidate in &desired.candidates {
        match &candidate.verdict {
            Verdict::Unknown(_) => {}
            Verdict::Pending { reason, .. } => pending(candidate.kind, &candidate.label, reason.clone()),
            Verdict::Project(projection) => match steps_to(projection, actual, &mut files) {
                Ok(Some(steps)) => {
                    new.insert(projection.identity.clone(), (projection, steps));
                }
                Ok(None) => {
                    live.insert(&projection.identity);
                    plan.odd.extend(oddities(projection, actual));
                }
                Err(reason) => pending(projection.kind, &projection.label, reason),
            },
        }
    }
    plan.live = live.len();
    if let Err(reason) = guard::may_add(actual) {
        new.values().for_each(|(p, _)| pending(p.kind, &p.label, reason.clone()));
        return;
    }
    for (identity, number) in numbers(new.keys(), actual, policy) {
        let Some((projection, mut steps)) = new.remove(&identity) else { continue };
        let Some(lun) = number else {
            pending(projection.kind, &projection.label, Reason::NoFreeNumber);
            continue;
        };
        steps.push(Step::CreateLun { lun, name: identity.name(), map_to_acls: false });
        plan.changes.push(Change {
            action: Action::Project(projection.kind, projection.size),
            label: projection.label.clone(),
            identity,
            lun: Some(lun),
            file: projection.file.to_string(),
            steps,
        });
    }
}

/// R5: the numbers of new LUNs. One that is saved comes back under its saved number: the nodes that run from it know it
/// by that (FACTS 3.6). No other takes a saved number.
fn numbers<'a>(
    new: impl Iterator<Item = &'a Identity>,
    actual: &Actual,
    policy: &Policy,
) -> BTreeMap<Identity, Option<u16>> {
    let mut taken = actual.numbers();
    let mut given: BTreeMap<Identity, Option<u16>> = BTreeMap::new();
    let saved = match &actual.saved {
        Saved::Readable(saved) => saved,
        Saved::Missing | Saved::Unreadable { .. } => &Inventory::default(),
    };
    let mut known: BTreeMap<Identity, u16> = BTreeMap::new();
    for (_, ours) in guard::saved_ours(saved, &policy.mount) {
        for lun in guard::saved_luns(saved, &ours, &actual.tpg_path) {
            known.entry(ours.identity.clone()).or_insert(lun.lun);
        }
    }
    let mut without: Vec<&Identity> = Vec::new();
    for identity in new {
        match known.get(identity).filter(|number| taken.insert(**number)) {
            Some(number) => {
                given.insert(identity.clone(), Some(*number));
            }
            None => without.push(identity),
        }
    }
    taken.extend(saved.luns.iter().filter(|lun| lun.tpg == actual.tpg_path).map(|lun| lun.lun));
    given.extend(allocate(without, &taken, policy.luns.clone()));
    given
}

/// What has to be done before the LUN can be created; `None` if it is there already.
///
/// `files` are those in use, with who uses them; a second backstore on one is refused.
fn steps_to<'a>(
    projection: &'a Projection,
    actual: &Actual,
    files: &mut BTreeMap<&'a str, String>,
) -> Result<Option<Vec<Step>>, Reason> {
    let name = projection.identity.name();
    let file = projection.file.as_str();
    let same_name = actual.backstores.iter().find(|b| b.plugin == "fileio" && b.name == name.as_str());
    match same_name {
        Some(b) if b.file != file || b.serial != projection.identity.wwn().as_str() => {
            return Err(Reason::NameTaken(b.name.clone()));
        }
        Some(b) => {
            if actual.is_projected(&projection.identity) {
                return Ok(None);
            }
            if b.size != projection.size {
                let (backstore, has) = (b.name.clone(), b.size);
                return Err(Reason::BackstoreStale { backstore, has, listed: projection.size });
            }
            // With its LUN gone, the product name can still be put right (FACTS 2.4).
            return Ok(Some(if b.model_alias { vec![] } else { vec![Step::AliasModel { name }] }));
        }
        None => {}
    }
    let user = format!("fileio/{name}");
    // Two images may name the same root file system.
    if let Some(other) = files.get(file).filter(|other| **other != user) {
        return Err(Reason::FileTaken(other.clone()));
    }
    files.insert(file, user);
    Ok(Some(vec![
        Step::CreateBackstore {
            name: name.clone(),
            file: projection.file.clone(),
            wwn: projection.identity.wwn().clone(),
        },
        Step::AliasModel { name },
    ]))
}

/// What is wrong with a live projection that can only be put right by taking it away from its nodes.
fn oddities(projection: &Projection, actual: &Actual) -> Vec<(String, &'static str)> {
    let name = projection.identity.name();
    let Some(live) = actual.backstores.iter().find(|b| b.plugin == "fileio" && b.name == name.as_str())
    else {
        return Vec::new();
    };
    let mut odd = Vec::new();
    if !live.model_alias {
        odd.push((projection.label.clone(), "model_alias_off"));
    }
    if live.size != projection.size {
        odd.push((projection.label.clone(), "content_changed"));
    }
    odd
}
