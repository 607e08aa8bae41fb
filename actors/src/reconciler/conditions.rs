//! What is worth a line in the log: every condition once when it starts and once when it clears; never again in between.

use crate::decide::conditions::{Condition, Line, Loudness, Needs, lines, of_cause};
use crate::decide::plan::Plan;
use crate::model::{Cause, Report, Source};
use std::collections::{BTreeMap, BTreeSet};
use tracing::{error, info, warn};

/// So many lines one pass writes of one event, at most; one more says how many there are.
const MOST_LINES: usize = 20;

/// What has been told and still holds.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    told: BTreeMap<Condition, Needs>,
}

impl Telling {
    /// Tells what is new about the images, the removals, the node and the sources of a pass.
    pub fn pass(&mut self, plan: &Plan, report: &Report, scan_id: u64) {
        let blind: BTreeSet<Source> = plan.unknown.iter().map(|cause| cause.source_name).collect();
        self.tell(lines(plan, report), &blind, scan_id);
    }

    /// Tells that nothing could be seen.
    pub fn unknown(&mut self, causes: &[Cause], scan_id: u64) {
        self.tell(causes.iter().map(of_cause).collect(), &BTreeSet::from([Source::Lio]), scan_id);
    }

    fn tell(&mut self, lines: Vec<Line>, blind: &BTreeSet<Source>, scan_id: u64) {
        let mut now: BTreeMap<Condition, Needs> = BTreeMap::new();
        let mut told: BTreeMap<&'static str, usize> = BTreeMap::new();
        for line in lines {
            let condition = (line.event, line.subject.clone(), line.kind);
            if !self.told.contains_key(&condition) && !now.contains_key(&condition) {
                let count = told.entry(line.event).or_default();
                *count += 1;
                if *count <= MOST_LINES {
                    begin(&line, scan_id);
                }
            }
            now.insert(condition, line.needs);
        }
        let mut ended: BTreeMap<&'static str, usize> = BTreeMap::new();
        for (condition, needs) in std::mem::take(&mut self.told) {
            if now.contains_key(&condition) {
                continue;
            }
            // What cannot be seen has not ended.
            if needs.iter().any(|source| blind.contains(source)) {
                now.insert(condition, needs);
                continue;
            }
            let count = ended.entry(condition.0).or_default();
            *count += 1;
            if *count <= MOST_LINES {
                end(&condition, scan_id);
            }
        }
        for (event, count) in told.into_iter().filter(|(_, count)| *count > MOST_LINES) {
            warn!(event = "more", scan_id, of = event, count, "so many in all began; not all are shown");
        }
        for (event, count) in ended.into_iter().filter(|(_, count)| *count > MOST_LINES) {
            info!(
                event = "more_resolved",
                scan_id,
                of = event,
                count,
                "so many in all ended; not all are shown"
            );
        }
        self.told = now;
    }
}

/// Whether the subject of an event is an image: then it is logged as such.
fn is_of_an_image(event: &str) -> bool {
    matches!(event, "image_pending" | "image_unclear" | "removal_held" | "projection_odd")
}

fn begin(line: &Line, scan_id: u64) {
    let Line { event, subject, kind: reason, detail, .. } = line;
    let subject = subject.as_str();
    match (line.loudness, is_of_an_image(event)) {
        (Loudness::Warn, true) => warn!(event, scan_id, image_id = subject, reason, detail),
        (Loudness::Warn, false) => warn!(event, scan_id, subject, reason, detail),
        (Loudness::Error, true) => error!(event, scan_id, image_id = subject, reason, detail),
        (Loudness::Error, false) => error!(event, scan_id, subject, reason, detail),
    }
}

fn end((was, subject, reason): &Condition, scan_id: u64) {
    match is_of_an_image(was) {
        true => info!(event = "resolved", scan_id, image_id = subject.as_str(), reason, was),
        false => info!(event = "resolved", scan_id, subject = subject.as_str(), reason, was),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::conditions::{OF_OBJECTS, OF_ROOTFS, SOURCE_UNKNOWN};

    fn line(event: &'static str, subject: &str, needs: Needs) -> Line {
        Line::warn(event, subject, "kind", String::new(), needs)
    }

    fn told(telling: &Telling) -> Vec<&str> {
        telling.told.keys().map(|(event, ..)| *event).collect()
    }

    #[test]
    fn a_condition_is_told_while_it_holds_and_ends_when_it_is_seen_no_more() {
        let (mut telling, nothing) = (Telling::default(), BTreeSet::new());
        let both = vec![line("image_pending", "a", OF_ROOTFS), line("image_pending", "a", OF_ROOTFS)];
        telling.tell(both, &nothing, 1);
        assert_eq!(told(&telling), ["image_pending"]);
        telling.tell(vec![], &nothing, 2);
        assert_eq!(told(&telling), Vec::<&str>::new());
    }

    #[test]
    fn what_cannot_be_seen_has_not_ended() {
        let mut telling = Telling::default();
        telling.tell(vec![line("image_pending", "a", OF_ROOTFS)], &BTreeSet::new(), 1);
        let cause = Cause { source_name: Source::Lio, kind: "configfs", detail: String::new() };
        telling.unknown(&[cause], 2);
        assert_eq!(told(&telling), ["image_pending", SOURCE_UNKNOWN]);
        telling.tell(vec![line("image_pending", "a", OF_ROOTFS)], &BTreeSet::new(), 3);
        assert_eq!(told(&telling), ["image_pending"]);
    }

    #[test]
    fn what_can_be_seen_ends_although_another_source_stays_unknown() {
        let mut telling = Telling::default();
        let lines = vec![line("image_pending", "PE/a", OF_OBJECTS), line("image_pending", "id", OF_ROOTFS)];
        telling.tell(lines, &BTreeSet::new(), 1);
        telling.tell(vec![], &BTreeSet::from([Source::Ims]), 2);
        let left: Vec<&str> = telling.told.keys().map(|(_, subject, _)| subject.as_str()).collect();
        assert_eq!(left, ["id"]);
    }
}
