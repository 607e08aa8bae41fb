//! What is wrong after a pass.

use crate::decide::plan::Plan;
use crate::decide::plan::change::Unclear;
use crate::decide::reason::DENIED;
use crate::decide::removals::Hold;
use crate::model::{Cause, Condition, ConditionType, ImageRef, Report, SaveOutcome, Source, Subject};
use std::collections::BTreeMap;

/// If a source holds up more images than this, the source is named and not each of them.
const MOST_NAMED: usize = 5;

/// What an unreadable image holds up of which nobody knows the past.
const NEVER_READ: &str =
    "; what it named before is not known, so no root file system is removed: mend it, or untag the image";

/// A condition that holds, and what a person should know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Which.
    pub condition: Condition,
    /// What it means here, and the remedy.
    pub detail: String,
}

fn holding(condition_type: ConditionType, subject: Subject, reason: &'static str, detail: String) -> Holding {
    Holding { condition: Condition { condition_type, subject, reason }, detail }
}

/// All that holds after a pass.
pub fn after(plan: &Plan, report: &Report) -> Vec<Holding> {
    let mut all = of_images(plan);
    all.extend(of_removals(plan));
    for drifted in &plan.drifted {
        let detail = drifted.remedy().to_owned();
        let subject = Subject::Image(drifted.image.clone());
        all.push(holding(ConditionType::ProjectionDrifted, subject, drifted.kind, detail));
    }
    for finding in &plan.findings {
        all.push(holding(finding.condition, finding.subject.clone(), finding.kind, finding.detail.clone()));
    }
    if let Some(holder) = &report.busy {
        let detail =
            format!("targetclid cannot be used: it is held by {holder}; changes wait until it is free");
        all.push(holding(ConditionType::LioBusy, Subject::Other("targetclid".into()), "busy", detail));
    }
    if let Some(holder) = &report.locked {
        let subject = Subject::Other("targetcli's lock".into());
        all.push(holding(ConditionType::LioBusy, subject, "locked", of_lock(holder, report)));
    }
    if let SaveOutcome::Refused(why) | SaveOutcome::Failed(why) = &report.saved {
        let subject = Subject::Other("saveconfig.json".into());
        all.push(holding(ConditionType::SaveProblem, subject, report.saved.kind(), why.clone()));
    }
    all.extend(plan.unknown.iter().map(of_cause));
    all
}

/// R13: what was done, and what waits, while somebody has plain targetcli's lock.
fn of_lock(holder: &str, report: &Report) -> String {
    let luns = report.added + report.remade;
    let made = if luns > 0 { format!("; {luns} LUNs were made without it") } else { String::new() };
    let waits =
        if report.untried > 0 { format!("; {} other changes wait", report.untried) } else { String::new() };
    format!(
        "targetcli's lock is held by {holder}{made}{waits}: exit that targetcli; until then it needs `refresh` before it \
         creates a backstore"
    )
}

/// A source did not answer.
pub fn of_cause(cause: &Cause) -> Holding {
    let subject = Subject::Other(cause.source_name.to_string());
    holding(ConditionType::SourceUnknown, subject, cause.kind, cause.detail.clone())
}

fn of_images(plan: &Plan) -> Vec<Holding> {
    let never_read = |image: &ImageRef| image.id().is_some_and(|id| plan.history.never_read.contains(id));
    let mut all = Vec::new();
    for pending in &plan.pending {
        let mut detail = pending.reason.to_string();
        if never_read(&pending.image) {
            detail += NEVER_READ;
        }
        let subject = Subject::Image(pending.image.clone());
        all.push(holding(ConditionType::ImagePending, subject, pending.reason.kind(), detail));
    }
    let denied = plan.pending.iter().filter(|pending| pending.reason.kind() == DENIED).count();
    if denied > 1 {
        let detail = format!(
            "the mount shows {denied} files with size 0 and no permissions: s3fs is denied them; give it the \
             credentials of this bucket and mount it again"
        );
        let subject = Subject::Other(Source::Mount.to_string());
        all.push(holding(ConditionType::SourceDegraded, subject, "denied", detail));
    }
    // A few images each by its name; many of the same cause as what they are, a source that does not answer.
    let mut by_cause: BTreeMap<(Source, &'static str), Vec<&Unclear>> = BTreeMap::new();
    for unclear in &plan.unclear {
        by_cause.entry((unclear.cause.source_name, unclear.cause.kind)).or_default().push(unclear);
    }
    for ((source, kind), images) in by_cause {
        if let (true, Some(Unclear { image, cause })) = (images.len() > MOST_NAMED, images.first()) {
            let detail = format!("{} images cannot be judged, first {image}: {}", images.len(), cause.detail);
            let subject = Subject::Other(source.to_string());
            all.push(holding(ConditionType::SourceDegraded, subject, kind, detail));
            continue;
        }
        for Unclear { image, cause } in images {
            let stays = if never_read(image) { NEVER_READ } else { "; what it named stays" };
            let subject = Subject::Image(image.clone());
            all.push(holding(ConditionType::ImageUnclear, subject, kind, format!("{cause}{stays}")));
        }
    }
    all
}

fn of_removals(plan: &Plan) -> Vec<Holding> {
    let (by_breaker, others): (Vec<_>, Vec<_>) =
        plan.held.iter().partition(|held| held.hold == Hold::Breaker);
    let each = others.into_iter().map(|held| {
        let detail = format!("{}: {}", held.removal.why, held.hold);
        holding(ConditionType::RemovalHeld, Subject::Image(held.image.clone()), held.hold.kind(), detail)
    });
    let breaker = plan.tripped.iter().map(|tripped| {
        let mut images: Vec<&str> = by_breaker.iter().map(|held| held.image.as_str()).collect();
        images.sort_unstable();
        let shown = images.iter().take(MOST_NAMED).copied().collect::<Vec<_>>().join(", ");
        let more = if images.len() > MOST_NAMED { ", ..." } else { "" };
        let detail = format!("{tripped} ({shown}{more})");
        // The code is the subject: another set is another condition, and its code is logged.
        holding(ConditionType::RemovalsHeld, Subject::Other(tripped.code.clone()), "breaker", detail)
    });
    each.chain(breaker).collect()
}
