//! Carries a plan out, step by step, each judged by what configfs shows.

use crate::decide::plan::Plan;
use crate::decide::plan::change::{Action, Change};
use crate::decide::save;
use crate::decide::save::Save;
use crate::lio::Lio;
use crate::lio::step::{StepError, perform};
use crate::model::{
    Actual, Cause, Failure, Inventory, LunEntry, ObjectKey, Report, SaveOutcome, SavedBackstore, Source,
    Step, recognise,
};
use crate::mount::LookAgain;
use crate::ports::{LioError, LioPort};
use actix::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tracing::{debug, error, info, warn};

/// After so many failures of the session in a row the daemon is left alone until the next pass (R14).
const FAILURES_IN_A_ROW: u32 = 3;

/// For the look at a file before its LUN is created; the mount has a shorter deadline of its own.
const LOOK_AGAIN_WITHIN: Duration = Duration::from_secs(120);

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
        // What is ours goes by the rules of removals, and by no other way.
        let foreign = |b: &&SavedBackstore| recognise(&b.0, &b.1, &b.2, &b.3, &self.mount).is_none();
        let leads_to = |lun: &LunEntry, b: &SavedBackstore| (&lun.plugin, &lun.name) == (&b.0, &b.1);
        let on_foreign = |lun: &&LunEntry| {
            self.seen.backstores.iter().find(|b| leads_to(lun, b)).is_none_or(|b| foreign(&b))
        };
        let backstores = self.seen.backstores.difference(&live.backstores).filter(foreign);
        let backstores = backstores.filter(|b| !left.backstores.contains(*b));
        let luns = self.seen.luns.difference(&live.luns).filter(on_foreign);
        let luns = luns.filter(|lun| !left.luns.contains(*lun));
        Inventory {
            backstores: backstores.cloned().collect(),
            luns: luns.cloned().collect(),
            ..Inventory::default()
        }
    }

    /// Whether the daemon still answers at the end.
    fn carry_out_all(&mut self, plan: &Plan, before: &Actual, report: &mut Report, scan_id: u64) -> bool {
        let (mut failures, mut may_remake) = (0, true);
        for change in &plan.changes {
            let begun = Instant::now();
            if matches!(change.action, Action::Remake(..)) && !may_remake {
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
                    log_done(change, before.iqn(), scan_id, begun);
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
                    log_failed(change, before.iqn(), scan_id, &error);
                    let (identity, kind, detail) = (change.identity.clone(), error.kind(), whole(&error));
                    report.failed.push(Failure { identity, kind, detail });
                    report.untried -= 1;
                    if failures == FAILURES_IN_A_ROW {
                        // Perhaps it was these three alone. What has been changed is to be saved all the same.
                        return self.refresh(report);
                    }
                    // Whatever keeps this one from being made keeps a LUN that is taken down from coming back.
                    may_remake = false;
                    continue;
                }
            }
            report.untried -= 1;
        }
        true
    }

    /// Its steps in order, up to the first that fails, or to the one at which the agent was told to stop. A step that
    /// is answered and not shown is tried once more after a refresh: the daemon's tree is a cache, and so is its list
    /// of HBAs, which makes every create fail after another process has made a backstore (HOLES L1).
    fn carry_out(&mut self, change: &Change) -> Result<(), StepError> {
        if matches!(change.action, Action::Remake(..)) {
            self.look_again(change)?;
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
            Step::CreateLun { .. } => self.look_again(change),
            _ => Ok(()),
        }
    }

    fn look_again(&mut self, change: &Change) -> Result<(), StepError> {
        let (Action::Project(_, size) | Action::Remake(_, size)) = change.action else { return Ok(()) };
        let key = change.file.strip_prefix(&*self.mount).and_then(|key| key.strip_prefix('/'));
        let Some(key) = key.map(ObjectKey::new) else { return Ok(()) };
        let (answer, answered) = mpsc::channel();
        self.files.do_send(LookAgain { key, size, answer });
        match answered.recv_timeout(LOOK_AGAIN_WITHIN) {
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

    /// R11: once per pass, if anything of ours changed or the saved state is not the live one.
    fn save(&mut self, plan: &Plan, before: &Actual, vanished: &Inventory, report: &mut Report) {
        let changed = report.added + report.remade + report.removed.len() > 0;
        let look_anew = changed || self.left.is_none() || !report.failed.is_empty();
        let live = if look_anew { self.port.observe() } else { Ok(before.clone()) };
        report.saved = match live {
            Err(error) => SaveOutcome::Failed(whole(&error)),
            Ok(live) => {
                let mut may_drop = plan.may_drop.clone();
                if live.tpg.is_some() {
                    may_drop.backstores.extend(vanished.backstores.iter().cloned());
                    may_drop.luns.extend(vanished.luns.iter().cloned());
                }
                let outcome = self.save_live(&live, &may_drop, changed);
                report.after.get_or_insert(live);
                outcome
            }
        };
    }

    fn save_live(&mut self, live: &Actual, may_drop: &Inventory, changed: bool) -> SaveOutcome {
        let decision = save::save(live, may_drop, &self.mount);
        let inventory = live.inventory();
        let before = (inventory.clone(), live.saved.clone());
        match decision {
            Save::Equal => {
                self.left = Some(inventory);
                return SaveOutcome::Equal;
            }
            Save::Refused(why) => {
                self.left = Some(inventory);
                return SaveOutcome::Refused(why);
            }
            _ if *self.stop.borrow() && !changed => return SaveOutcome::Failed("told to stop".into()),
            // Each save makes a backup, and 10 are kept: once more would only cost the oldest of them.
            _ if self.unsavable.as_ref() == Some(&before) => {
                return SaveOutcome::Failed("it did not help before, and nothing has changed since".into());
            }
            Save::SetAside => match self.port.apply(&Step::SetAside) {
                Ok(name) => error!(
                    event = "save_set_aside",
                    name, "saveconfig.json was torn; it is kept under this name, and a new one is written"
                ),
                Err(error) => {
                    return SaveOutcome::Failed(format!(
                        "it is torn and cannot be set aside: {}",
                        whole(&error)
                    ));
                }
            },
            Save::Due => {}
        }
        let outcome = self.write_save();
        self.unsavable = matches!(outcome, SaveOutcome::Failed(_)).then_some(before);
        outcome
    }

    fn write_save(&mut self) -> SaveOutcome {
        let mut answers = Vec::new();
        for step in [Step::SaveConfig, Step::SaveConfigAlone] {
            self.progress.fetch_add(1, Ordering::Relaxed);
            match self.port.apply(&step).and_then(|answer| Ok((answer, self.port.observe()?))) {
                Ok((_, after)) if after.is_saved() => {
                    self.left = Some(after.inventory());
                    return SaveOutcome::Written;
                }
                Ok((answer, _)) => answers.push(answer),
                Err(error) => return SaveOutcome::Failed(whole(&error)),
            }
        }
        SaveOutcome::Failed(format!(
            "saveconfig.json does not say what configfs shows; targetclid answered {answers:?}"
        ))
    }
}

/// An error with its causes, for a person.
fn whole(error: &dyn std::error::Error) -> String {
    Cause::new(Source::Lio, "", error).detail
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn log_done(change: &Change, iqn: &str, scan_id: u64, begun: Instant) {
    let (image_id, wwn, file) = (change.label.as_str(), change.identity.wwn().as_str(), change.file.as_str());
    let (lun, duration_ms) = (change.lun, millis(begun));
    if let (Some(own_lun), Some(lun)) = (change.own_lun.filter(|own| Some(*own) != change.lun), change.lun) {
        warn!(
            event = "number_displaced",
            scan_id,
            image_id,
            lun,
            own_lun,
            wwn,
            iqn,
            "another image, or what is saved, has its own number: on a worker that sees them in another order they may \
             be the other way round"
        );
    }
    match &change.action {
        Action::Project(kind, size) => info!(
            event = "lun_added", action = "project", result = "ok", scan_id, image_id, kind = %kind, lun, wwn, iqn,
            file, size_bytes = size, duration_ms, "LUN added; booted nodes see it after a rescan"
        ),
        Action::Remake(kind, size) => warn!(
            event = "lun_remade", action = "remake", result = "ok", scan_id, image_id, kind = %kind, lun, wwn, iqn,
            file, size_bytes = size, duration_ms, "LUN made anew: its file belonged to a mount that is gone"
        ),
        Action::Withdraw(why) => info!(
            event = "lun_removed", action = "withdraw", result = "ok", scan_id, image_id, reason = %why, lun, wwn, iqn,
            file, duration_ms, "LUN removed"
        ),
    }
}

fn log_failed(change: &Change, iqn: &str, scan_id: u64, failure: &StepError) {
    let action = match change.action {
        Action::Project(..) => "project",
        Action::Remake(..) => "remake",
        Action::Withdraw(_) => "withdraw",
    };
    error!(
        event = "change_failed",
        action,
        result = "failed",
        scan_id,
        image_id = change.label.as_str(),
        lun = change.lun,
        wwn = change.identity.wwn().as_str(),
        iqn,
        file = change.file.as_str(),
        reason = failure.kind(),
        detail = whole(failure),
        "the change did not come about; it is tried again in the next pass"
    );
}
