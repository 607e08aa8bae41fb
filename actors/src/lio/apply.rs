//! Carries a plan out, step by step, each judged by what configfs shows.

use super::step::{StepError, perform};
use super::{Lio, log};
use crate::decide::plan::Plan;
use crate::decide::plan::change::{Action, Change};
use crate::decide::save;
use crate::decide::withdrawal::Withdrawal;
use crate::model::{Actual, Cause, Failure, Identity, Inventory, Report, SaveOutcome, Source, Step};
use crate::mount::InspectAgain;
use crate::ports::{LioError, LioPort};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// After so many failures of the session in a row the daemon is left alone until the next pass (R14).
const FAILURES_IN_A_ROW: u32 = 3;

/// For the look at a file before its LUN is created; the mount has a shorter deadline of its own.
const INSPECT_WITHIN: Duration = Duration::from_secs(120);

impl<P: LioPort> Lio<P> {
    pub(super) fn apply(&mut self, plan: &Plan, before: &Actual, scan_id: u64) -> Report {
        let started = Instant::now();
        let mut report = Report {
            added: 0,
            remade: 0,
            removed: BTreeSet::new(),
            failed: Vec::new(),
            untried: plan.changes.len(),
            busy: None,
            saved: SaveOutcome::Untried,
            after: None,
            duration_ms: 0,
        };
        let live = before.inventory();
        let others_were_here = self.left.as_ref() != Some(&live);
        let vanished = self.vanished(&live);
        self.seen.backstores.extend(live.backstores.iter().cloned());
        self.seen.luns.extend(live.luns.iter().cloned());
        let answers = match others_were_here && !plan.changes.is_empty() {
            true => self.refresh(&mut report),
            false => true,
        };
        if answers && self.carry_out_all(plan, before, &mut report, scan_id) && report.busy.is_none() {
            self.save(plan, before, &vanished, &mut report);
        }
        if !report.failed.is_empty() {
            // What the daemon believes cannot be trusted now: it reads the tree anew in the next pass.
            self.left = None;
        }
        if report.after.is_none() {
            report.after = self.port.observe().ok();
        }
        // Between passes the daemon is everybody's: it serves one client at a time (R13).
        self.port.end_session();
        report.duration_ms = millis(started);
        report
    }

    /// What has been live, was not any more when we left, and still is not: saved, it may be forgotten. Only while our
    /// TPG is there: a target that is being stopped loses everything, and gets it back.
    fn vanished(&self, live: &Inventory) -> Inventory {
        let Some(left) = &self.left else { return Inventory::default() };
        save::vanished(&self.seen, left, live, &self.site)
    }

    /// Whether the daemon still answers at the end.
    fn carry_out_all(&mut self, plan: &Plan, before: &Actual, report: &mut Report, scan_id: u64) -> bool {
        let (mut failures, mut remake_failed) = (0, false);
        let mut skipped = BTreeSet::new();
        for change in &plan.changes {
            let begun = Instant::now();
            // What has to be taken down first is left alone once something could not be made.
            let leave = match change.action {
                Action::Remake(_) => remake_failed,
                Action::Withdraw(Withdrawal::Superseded) if change.after.is_empty() => {
                    !report.failed.is_empty()
                }
                Action::Withdraw(_) => !self.are_live(&change.after),
                Action::Project(_) => skipped.contains(&change.file),
            };
            if leave {
                skipped.insert(change.file.clone());
                continue;
            }
            match self.carry_out(change) {
                Ok(()) => {
                    failures = 0;
                    match change.action {
                        Action::Project(..) => report.added += 1,
                        Action::Remake(..) => report.remade += 1,
                        Action::Withdraw(_) => drop(report.removed.insert(change.identity.clone())),
                    }
                    log::done(change, before.iqn(), scan_id, millis(begun));
                }
                Err(StepError::Stopped) => {
                    self.left = None;
                    return true;
                }
                Err(StepError::Lio(LioError::Busy { holder, .. })) => {
                    report.busy = Some(holder);
                    return false;
                }
                Err(error) => {
                    failures = if matches!(error, StepError::Lio(_)) { failures + 1 } else { 0 };
                    log::failed(change, before.iqn(), scan_id, &error);
                    let (identity, kind, detail) = (change.identity.clone(), error.kind(), whole(&error));
                    report.failed.push(Failure { identity, kind, detail });
                    report.untried -= 1;
                    if failures == FAILURES_IN_A_ROW {
                        // Perhaps it was these three alone. What has been changed is to be saved all the same.
                        return self.refresh(report);
                    }
                    // Whatever kept this one from coming back may keep the next one.
                    remake_failed |= matches!(change.action, Action::Remake(_));
                    continue;
                }
            }
            report.untried -= 1;
        }
        true
    }

    /// Whether configfs shows LUNs of all of these.
    fn are_live(&mut self, identities: &[Identity]) -> bool {
        let is_live = |actual: &Actual| identities.iter().all(|identity| actual.is_projected(identity));
        identities.is_empty() || self.port.observe().is_ok_and(|actual| is_live(&actual))
    }

    /// Its steps in order, up to the first that fails, or to the one at which the agent was told to stop. A step that
    /// is answered and not shown is tried once more after a refresh: the daemon's tree is a cache, and so is its list
    /// of HBAs, which makes every create fail after another process has made a backstore (HOLES L1).
    fn carry_out(&mut self, change: &Change) -> Result<(), StepError> {
        if matches!(change.action, Action::Remake(..)) {
            self.inspect_again(change)?;
        }
        let mut made = false;
        for step in &change.steps {
            // The borrow is a lock, and whoever says stop waits for it: it must end before the step begins.
            let stop = *self.stop.borrow();
            if stop {
                return Err(StepError::Stopped);
            }
            if let Err(error) = self.before_lun(step, change) {
                if made {
                    self.undo_create(change);
                }
                return Err(error);
            }
            self.progress.fetch_add(1, Ordering::Relaxed);
            let mut done = perform(&mut self.port, step, change);
            if matches!(done, Err(StepError::NotShown { .. })) {
                debug!(event = "step_tried_again", %step, "after a refresh");
                self.port.apply(&Step::Refresh)?;
                self.progress.fetch_add(1, Ordering::Relaxed);
                done = perform(&mut self.port, step, change);
            }
            done?;
            made |= matches!(step, Step::CreateBackstore { .. });
        }
        Ok(())
    }

    /// R8: targetclid opens by path, up to minutes after the file was looked at. So it is looked at once more before
    /// anybody can read from it.
    fn before_lun(&mut self, step: &Step, change: &Change) -> Result<(), StepError> {
        match step {
            Step::CreateLun { .. } => self.inspect_again(change),
            _ => Ok(()),
        }
    }

    fn inspect_again(&mut self, change: &Change) -> Result<(), StepError> {
        let (Action::Project(size) | Action::Remake(size)) = change.action else { return Ok(()) };
        let Some(key) = self.site.key_of(&change.file) else { return Ok(()) };
        let (answer, answered) = mpsc::channel();
        self.files.do_send(InspectAgain { key, size, answer });
        match answered.recv_timeout(INSPECT_WITHIN) {
            Ok(again) => again.map_err(StepError::FileChanged),
            Err(_) => Err(StepError::FileChanged("the mount did not answer".into())),
        }
    }

    fn undo_create(&mut self, change: &Change) {
        let (name, wwn) = (change.identity.name(), change.identity.wwn().clone());
        if let Err(error) = self.port.apply(&Step::DeleteBackstore { name, wwn }) {
            warn!(event = "backstore_left", name = change.identity.name().as_str(), detail = %error);
        }
    }

    /// Whether the daemon has read its tree anew: it is a cache.
    fn refresh(&mut self, report: &mut Report) -> bool {
        self.progress.fetch_add(1, Ordering::Relaxed);
        match self.port.apply(&Step::Refresh) {
            Ok(_) => debug!(event = "tree_refreshed", "another hand may have changed the tree"),
            Err(LioError::Busy { holder, .. }) => {
                report.busy = Some(holder);
                return false;
            }
            Err(error) => {
                warn!(event = "refresh_failed", kind = error.kind(), detail = %error);
                return report.failed.is_empty();
            }
        }
        true
    }
}

/// An error with its causes, for a person.
pub(super) fn whole(error: &dyn std::error::Error) -> String {
    Cause::new(Source::Lio, "", error).detail
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
