//! How far targetclid is trusted: its tree is a cache that others make stale, and it may stop answering (R14). Pure.

use crate::decide::plan::change::Change;
use crate::model::{Backstore, Inventory, Report, Step};

/// After so many failures of the session or the mount in a row they are left alone until the next pass (R14).
const MOST_IN_A_ROW: u32 = 3;

/// What was live when the daemon's tree was last sure to show the same.
#[derive(Debug, Default)]
pub struct Agreed(Option<Inventory>);

impl Agreed {
    /// Whether the daemon has to read its tree anew before these changes: somebody else was there.
    pub fn needs_refresh(&self, changes: &[Change], live: &Inventory) -> bool {
        !changes.is_empty() && !self.is_on(live)
    }

    /// Whether the daemon's tree shows this, as far as anybody knows.
    pub fn is_on(&self, live: &Inventory) -> bool {
        self.0.as_ref() == Some(live)
    }

    /// Whether what configfs showed before the plan is not what it shows now, as far as anybody knows.
    pub fn needs_look(&self, report: &Report) -> bool {
        report.has_changed() || self.0.is_none() || !report.failed.is_empty()
    }

    /// The daemon's tree shows this.
    pub fn on(&mut self, live: Inventory) {
        self.0 = Some(live);
    }

    /// What the daemon believes cannot be trusted any more.
    pub fn lose(&mut self) {
        self.0 = None;
    }
}

/// The file that keeps the daemon from creating this step's backstore, if its answer says so: that of another one of these,
/// which is gone, and which it compares with the new one (facts 2.10).
pub fn blocked_by(step: &Step, answer: &str, live: &[Backstore]) -> Option<String> {
    let missing = names_missing(step, answer)?;
    live.iter().any(|live| live.file == missing).then(|| missing.to_owned())
}

/// Another file than this step's that the daemon says is gone, although that was to be created.
pub fn names_missing<'a>(step: &Step, answer: &'a str) -> Option<&'a str> {
    let Step::CreateBackstore { file, .. } = step else { return None };
    // Python quotes it in one of two ways.
    let missing = answer.split_once("No such file or directory: ")?.1.lines().next()?.trim();
    let missing = ['\'', '"'].iter().find_map(|quote| missing.strip_prefix(*quote)?.strip_suffix(*quote))?;
    (missing != file.as_str()).then_some(missing)
}

/// How often the session, or the mount, has failed without a success in between.
#[derive(Debug, Default)]
pub struct FailuresInARow(u32);

impl FailuresInARow {
    /// A change has ended; whether it was one of them that failed. Gives whether they are left alone now.
    pub fn ends(&mut self, failed: bool) -> bool {
        self.0 = if failed { self.0 + 1 } else { 0 };
        self.0 == MOST_IN_A_ROW
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::sample::{
        FILE, actual, addition, backstore, create_backstore, delete_backstore, identity, nothing, report,
    };
    use crate::model::Failure;

    #[test]
    fn the_daemon_reads_its_tree_anew_before_a_change_if_somebody_else_was_there() {
        let mut agreed = Agreed::default();
        let live = actual(vec![backstore()], Vec::new()).inventory();
        assert!(agreed.needs_refresh(&[addition()], &live), "nothing is known yet");
        assert!(!agreed.needs_refresh(&[], &live), "there is nothing to be done");
        agreed.on(live.clone());
        assert!(!agreed.needs_refresh(&[addition()], &live));
        assert!(agreed.needs_refresh(&[addition()], &nothing()));
    }

    #[test]
    fn configfs_is_read_once_more_before_a_save_if_anything_may_have_changed() {
        let mut agreed = Agreed::default();
        assert!(agreed.needs_look(&report()));
        agreed.on(nothing());
        assert!(!agreed.needs_look(&report()));
        assert!(agreed.needs_look(&Report { added: 1, ..report() }));
        let failed = Failure { identity: identity(), kind: "not_shown", detail: String::new() };
        assert!(agreed.needs_look(&Report { failed: vec![failed], ..report() }));
        agreed.lose();
        assert!(agreed.needs_look(&report()));
    }

    #[test]
    fn h4_only_another_backstores_missing_file_is_what_blocks_a_create() {
        let live =
            ["/m/PE/gone", "/m/PE/it's gone"].map(|file| Backstore { file: file.into(), ..backstore() });
        let blocked = |step: &Step, answer: &str| blocked_by(step, answer, &live);
        let answer = |file: &str| format!("[Errno 2] No such file or directory: '{file}'\n");
        assert_eq!(blocked(&create_backstore(), &answer("/m/PE/gone")).unwrap(), "/m/PE/gone");
        let quoted = "[Errno 2] No such file or directory: \"/m/PE/it's gone\"\n";
        assert_eq!(blocked(&create_backstore(), quoted).unwrap(), "/m/PE/it's gone");
        assert_eq!(blocked(&create_backstore(), &answer(FILE)), None, "its own");
        assert_eq!(blocked(&create_backstore(), &answer("/sys/of-no-backstore")), None);
        assert_eq!(blocked(&create_backstore(), "This _Backstore already exists in configFS"), None);
        assert_eq!(blocked(&delete_backstore(), &answer("/m/PE/gone")), None);
    }

    #[test]
    fn r14_three_failures_of_the_session_in_a_row_end_a_pass_and_fewer_do_not() {
        let mut row = FailuresInARow::default();
        let ends = |row: &mut FailuresInARow, failures: &[bool]| {
            failures.iter().map(|failed| row.ends(*failed)).collect::<Vec<_>>()
        };
        assert_eq!(ends(&mut row, &[true, true, false, true, true]), [false; 5]);
        assert!(row.ends(true));
    }
}
