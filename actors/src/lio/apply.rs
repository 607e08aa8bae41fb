//! Carries a plan out, step by step, each judged by what configfs shows.

use super::step::StepError;
use super::{Lio, log};
use crate::decide::daemon::{FailuresInARow, blocked_by, names_missing};
use crate::decide::plan::Plan;
use crate::decide::plan::change::{Action, Change, SoFar};
use crate::decide::save::is_reached;
use crate::events::emit;
use crate::lio::progress::Phase;
use crate::model::{Actual, Engine, Failure, Identity, Report, Request, SaveOutcome, Step, with_causes};
use crate::ports::{LioError, LioPort, PortError, Rest};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Instant;

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
            locked: None,
            saved: SaveOutcome::Untried,
            after: None,
            duration_ms: 0,
        };
        let was_locked = self.locked.take().is_some();
        let live = before.inventory();
        let vanished = self.witness.arrive(before, &live, &self.site);
        self.at_hand = self.engine;
        let asks = self.engine == Engine::Targetclid && self.agreed.needs_refresh(&plan.changes, &live);
        let is_prepared = self.prepared.take().is_some_and(|seen| seen == live);
        let answers = !asks || is_prepared || self.refresh(&mut report);
        let answers = answers && self.carry_out_all(plan, before, &mut report, scan_id);
        let answers = answers && self.tell(&mut report);
        if is_reached(answers, self.is_given_up(), &report) {
            self.save(plan, before, &vanished, &mut report);
        }
        if !report.failed.is_empty() {
            // It reads the tree anew in the next pass.
            self.agreed.lose();
        }
        if report.after.is_none() {
            report.after = self.port.observe().ok();
        }
        self.witness.leave(report.after.as_ref(), &self.site);
        if was_locked && self.locked.is_none() {
            self.look_at_lock();
        }
        report.locked.clone_from(&self.locked);
        self.port.rest(Rest::UntilNextPass);
        report.duration_ms = millis(started);
        report
    }

    /// Whether the daemon still answers at the end.
    fn carry_out_all(&mut self, plan: &Plan, before: &Actual, report: &mut Report, scan_id: u64) -> bool {
        let (mut failures, mut so_far) = (FailuresInARow::default(), SoFar::default());
        for (done, change) in plan.changes.iter().enumerate() {
            // Of a pass that was given up nobody is told any more: it counts as ended.
            if !self.is_given_up() {
                self.progress.enter(Phase::Changing { done, of: plan.changes.len() });
            }
            let begun = Instant::now();
            if so_far.leaves(change, || self.are_live(&change.after)) {
                so_far.left.insert(change.file.clone());
                continue;
            }
            match self.carry_out(change) {
                Ok(()) => {
                    failures.ends(false);
                    match change.action {
                        Action::Project(..) => report.added += 1,
                        Action::Remake(..) => report.remade += 1,
                        Action::Withdraw(_) => drop(report.removed.insert(change.identity.clone())),
                    }
                    log::done(change, before.iqn(), scan_id, millis(begun));
                }
                Err(StepError::Stopped) => {
                    self.agreed.lose();
                    return true;
                }
                Err(StepError::Lio(LioError::Busy { holder, .. })) => {
                    report.busy = Some(holder);
                    return false;
                }
                Err(StepError::Lio(LioError::Locked { .. })) => {
                    // What needs its file, or its place, waits as well; the others do not.
                    so_far.left.insert(change.file.clone());
                    continue;
                }
                Err(error) => {
                    log::failed(change, before.iqn(), scan_id, &error);
                    let (identity, kind, detail) =
                        (change.identity.clone(), error.kind(), with_causes(&error));
                    report.failed.push(Failure { identity, kind, detail });
                    so_far.note_failure(change);
                    report.untried -= 1;
                    if failures.ends(matches!(&error, StepError::Lio(error) if error.may_be_of_all())) {
                        // Perhaps it was these three alone. What has been changed is to be saved all the same.
                        return self.refresh(report);
                    }
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

    /// The daemon is started, and reads its tree, before it is needed.
    pub(super) fn prepare(&mut self, actual: &Actual) {
        let live = actual.inventory();
        if self.engine == Engine::Targetclid && self.may_go_on().is_ok() && !self.agreed.is_on(&live) {
            self.note_progress();
            match self.port.apply(&Request::Refresh) {
                Ok(_) => {
                    emit!(TREE_REFRESHED);
                    self.prepared = Some(live);
                }
                // Whatever was in the way is waited for once more when it counts: a daemon that is being started beside the
                // look takes longer.
                Err(_) => self.port.rest(Rest::UntilNextPass),
            }
        }
    }

    /// Whether targetclid knows of what was changed without it: nodes are served already, and its other clients see it now. An
    /// agent that stops has to save first of all; the next one tells it.
    fn tell(&mut self, report: &mut Report) -> bool {
        !self.untold || self.may_go_on().is_err() || self.refresh(report)
    }

    /// Its steps in order, up to the first that fails, or to the one at which the agent was told to stop, or the pass
    /// was given up.
    fn carry_out(&mut self, change: &Change) -> Result<(), StepError> {
        self.look_before(change)?;
        let (mut made, mut refreshed) = (false, false);
        for step in &change.steps {
            self.may_go_on()?;
            self.look_before_step(step, change, made)?;
            self.may_go_on()?;
            self.try_step(step, change, &mut refreshed)?;
            made |= matches!(step, Step::CreateBackstore { .. });
        }
        Ok(())
    }

    /// A step that is answered and not shown is tried once more after a refresh: the daemon's tree is a cache, and so
    /// is its list of HBAs, which makes every create fail after another process has made a backstore (facts L1). Where it
    /// is another backstore's file that keeps the daemon from creating any, no refresh helps.
    fn try_step(&mut self, step: &Step, change: &Change, refreshed: &mut bool) -> Result<(), StepError> {
        let answer = match self.perform(step, change, refreshed) {
            Err(StepError::NotShown { answer, .. }) if self.at_hand == Engine::Targetclid => answer,
            ended => return ended,
        };
        let mut answers = answer;
        if names_missing(step, &answers).is_some()
            && let Some(missing) = blocked_by(step, &answers, &self.port.observe()?.backstores)
        {
            match self.go_around(step, change, refreshed, missing) {
                // Where configfs may not be written, what the daemon says stands.
                Err(StepError::Lio(error @ LioError::Write { .. })) => {
                    answers = format!("{}; without targetclid: {}", answers.trim_end(), with_causes(&error));
                }
                ended => return ended,
            }
        }
        emit!(STEP_TRIED_AGAIN, step = step.to_string());
        self.port.apply(&Request::Refresh)?;
        self.may_go_on()?;
        match self.perform(step, change, refreshed) {
            Err(StepError::NotShown { step, answer }) if self.at_hand == Engine::Targetclid => {
                // Of two the first may say more.
                let answer = if answers == answer { answer } else { format!("{answers}; then: {answer}") };
                Err(StepError::NotShown { step, answer })
            }
            ended => ended,
        }
    }

    /// H4: without the daemon, for the rest of this pass.
    fn go_around(
        &mut self,
        step: &Step,
        change: &Change,
        refreshed: &mut bool,
        missing: String,
    ) -> Result<(), StepError> {
        self.at_hand = Engine::Configfs;
        let ended = self.create_directly(step, change, refreshed);
        match &ended {
            Ok(()) => emit!(CREATED_DIRECTLY, step = step.to_string(), missing),
            Err(_) => self.at_hand = Engine::Targetclid,
        }
        ended
    }

    /// The daemon may have taken its time to say no.
    fn create_directly(
        &mut self,
        step: &Step,
        change: &Change,
        refreshed: &mut bool,
    ) -> Result<(), StepError> {
        self.may_go_on()?;
        self.perform(step, change, refreshed)
    }

    /// The borrow is a lock, and whoever says stop waits for it: it ends before the step begins.
    pub(super) fn may_go_on(&self) -> Result<(), StepError> {
        let stop = *self.stop.borrow();
        if stop || self.is_given_up() { Err(StepError::Stopped) } else { Ok(()) }
    }

    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Whether the daemon has read its tree anew: it is a cache.
    fn refresh(&mut self, report: &mut Report) -> bool {
        self.note_progress();
        match self.port.apply(&Request::Refresh) {
            Ok(_) => {
                self.untold = false;
                emit!(TREE_REFRESHED);
            }
            Err(LioError::Busy { holder, .. }) => {
                report.busy = Some(holder);
                return false;
            }
            Err(error) => {
                emit!(REFRESH_FAILED, reason = error.kind(), detail = with_causes(&error));
                return report.failed.is_empty();
            }
        }
        true
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
