//! What has started and what has cleared: each condition is told once when it starts and once when it clears, never the
//! same thing pass after pass.

use crate::decide::conditions::{self, Holding};
use crate::decide::plan::Plan;
use crate::model::{Cause, Condition, ConditionType, Kind, Report, SaveOutcome, Source, Subject};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// So many conditions of one type are told each by itself after one pass; then their number.
const MOST_TOLD: usize = 20;

/// The conditions that hold, as far as anybody knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenConditions {
    holding: BTreeMap<Condition, Open>,
}

/// One that holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// What it means here, and the remedy.
    pub detail: String,
    /// When the first pass after which it held had ended, since boot.
    pub since: Duration,
}

/// What is to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Transitions {
    /// What holds now and did not before.
    pub started: Vec<Holding>,
    /// What was seen to hold no more.
    pub cleared: Vec<Condition>,
    /// Of the types that have started more often than is told one by one: event, and how often in all.
    pub many_started: Vec<(&'static str, usize)>,
    /// The same of those that have cleared.
    pub many_cleared: Vec<(&'static str, usize)>,
}

impl OpenConditions {
    /// Each that holds.
    pub fn iter(&self) -> impl Iterator<Item = (&Condition, &Open)> {
        self.holding.iter()
    }

    /// After a pass.
    pub fn pass(&mut self, plan: &Plan, report: &Report, now: Duration) -> Transitions {
        let blind: BTreeSet<Source> = plan.unknown.iter().map(|cause| cause.source_name).collect();
        let save_untried = report.saved == SaveOutcome::Untried;
        let unseen = |condition: &Condition| match condition.condition_type {
            ConditionType::SaveProblem => save_untried,
            _ => needs(condition).iter().any(|source| blind.contains(source)),
        };
        self.update(conditions::after(plan, report), unseen, now)
    }

    /// After a pass that saw nothing.
    pub fn unknown(&mut self, cause: &Cause, now: Duration) -> Transitions {
        let unseen = |condition: &Condition| needs(condition).contains(&Source::Lio);
        self.update(vec![conditions::of_cause(cause)], unseen, now)
    }

    /// What is `unseen` has not cleared, although it was not found.
    fn update(
        &mut self,
        found: Vec<Holding>,
        unseen: impl Fn(&Condition) -> bool,
        now: Duration,
    ) -> Transitions {
        let (mut before, mut holding) = (std::mem::take(&mut self.holding), BTreeMap::new());
        let (mut told, mut started) = (Transitions::default(), Few::default());
        for found in found {
            let (condition, detail) = (found.condition.clone(), found.detail.clone());
            if holding.contains_key(&condition) {
                continue;
            }
            let was = before.remove(&condition);
            if was.is_none() && started.counts(condition.condition_type) {
                told.started.push(found);
            }
            let since = was.map_or(now, |was| was.since);
            holding.insert(condition, Open { detail, since });
        }
        let mut cleared = Few::default();
        for (condition, open) in before {
            if unseen(&condition) {
                holding.insert(condition, open);
            } else if cleared.counts(condition.condition_type) {
                told.cleared.push(condition);
            }
        }
        (told.many_started, told.many_cleared) = (started.many(), cleared.many());
        self.holding = holding;
        told
    }
}

/// Counts by type.
#[derive(Default)]
struct Few(BTreeMap<ConditionType, usize>);

impl Few {
    /// One more; whether it is to be told by itself.
    fn counts(&mut self, condition_type: ConditionType) -> bool {
        let count = self.0.entry(condition_type).or_default();
        *count += 1;
        *count <= MOST_TOLD
    }

    /// Those that were too many: event and number.
    fn many(self) -> Vec<(&'static str, usize)> {
        let many = self.0.into_iter().filter(|(_, count)| *count > MOST_TOLD);
        many.map(|(condition_type, count)| (condition_type.event(), count)).collect()
    }
}

/// The sources without which nobody can say that a condition has cleared.
fn needs(condition: &Condition) -> &'static [Source] {
    const ALL: &[Source] = &[Source::Ims, Source::S3, Source::Mount, Source::Lio];
    const WITHOUT_IMS: &[Source] = &[Source::S3, Source::Mount, Source::Lio];
    match (condition.condition_type, &condition.subject) {
        (ConditionType::ImagePending, Subject::Image(image)) if image.kind() == Kind::Pe => WITHOUT_IMS,
        (
            ConditionType::ImagePending
            | ConditionType::ImageUnclear
            | ConditionType::RemovalHeld
            | ConditionType::RemovalsHeld
            | ConditionType::SourceDegraded,
            _,
        ) => ALL,
        (ConditionType::ProjectionDrifted | ConditionType::MountEmpty, _) => WITHOUT_IMS,
        (ConditionType::ExportEscapes | ConditionType::CreatesBlocked | ConditionType::LunDead, _) => {
            &[Source::Mount, Source::Lio]
        }
        (
            ConditionType::TargetProblem
            | ConditionType::HalfMade
            | ConditionType::LioBusy
            | ConditionType::SaveProblem,
            _,
        ) => &[Source::Lio],
        // A pass that could not even read configfs has asked nobody else.
        (ConditionType::SourceUnknown, Subject::Other(source)) if source == "lio" => &[],
        (ConditionType::SourceUnknown, _) => &[Source::Lio],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ImageId, ImageRef, ObjectKey, Subject};

    const NOW: Duration = Duration::from_secs(7);

    fn pending(image: ImageRef) -> Holding {
        let subject = Subject::Image(image);
        let condition = Condition { condition_type: ConditionType::ImagePending, subject, reason: "kind" };
        Holding { condition, detail: String::new() }
    }

    fn rootfs() -> Holding {
        pending(ImageRef::Rootfs(ImageId::new("id")))
    }

    fn seen(_: &Condition) -> bool {
        false
    }

    fn holding(open: &OpenConditions) -> Vec<&str> {
        open.holding.keys().map(|condition| condition.condition_type.event()).collect()
    }

    #[test]
    fn what_starts_and_what_clears_is_told_once_each() {
        let mut open = OpenConditions::default();
        let started = open.update(vec![rootfs(), rootfs()], seen, NOW);
        assert_eq!(started, Transitions { started: vec![rootfs()], ..Transitions::default() });
        assert_eq!(open.update(vec![rootfs()], seen, NOW), Transitions::default());
        assert_eq!(open.update(vec![], |_| true, NOW), Transitions::default(), "nobody has seen it");
        let cleared = vec![rootfs().condition];
        assert_eq!(open.update(vec![], seen, NOW), Transitions { cleared, ..Transitions::default() });
        assert_eq!(open.update(vec![], seen, NOW), Transitions::default());
    }

    #[test]
    fn of_more_than_twenty_of_a_type_twenty_are_told_and_all_are_counted() {
        let mut open = OpenConditions::default();
        let images = |count: usize| -> Vec<Holding> {
            (0..count).map(|n| pending(ImageRef::Rootfs(ImageId::new(format!("{n:03}"))))).collect()
        };
        assert_eq!(open.update(images(20), seen, NOW).many_started, []);
        assert_eq!(open.update(vec![], seen, NOW).many_cleared, []);
        let started = open.update(images(21), seen, NOW);
        assert_eq!((started.started.len(), started.many_started), (20, vec![("image_pending", 21)]));
        let cleared = open.update(vec![], seen, NOW);
        assert_eq!((cleared.cleared.len(), cleared.many_cleared), (20, vec![("image_pending", 21)]));
    }

    #[test]
    fn a_condition_holds_until_it_is_seen_no_more() {
        let mut open = OpenConditions::default();
        open.update(vec![rootfs(), rootfs()], seen, NOW);
        assert_eq!(holding(&open), ["image_pending"]);
        let later = Holding { detail: "still".into(), ..rootfs() };
        open.update(vec![later], seen, 2 * NOW);
        let (_, still) = open.iter().next().unwrap();
        assert_eq!(*still, Open { detail: "still".into(), since: NOW }, "with what is known now");
        open.update(vec![], seen, NOW);
        assert_eq!(holding(&open), Vec::<&str>::new());
    }

    #[test]
    fn what_cannot_be_seen_has_not_cleared() {
        let mut open = OpenConditions::default();
        open.update(vec![rootfs()], seen, NOW);
        open.unknown(&Cause { source_name: Source::Lio, kind: "configfs", detail: String::new() }, NOW);
        assert_eq!(holding(&open), ["image_pending", "source_unknown"]);
        open.update(vec![rootfs()], seen, NOW);
        assert_eq!(holding(&open), ["image_pending"]);
    }

    #[test]
    fn of_two_reasons_why_configfs_cannot_be_read_the_last_one_holds() {
        let mut open = OpenConditions::default();
        let cause = |kind| Cause { source_name: Source::Lio, kind, detail: String::new() };
        open.unknown(&cause("hung"), NOW);
        let told = open.unknown(&cause("configfs"), NOW);
        assert_eq!((told.started.len(), told.cleared.len(), holding(&open).len()), (1, 1, 1));
    }

    #[test]
    fn what_can_be_seen_clears_although_another_source_stays_unknown() {
        let mut open = OpenConditions::default();
        let pe = pending(ImageRef::Pe(ObjectKey::new("PE/a")));
        open.update(vec![pe, rootfs()], seen, NOW);
        open.update(vec![], |condition: &Condition| needs(condition).contains(&Source::Ims), NOW);
        let left: Vec<_> = open.holding.keys().map(|condition| &condition.subject).collect();
        assert_eq!(left, [&Subject::Image(ImageRef::Rootfs(ImageId::new("id")))]);
    }

    #[test]
    fn a_source_that_did_not_answer_is_not_well_again_because_configfs_cannot_be_read() {
        let cause = |source_name| Cause { source_name, kind: "timeout", detail: String::new() };
        let mut open = OpenConditions::default();
        open.update(vec![conditions::of_cause(&cause(Source::Ims))], seen, NOW);
        open.unknown(&cause(Source::Lio), NOW);
        assert_eq!(holding(&open).len(), 2);
        open.update(vec![conditions::of_cause(&cause(Source::Ims))], seen, NOW);
        assert_eq!(holding(&open).len(), 1, "configfs can be read again");
    }
}
