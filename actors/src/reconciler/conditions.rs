//! Logs every condition once when it starts and once when it clears; never the same thing pass after pass.

use crate::decide::conditions::{self, Holding};
use crate::decide::plan::Plan;
use crate::events::{self, emit};
use crate::model::{Cause, Condition, ConditionType, Report, SaveOutcome, Source};
use std::collections::{BTreeMap, BTreeSet};

/// So many conditions of one type are logged each by itself in one pass; then their number.
const MOST_LINES: usize = 20;

/// The conditions that hold, as far as anybody knows.
#[derive(Debug, Default)]
pub struct ConditionLog {
    holding: BTreeSet<Condition>,
}

impl ConditionLog {
    /// After a pass.
    pub fn pass(&mut self, plan: &Plan, report: &Report, scan_id: u64) {
        let blind: BTreeSet<Source> = plan.unknown.iter().map(|cause| cause.source_name).collect();
        let save_untried = report.saved == SaveOutcome::Untried;
        let unseen = |condition: &Condition| match condition.condition_type {
            ConditionType::SaveProblem => save_untried,
            _ => condition.needs().iter().any(|source| blind.contains(source)),
        };
        self.update(conditions::after(plan, report), unseen, scan_id);
    }

    /// After a pass that saw nothing.
    pub fn unknown(&mut self, cause: &Cause, scan_id: u64) {
        let unseen = |condition: &Condition| condition.needs().contains(&Source::Lio);
        self.update(vec![conditions::of_cause(cause)], unseen, scan_id);
    }

    /// What is `unseen` has not cleared, although it was not found.
    fn update(&mut self, found: Vec<Holding>, unseen: impl Fn(&Condition) -> bool, scan_id: u64) {
        let mut now = BTreeSet::new();
        let mut started = Few::default();
        for Holding { condition, detail } in found {
            let is_new = !self.holding.contains(&condition) && !now.contains(&condition);
            if is_new && started.counts(condition.condition_type) {
                events::start(&condition, &detail, scan_id);
            }
            now.insert(condition);
        }
        let mut cleared = Few::default();
        for condition in std::mem::take(&mut self.holding).difference(&now.clone()) {
            if unseen(condition) {
                now.insert(condition.clone());
            } else if cleared.counts(condition.condition_type) {
                events::resolve(condition, scan_id);
            }
        }
        for (of, count) in started.more() {
            emit!(MORE, scan_id, of, count);
        }
        for (of, count) in cleared.more() {
            emit!(MORE_RESOLVED, scan_id, of, count);
        }
        self.holding = now;
    }
}

/// Counts by type.
#[derive(Default)]
struct Few(BTreeMap<ConditionType, usize>);

impl Few {
    /// One more; whether it is to be logged by itself.
    fn counts(&mut self, condition_type: ConditionType) -> bool {
        let count = self.0.entry(condition_type).or_default();
        *count += 1;
        *count <= MOST_LINES
    }

    /// Those that were too many: event and number.
    fn more(self) -> impl Iterator<Item = (&'static str, usize)> {
        let many = self.0.into_iter().filter(|(_, count)| *count > MOST_LINES);
        many.map(|(condition_type, count)| (condition_type.event(), count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ImageId, ImageRef, ObjectKey, Subject};

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

    fn holding(log: &ConditionLog) -> Vec<&str> {
        log.holding.iter().map(|condition| condition.condition_type.event()).collect()
    }

    #[test]
    fn a_condition_holds_until_it_is_seen_no_more() {
        let mut log = ConditionLog::default();
        log.update(vec![rootfs(), rootfs()], seen, 1);
        assert_eq!(holding(&log), ["image_pending"]);
        log.update(vec![], seen, 2);
        assert_eq!(holding(&log), Vec::<&str>::new());
    }

    #[test]
    fn what_cannot_be_seen_has_not_cleared() {
        let mut log = ConditionLog::default();
        log.update(vec![rootfs()], seen, 1);
        log.unknown(&Cause { source_name: Source::Lio, kind: "configfs", detail: String::new() }, 2);
        assert_eq!(holding(&log), ["image_pending", "source_unknown"]);
        log.update(vec![rootfs()], seen, 3);
        assert_eq!(holding(&log), ["image_pending"]);
    }

    #[test]
    fn what_can_be_seen_clears_although_another_source_stays_unknown() {
        let mut log = ConditionLog::default();
        let pe = pending(ImageRef::Pe(ObjectKey::new("PE/a")));
        log.update(vec![pe, rootfs()], seen, 1);
        log.update(vec![], |condition: &Condition| condition.needs().contains(&Source::Ims), 2);
        let left: Vec<_> = log.holding.iter().map(|condition| &condition.subject).collect();
        assert_eq!(left, [&Subject::Image(ImageRef::Rootfs(ImageId::new("id")))]);
    }

    #[test]
    fn a_source_that_did_not_answer_is_not_well_again_because_configfs_cannot_be_read() {
        let cause = |source_name| Cause { source_name, kind: "timeout", detail: String::new() };
        let mut log = ConditionLog::default();
        log.update(vec![conditions::of_cause(&cause(Source::Ims))], seen, 1);
        log.unknown(&cause(Source::Lio), 2);
        assert_eq!(holding(&log).len(), 2);
        log.update(vec![conditions::of_cause(&cause(Source::Ims))], seen, 3);
        assert_eq!(holding(&log).len(), 1, "configfs can be read again");
    }
}
