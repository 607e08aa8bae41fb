//! What is wrong with the node itself, or with what is live on it: each is told while it holds, and keeps the node from
//! being converged. Pure.

use crate::decide::desired::Verdict;
use crate::decide::evidence::image_of;
use crate::decide::history::History;
use crate::decide::live::LiveFile;
use crate::decide::plan::change::{Action, Change, Seen};
use crate::decide::policy::Policy;
use crate::decide::reason::{ABSENT, Reason};
use crate::model::{
    Actual, Backstore, BareLun, ConditionType, Engine, FILEIO, Identity, LunEntry, OPENED, Ours, Site, Step,
    Subject,
};
use std::collections::BTreeSet;
use std::fmt::Write;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Which condition.
    pub condition: ConditionType,
    /// What it is about.
    pub subject: Subject,
    /// Short, from a bounded set.
    pub kind: &'static str,
    /// What it means and what to do about it.
    pub detail: String,
}

/// How many subjects a text names.
const MOST_SHOWN: usize = 5;

/// All that is wrong.
pub fn all(
    seen: Seen<'_>,
    ours: &[(&Backstore, Ours)],
    changes: &[Change],
    history: &History,
    policy: &Policy,
) -> Vec<Finding> {
    let mut findings = of_target(seen.actual, ours);
    findings.extend(of_half_made(seen.actual, changes));
    findings.extend(of_mount(seen, &policy.site));
    findings.extend(of_live_files(seen, ours, changes, history, policy.engine));
    findings.extend(of_dead(ours, &seen.mounts.dead, changes, policy));
    findings
}

/// R10: checked in every pass, for what is live is as writable as what is new.
fn of_target(actual: &Actual, ours: &[(&Backstore, Ours)]) -> Vec<Finding> {
    let finding = |kind, detail: &str| Finding {
        condition: ConditionType::TargetProblem,
        subject: Subject::Other(actual.tpg_path.to_string()),
        kind,
        detail: detail.to_owned(),
    };
    let Some(tpg) = &actual.tpg else {
        return vec![finding(
            "target_missing",
            "it does not exist: provision it; the agent never makes targets",
        )];
    };
    let mut findings = Vec::new();
    if !tpg.write_protected {
        findings.push(finding(
            "not_write_protected",
            "demo_mode_write_protect or prod_mode_write_protect is not 1: initiators can write to every image",
        ));
    }
    let is_ours = |lun: &LunEntry| ours.iter().any(|(backstore, _)| lun.leads_to(&backstore.name));
    let writable = actual.writable_mappings(is_ours);
    let writers: BTreeSet<&str> = writable.iter().map(|mapping| mapping.initiator.as_str()).collect();
    if let Some(first) = writers.first() {
        findings.push(Finding {
            detail: format!(
                "{} initiators have an ACL that lets them write to our images, first {first}: delete that mapping and \
                 create it with write_protect=1",
                writers.len()
            ),
            ..finding("acl_writable", "")
        });
    }
    if !tpg.enabled && ours.iter().any(|(_, ours)| actual.is_projected(&ours.identity)) {
        findings.push(finding("tpg_disabled", "it is disabled: no initiator can log in"));
    }
    findings
}

/// What was cut short while it was made, and is not finished by this plan: it stops others' work too.
fn of_half_made(actual: &Actual, changes: &[Change]) -> Vec<Finding> {
    use Step;
    let steps = || changes.iter().flat_map(|change| &change.steps);
    let finding = |subject, kind, detail: &str| {
        let (subject, detail) = (Subject::Other(subject), detail.to_owned());
        Finding { condition: ConditionType::HalfMade, subject, kind, detail }
    };
    let discarded = |number: u16| steps().any(|s| matches!(s, Step::DiscardLun { lun } if *lun == number));
    let in_ours = |bare: &BareLun| bare.folder == actual.tpg_path.as_str();
    let bare = actual.bare_luns.iter().filter(|bare| !(in_ours(bare) && discarded(bare.lun)));
    let luns = bare.map(|BareLun { folder, lun }| {
        let detail = "it leads to no backstore: targetcli cannot save, nor create a LUN beside it, until it is removed";
        finding(format!("{folder} lun_{lun}"), "lun", detail)
    });
    let is_discarded = |b: &Backstore| {
        let of = |step: &Step| matches!(step, Step::DiscardBackstore { name, .. } if name.as_str() == b.name);
        b.plugin == FILEIO && steps().any(of)
    };
    let is_half_made = |b: &Backstore| !b.enabled || b.file.starts_with(OPENED);
    let half_made = actual.backstores.iter().filter(|b| is_half_made(b) && !is_discarded(b));
    let stores = half_made.map(|b| {
        let detail = match b.enabled {
            false => "it is not enabled: its creation was cut short or hangs; targetcli cannot save until it is removed",
            true => "it has no file of its own: its creation was cut short; targetcli may create none until it is removed",
        };
        finding(format!("{}/{}", b.plugin, b.name), "backstore", detail)
    });
    luns.chain(stores).collect()
}

/// A mount that answers, and shows nothing of what S3 lists: it is another bucket, or another folder of it.
fn of_mount(seen: Seen<'_>, site: &Site) -> Option<Finding> {
    let shows_any = seen.live.files.values().any(|file| matches!(file, LiveFile::Regular(_)))
        || seen.desired.candidates.iter().any(|c| matches!(c.verdict, Verdict::Project(_)));
    let is_absent = |verdict: &Verdict| {
        matches!(verdict, Verdict::Pending { reason: Reason::File { kind: ABSENT, .. }, .. })
    };
    let absent = seen.desired.candidates.iter().filter(|c| is_absent(&c.verdict)).count();
    let detail = format!(
        "it shows none of {absent} images that S3 lists in {}: is it a mount of this bucket?",
        site.bucket
    );
    let subject = Subject::Other(site.mount.clone());
    (absent > 1 && !shows_any).then_some(Finding {
        condition: ConditionType::MountEmpty,
        subject,
        kind: "no_image",
        detail,
    })
}

/// R8 for what is live, and the files that are gone: targetcli stats every backstore's file before it creates another
/// one, and gives up at the first that is missing (facts 2.10).
fn of_live_files(
    seen: Seen<'_>,
    ours: &[(&Backstore, Ours)],
    changes: &[Change],
    history: &History,
    engine: Engine,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut missing: Vec<&str> = Vec::new();
    let leaves = |ours: &Ours| {
        changes.iter().any(|c| c.identity == ours.identity && matches!(c.action, Action::Withdraw(_)))
    };
    for (backstore, ours) in ours {
        match seen.live.files.get(&ours.key) {
            Some(LiveFile::Escapes(what)) => findings.push(Finding {
                condition: ConditionType::ExportEscapes,
                subject: Subject::Image(image_of(ours, history)),
                kind: "escapes",
                detail: format!(
                    "{what}: what is exported may be another file; confirm its removal, or restore it"
                ),
            }),
            Some(LiveFile::Absent) if !leaves(ours) => missing.push(&backstore.file),
            _ => {}
        }
    }
    let adds = changes.iter().any(|change| !matches!(change.action, Action::Withdraw(_)));
    // configfs knows nothing of that.
    if engine == Engine::Targetclid && adds && !missing.is_empty() {
        let mut detail = format!(
            "targetcli creates no backstore while the file of another one is missing; missing: {}",
            missing.iter().take(MOST_SHOWN).copied().collect::<Vec<_>>().join(", ")
        );
        if missing.len() > MOST_SHOWN {
            // Writing to a String cannot fail.
            let _ = write!(detail, " and {} more", missing.len() - MOST_SHOWN);
        }
        findings.push(Finding {
            condition: ConditionType::CreatesBlocked,
            subject: Subject::Other(seen.actual.tpg_path.to_string()),
            kind: "file_missing",
            detail,
        });
    }
    findings
}

/// A LUN that every read fails on is none, whatever configfs shows.
fn of_dead(
    ours: &[(&Backstore, Ours)],
    dead: &BTreeSet<Identity>,
    changes: &[Change],
    policy: &Policy,
) -> Vec<Finding> {
    let is_dead = |(_, ours): &&(&Backstore, Ours)| dead.contains(&ours.identity);
    let touched = |ours: &Ours| changes.iter().any(|change| change.identity == ours.identity);
    let left: Vec<String> = ours
        .iter()
        .filter(is_dead)
        .filter(|(_, ours)| !touched(ours))
        .map(|(_, ours)| ours.key.to_string())
        .collect();
    let Some(first) = left.first() else { return Vec::new() };
    let detail = format!(
        "the files of {} LUNs were opened under a mount of {} that is gone, every read fails, and they cannot be made \
         anew yet (first: {first}); see what is pending",
        left.len(),
        policy.site.mount
    );
    vec![Finding {
        condition: ConditionType::LunDead,
        subject: Subject::Other(policy.site.mount.clone()),
        kind: "mount_gone",
        detail,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::desired::{Candidate, Desired};
    use crate::decide::live::{LiveFiles, Mounts};
    use crate::decide::removals::LookTime;
    use crate::decide::sample::{actual, addition, backstore, key, lun, removal, site};
    use crate::model::{AclMapping, Cause, ImageRef, ObjectKey, Snapshot, Source, Tpg};
    use std::collections::BTreeMap;
    use std::time::Duration;

    /// What is said of these candidates and live files, beside one backstore.
    fn said(
        verdicts: Vec<Verdict>,
        files: &[(ObjectKey, LiveFile)],
        changes: &[Change],
    ) -> Vec<&'static str> {
        let found = findings(vec![backstore()], verdicts, files, changes, Engine::Targetclid);
        found.iter().map(|finding| finding.condition.event()).collect()
    }

    fn findings(
        backstores: Vec<Backstore>,
        verdicts: Vec<Verdict>,
        files: &[(ObjectKey, LiveFile)],
        changes: &[Change],
        engine: Engine,
    ) -> Vec<Finding> {
        let candidate =
            |(n, verdict)| Candidate { image: ImageRef::Pe(ObjectKey::new(format!("PE/{n}"))), verdict };
        let candidates = verdicts.into_iter().enumerate().map(candidate).collect();
        let cause = Cause { source_name: Source::Ims, kind: "timeout", detail: String::new() };
        let unknown = || Snapshot::Unknown(cause.clone());
        let desired = Desired {
            candidates,
            ..Desired::new(
                &Snapshot::Unknown(cause.clone()),
                unknown(),
                Snapshot::Unknown(cause.clone()),
                Vec::new(),
                None,
            )
        };
        let (actual, mounts) = (actual(backstores, Vec::new()), Mounts::default());
        let live = LiveFiles { mount: None, files: files.iter().cloned().collect::<BTreeMap<_, _>>() };
        let time = LookTime { began: Duration::ZERO, ended: Duration::ZERO };
        let seen = Seen { desired: &desired, actual: &actual, live: &live, mounts: &mounts, time };
        let ours = site().ours_live(&actual);
        let mut found = of_live_files(seen, &ours, changes, &History::default(), engine);
        found.extend(of_mount(seen, &site()));
        found
    }

    fn absent() -> Verdict {
        Verdict::Pending { claims: None, reason: Reason::File { kind: ABSENT, detail: String::new() } }
    }

    #[test]
    fn a_mount_that_shows_none_of_several_images_is_another_one_and_one_that_shows_any_is_not() {
        let other = (ObjectKey::new("PE/other"), LiveFile::Regular(512));
        assert_eq!(said(vec![absent(), absent()], &[], &[]), ["mount_empty"]);
        assert_eq!(said(vec![absent()], &[], &[]), [""; 0], "one may be on its way");
        assert_eq!(said(vec![absent(), absent()], &[other], &[]), [""; 0]);
        let shown = Verdict::Unknown {
            claims: None,
            cause: Cause { source_name: Source::Mount, kind: "x", detail: String::new() },
        };
        assert_eq!(said(vec![absent(), shown.clone()], &[], &[]), [""; 0]);
        assert_eq!(said(vec![absent(), absent(), shown], &[], &[]), ["mount_empty"]);
    }

    #[test]
    fn a_missing_file_blocks_creates_unless_its_backstore_leaves_or_nothing_is_created() {
        let missing = [(key(), LiveFile::Absent)];
        let other = Change { identity: Identity::of_pe("boot-images", &ObjectKey::new("PE/b")), ..removal() };
        assert_eq!(said(vec![], &missing, &[addition()]), ["creates_blocked"]);
        assert_eq!(said(vec![], &missing, &[addition(), other]), ["creates_blocked"], "another one leaves");
        let added =
            Change { identity: Identity::of_pe("boot-images", &ObjectKey::new("PE/b")), ..addition() };
        assert_eq!(said(vec![], &missing, &[removal(), added]), [""; 0], "it leaves first");
        assert_eq!(said(vec![], &missing, &[]), [""; 0]);
        assert_eq!(
            findings(vec![backstore()], vec![], &missing, &[addition()], Engine::Configfs),
            [],
            "it is written"
        );
        assert_eq!(said(vec![], &[(key(), LiveFile::Escapes(String::new()))], &[]), ["export_escapes"]);
    }

    #[test]
    fn of_many_missing_files_five_are_named_and_the_rest_is_a_number() {
        let image = |n: usize| {
            let key = ObjectKey::new(format!("PE/{n}"));
            let identity = Identity::of_pe("boot-images", &key);
            let (name, serial) = (identity.name().to_string(), identity.wwn().to_string());
            (key, Backstore { name, serial, file: format!("/m/PE/{n}"), ..backstore() })
        };
        let detail = |count: usize| {
            let (keys, backstores): (Vec<_>, Vec<_>) = (0..count).map(image).unzip();
            let files: Vec<_> = keys.into_iter().map(|key| (key, LiveFile::Absent)).collect();
            findings(backstores, vec![], &files, &[addition()], Engine::Targetclid)[0].detail.clone()
        };
        assert!(detail(5).matches("/m/PE/").count() == 5 && !detail(5).contains("more"), "{}", detail(5));
        assert!(
            detail(7).matches("/m/PE/").count() == 5 && detail(7).ends_with(" and 2 more"),
            "{}",
            detail(7)
        );
    }

    #[test]
    fn r10_an_acl_that_can_write_is_told_with_its_initiator() {
        let writable = BTreeSet::from([AclMapping { initiator: "iqn.x:b".into(), lun: 7 }]);
        let tpg = Tpg { enabled: true, write_protected: true, writable, ..Tpg::default() };
        let actual = Actual { tpg: Some(tpg), ..actual(vec![backstore()], vec![lun(7)]) };
        let found = of_target(&actual, &site().ours_live(&actual));
        assert!(found.len() == 1 && found[0].detail.contains("first iqn.x:b"), "{found:?}");
    }
}
