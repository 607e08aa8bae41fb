//! The half of a plan that adds: which projections, under which numbers, by which steps. Pure.

use crate::decide::desired::Verdict;
use crate::decide::history::History;
use crate::decide::plan::change::{
    Action, CONTENT_CHANGED, Change, Drifted, MODEL_ALIAS_OFF, NOT_MAPPED_TO_ACL, Pending, Seen,
};
use crate::decide::plan::numbers::{Number, numbers, own_lun};
use crate::decide::plan::replaced;
use crate::decide::policy::Policy;
use crate::decide::reason::Reason;
use crate::model::{Actual, Backstore, FILEIO, Identity, ImageRef, Kind, Projection, Step};
use std::collections::{BTreeMap, BTreeSet};

/// What is to be added, and what cannot be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Additions {
    /// New projections, and dead ones made anew.
    pub changes: Vec<Change>,
    /// Images that wait.
    pub pending: Vec<Pending>,
    /// Live projections that look wrong but must not be touched.
    pub drifted: Vec<Drifted>,
}

/// What is live, to be looked up for each image.
struct Live<'a> {
    /// The fileio backstores by name.
    fileio: BTreeMap<&'a str, &'a Backstore>,
    /// Those that have a LUN in our TPG.
    projected: BTreeSet<&'a str>,
}

impl<'a> Live<'a> {
    fn of(actual: &'a Actual) -> Self {
        let fileio = actual.backstores.iter().filter(|b| b.plugin == FILEIO);
        Live { fileio: fileio.map(|b| (b.name.as_str(), b)).collect(), projected: actual.projected_names() }
    }
}

/// How a wanted projection stands in configfs.
enum Presence {
    /// It is live.
    Live,
    /// These steps bring it to where its LUN can be created.
    Missing(Vec<Step>),
}

/// Every wanted projection that is not live, once what stands in its way is gone; and what is live and `dead` made anew.
/// What this very plan removes (`gone`) stands in nobody's way.
pub fn additions(
    seen: Seen<'_>,
    gone: &BTreeSet<Identity>,
    dead: &BTreeSet<Identity>,
    history: &History,
    policy: &Policy,
) -> Additions {
    let actual = seen.actual;
    let going: BTreeSet<String> = gone.iter().map(|identity| identity.name().to_string()).collect();
    let mut files: BTreeMap<&str, String> = actual
        .backstores
        .iter()
        .filter(|b| !(b.plugin == FILEIO && going.contains(&b.name)))
        .map(|b| (b.file.as_str(), format!("{}/{}", b.plugin, b.name)))
        .collect();
    let live = Live::of(actual);
    let mut additions = Additions::default();
    let mut pending = Vec::new();
    let mut new: BTreeMap<Identity, (&Projection, Vec<Step>)> = BTreeMap::new();
    let wait = |image: &ImageRef, reason| Pending { image: image.clone(), reason };
    for candidate in &seen.desired.candidates {
        match &candidate.verdict {
            Verdict::Unknown { .. } => {}
            Verdict::Pending { reason, .. } => {
                pending.push(wait(&candidate.image, reason.clone()));
            }
            // It is taken away first, and comes back in the next pass (R6).
            Verdict::Project(projection) if gone.contains(&projection.identity) => {}
            Verdict::Project(projection) => match presence(projection, actual, &live, dead, &mut files) {
                Ok(Presence::Missing(_)) if replaced::is_held(projection, history, policy) => {
                    pending.push(wait(&projection.image, Reason::ReplacedWhileGone));
                }
                Ok(Presence::Missing(steps)) => {
                    let of_another = new.get(&projection.identity);
                    // Of several images with this very file one gives its name, the same one when it is removed.
                    if of_another.is_none_or(|(other, _)| names_it_before(projection, other)) {
                        new.insert(projection.identity.clone(), (projection, steps));
                    }
                }
                Ok(Presence::Live) => {
                    additions.drifted.extend(drift(projection, actual, &live, history));
                    if dead.contains(&projection.identity) {
                        additions.changes.extend(remake(projection, actual, history, policy));
                    }
                }
                Err(reason) => pending.push(wait(&projection.image, reason)),
            },
        }
    }
    if let Err(reason) = may_add(actual) {
        pending.extend(new.values().map(|(p, _)| wait(&p.image, reason.clone())));
        return Additions { changes: Vec::new(), pending, ..additions };
    }
    for (identity, number) in
        numbers(new.values().map(|(projection, _)| *projection), actual, history, policy)
    {
        let Some((projection, mut steps)) = new.remove(&identity) else { continue };
        let Some(Number { lun, reused }) = number else {
            pending.push(wait(&projection.image, Reason::NoFreeNumber));
            continue;
        };
        if actual.is_bare(lun) {
            // Its creation was cut short. While it is there, nothing at all can be created.
            steps.insert(0, Step::DiscardLun { lun });
        }
        steps.push(create_lun(lun, &identity, actual));
        additions.changes.push(Change {
            action: Action::Project(projection.size),
            image: projection.image.clone(),
            own_lun: Some(own_lun(&identity, &policy.luns)),
            identity,
            lun: Some(lun),
            file: projection.file.to_string(),
            after: Vec::new(),
            unused: None,
            reused,
            steps,
        });
    }
    Additions { pending, ..additions }
}

fn create_lun(lun: u16, identity: &Identity, actual: &Actual) -> Step {
    let map_to_acls = actual.tpg.as_ref().is_some_and(|tpg| !tpg.acls.is_empty());
    Step::CreateLun { lun, name: identity.name(), map_to_acls }
}

/// As [`image_of`](crate::decide::evidence::image_of) has it: the image whose folder holds the file, or the first.
fn names_it_before(one: &Projection, other: &Projection) -> bool {
    let is_of_the_folder = |p: &Projection| p.image.id().is_some_and(|id| id.as_str() == p.key.folder());
    match (is_of_the_folder(one), is_of_the_folder(other)) {
        (true, false) => true,
        (false, true) => false,
        _ => one.image < other.image,
    }
}

/// What has to be done before the LUN can be created.
///
/// `files` are those in use, with who uses them; a second backstore on one is refused. The file of a `dead` one belongs
/// to a mount that is gone.
fn presence<'a>(
    projection: &'a Projection,
    actual: &Actual,
    live: &Live<'_>,
    dead: &BTreeSet<Identity>,
    files: &mut BTreeMap<&'a str, String>,
) -> Result<Presence, Reason> {
    let name = projection.identity.name();
    let file = projection.file.as_str();
    let mut steps = Vec::new();
    if let Some(b) = live.fileio.get(projection.identity.name_str()) {
        let unused = || actual.luns_of(b).next().is_none();
        if b.file == file && b.serial == projection.identity.wwn().as_str() {
            if live.projected.contains(projection.identity.name_str()) {
                return Ok(Presence::Live);
            }
            if dead.contains(&projection.identity) {
                if !unused() {
                    return Err(Reason::DeadInUse(b.name.clone()));
                }
                return Ok(Presence::Missing(create_anew(projection)));
            }
            if b.size != projection.size {
                if !unused() {
                    let (backstore, has) = (b.name.clone(), b.size);
                    return Err(Reason::BackstoreStale { backstore, has, listed: projection.size });
                }
                return Ok(Presence::Missing(create_anew(projection)));
            }
            // With its LUN gone, the product name can still be put right (facts 2.4).
            return match (b.model_alias, unused()) {
                (true, _) => Ok(Presence::Missing(vec![])),
                (false, true) => Ok(Presence::Missing(vec![Step::EnableModelAlias { name }])),
                (false, false) => Err(Reason::AliasLocked(b.name.clone())),
            };
        }
        if !(b.is_cut_short(file, projection.identity.wwn().as_str()) && unused()) {
            return Err(Reason::NameTaken { backstore: b.name.clone(), file: b.file.clone() });
        }
        steps.push(Step::DiscardBackstore { name: name.clone(), file: projection.file.clone() });
    }
    let user = format!("fileio/{name}");
    // Two images may name the same root file system.
    if let Some(other) = files.get(file).filter(|other| **other != user) {
        return Err(Reason::FileTaken(other.clone()));
    }
    files.insert(file, user);
    steps.extend(create_backstore(projection));
    Ok(Presence::Missing(steps))
}

/// Where the old one can serve nobody, and nobody has a LUN on it.
fn create_anew(projection: &Projection) -> Vec<Step> {
    let (name, wwn) = (projection.identity.name(), projection.identity.wwn().clone());
    [Step::DeleteBackstore { name, wwn }].into_iter().chain(create_backstore(projection)).collect()
}

fn create_backstore(projection: &Projection) -> [Step; 2] {
    let (name, wwn) = (projection.identity.name(), projection.identity.wwn().clone());
    [
        Step::CreateBackstore { name: name.clone(), file: projection.file.clone(), wwn },
        Step::EnableModelAlias { name },
    ]
}

/// The same LUN under the same number, on the mount that is there now. Only if nothing else uses it and it holds what it
/// held: a replaced one is not ours to swap (R6).
fn remake(projection: &Projection, actual: &Actual, history: &History, policy: &Policy) -> Option<Change> {
    let identity = projection.identity.clone();
    let live = actual.fileio(&identity.name()).filter(|live| live.size == projection.size)?;
    let luns: Vec<u16> = actual
        .luns_of(live)
        .map(|lun| (lun.tpg == actual.tpg_path).then_some(lun.lun))
        .collect::<Option<_>>()?;
    let [lun] = luns[..] else { return None };
    let held = history.contents.get(&identity).is_none_or(|held| *held == projection.etag);
    if !(held || projection.image.kind() == Kind::Rootfs) {
        return None;
    }
    let name = identity.name();
    let mut steps = vec![
        Step::DeleteLun { lun, name: name.clone() },
        Step::DeleteBackstore { name, wwn: identity.wwn().clone() },
    ];
    steps.extend(create_backstore(projection));
    steps.push(create_lun(lun, &identity, actual));
    Some(Change {
        action: Action::Remake(projection.size),
        image: projection.image.clone(),
        lun: Some(lun),
        own_lun: None,
        file: policy.site.path_of(&projection.key),
        after: Vec::new(),
        unused: None,
        reused: None,
        identity,
        steps,
    })
}

/// What is wrong with a live projection that can only be put right by taking it away from its nodes.
fn drift(projection: &Projection, actual: &Actual, live: &Live<'_>, history: &History) -> Vec<Drifted> {
    let name = projection.identity.name_str();
    let is_projected = live.projected.contains(name);
    let Some(live) = live.fileio.get(name) else { return Vec::new() };
    let mut kinds = Vec::new();
    if !live.model_alias {
        kinds.push(MODEL_ALIAS_OFF);
    }
    let other_content =
        history.contents.get(&projection.identity).is_some_and(|held| *held != projection.etag);
    if live.size != projection.size || (projection.image.kind() == Kind::Pe && other_content) {
        kinds.push(CONTENT_CHANGED);
    }
    let tpg = actual.tpg.as_ref().filter(|_| is_projected);
    let luns = || actual.luns_of(live).filter(|lun| lun.tpg == actual.tpg_path);
    if tpg.is_some_and(|tpg| tpg.acls.values().any(|mapped| luns().any(|lun| !mapped.contains(&lun.lun)))) {
        kinds.push(NOT_MAPPED_TO_ACL);
    }
    kinds.into_iter().map(|kind| Drifted { image: projection.image.clone(), kind }).collect()
}

/// R10: whether LUNs may be added to our TPG.
fn may_add(actual: &Actual) -> Result<(), Reason> {
    match &actual.tpg {
        None => Err(Reason::TargetMissing(actual.tpg_path.clone())),
        Some(tpg) if !tpg.write_protected => Err(Reason::NotWriteProtected(actual.tpg_path.clone())),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::sample::{
        SIZE, actual, backstore, create_backstore as create_backstore_step, delete_backstore, file, identity,
        lun,
    };
    use crate::model::{Etag, ImageId, LunEntry, OPENED, ObjectKey, TpgPath};

    /// What this image means, whose file lies in the folder of image `a`.
    fn named_by(image: &str) -> Projection {
        Projection {
            image: ImageRef::Rootfs(ImageId::new(image)),
            identity: identity(),
            key: ObjectKey::new("a/rootfs"),
            file: file(),
            size: SIZE,
            etag: Etag::new("1"),
            modified: std::time::Duration::ZERO,
        }
    }

    /// Where the projection stands beside this backstore and these LUNs; `dead`: its file is of a mount that is gone.
    fn stands(backstore: Backstore, luns: Vec<LunEntry>, dead: bool) -> Result<Vec<Step>, &'static str> {
        let (projection, actual) = (named_by("a"), actual(vec![backstore], luns));
        let dead = dead.then(identity).into_iter().collect();
        let mut files = BTreeMap::new();
        let presence = presence(&projection, &actual, &Live::of(&actual), &dead, &mut files);
        match presence.map_err(|reason| reason.kind())? {
            Presence::Live => Ok(Vec::new()),
            Presence::Missing(steps) => Ok(steps),
        }
    }

    #[test]
    fn a_dead_backstore_without_a_lun_is_made_anew_and_one_that_another_target_uses_is_not() {
        let anew = stands(backstore(), Vec::new(), true).unwrap();
        assert_eq!(anew[..2], [delete_backstore(), create_backstore_step()]);
        let other = LunEntry { tpg: TpgPath::new("iscsi/iqn.of.others/tpgt_1"), ..lun(7) };
        assert_eq!(stands(backstore(), vec![other], true).unwrap_err(), "dead_in_use");
    }

    #[test]
    fn m10_only_what_was_cut_short_and_is_nobodys_is_discarded() {
        let cut_short = || Backstore { enabled: false, serial: String::new(), ..backstore() };
        let discard = Step::DiscardBackstore { name: identity().name(), file: file() };
        assert_eq!(stands(cut_short(), Vec::new(), false).unwrap()[0], discard);
        let unnamed = Backstore { file: String::new(), ..cut_short() };
        assert_eq!(stands(unnamed, Vec::new(), false).unwrap()[0], discard);
        let other = LunEntry { tpg: TpgPath::new("iscsi/iqn.of.others/tpgt_1"), ..lun(7) };
        // Killed at any moment while we write it ourselves.
        let (opened, serial) = (format!("{OPENED}9"), identity().wwn().to_string());
        for ours in [
            Backstore { file: String::new(), serial: serial.clone(), ..cut_short() },
            Backstore { file: opened.clone(), serial: serial.clone(), ..cut_short() },
            Backstore { file: opened.clone(), serial, enabled: true, ..cut_short() },
        ] {
            assert_eq!(stands(ours.clone(), Vec::new(), false).unwrap()[0], discard, "{ours:?}");
        }
        for (taken, luns) in [
            (Backstore { file: opened, enabled: true, ..cut_short() }, vec![]),
            (Backstore { enabled: true, ..cut_short() }, vec![]),
            (Backstore { serial: "0".into(), ..cut_short() }, vec![]),
            (Backstore { file: "/srv/a".into(), ..cut_short() }, vec![]),
            (cut_short(), vec![other]),
        ] {
            assert_eq!(stands(taken.clone(), luns, false).unwrap_err(), "name_taken", "{taken:?}");
        }
    }

    #[test]
    fn of_several_images_with_one_file_that_of_the_folder_names_it_or_else_the_first() {
        let before = |one, other| names_it_before(&named_by(one), &named_by(other));
        assert!(before("a", "b") && !before("b", "a"));
        assert!(before("a", "A") && !before("A", "a"), "although A comes first");
        assert!(before("b", "c") && !before("c", "b"));
    }
}
