//! The Lio actor: owns the one session to targetclid and the view of configfs.
//!
//! It lives on a thread of its own, because its I/O is blocking and strictly serial.

use crate::guard::{self, Save};
use crate::model::{Actual, Cause, Inventory, Snapshot, Source, Step};
use crate::plan::{Action, Change, Plan};
use crate::ports::{LioError, LioPort};
use crate::step::{StepError, perform};
use actix::prelude::*;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

/// After so many failures of the session in a row the daemon is left alone until the next pass (R14).
const FAILURES_IN_A_ROW: u32 = 3;

/// What became of saveconfig.json.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SaveOutcome {
    /// Nobody looked.
    #[default]
    Untried,
    /// It says what is live.
    Equal,
    /// It was written, and says now what is live.
    Written,
    /// It was not written, and why.
    Refused(String),
    /// It should have been written.
    Failed(String),
}

impl SaveOutcome {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            SaveOutcome::Untried => "untried",
            SaveOutcome::Equal => "equal",
            SaveOutcome::Written => "written",
            SaveOutcome::Refused(_) => "refused",
            SaveOutcome::Failed(_) => "failed",
        }
    }
}

/// What a plan came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// LUNs that configfs shows now.
    pub added: usize,
    /// LUNs that it does not show any more.
    pub removed: usize,
    /// Changes that did not come about: label, kind of error, detail.
    pub failed: Vec<(String, &'static str, String)>,
    /// Changes that were not tried, because the daemon did not answer or the agent was told to stop.
    pub untried: usize,
    /// saveconfig.json.
    pub saved: SaveOutcome,
    /// Milliseconds.
    pub duration_ms: u64,
}

/// Owns the one session to targetclid and the view of configfs.
pub struct Lio<P> {
    port: P,
    stop: watch::Receiver<bool>,
    /// What we left behind: if configfs shows something else, another hand was there.
    left: Option<Inventory>,
}

impl<P: LioPort> Lio<P> {
    /// An actor over this port. Once `stop` says true, it finishes the step it is at and begins no other.
    pub fn new(port: P, stop: watch::Receiver<bool>) -> Self {
        Lio { port, stop, left: None }
    }
}

impl<P: LioPort + Unpin> Actor for Lio<P> {
    type Context = SyncContext<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.port.end_session();
    }
}

/// Request: what configfs and saveconfig.json show.
#[derive(Message)]
#[rtype(result = "Snapshot<Actual>")]
pub struct Observe;

impl<P: LioPort + Unpin> Handler<Observe> for Lio<P> {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(match self.port.observe() {
            Ok(actual) => Snapshot::Known(actual),
            Err(error) => Snapshot::Unknown(Cause::new(Source::Lio, error.kind(), &error)),
        })
    }
}

/// Request: make it so.
#[derive(Message)]
#[rtype(result = "Report")]
pub struct Apply {
    /// What to do.
    pub plan: Arc<Plan>,
    /// What was there when it was planned.
    pub before: Arc<Actual>,
    /// Number of the pass, for the log.
    pub scan_id: u64,
}

impl<P: LioPort + Unpin> Handler<Apply> for Lio<P> {
    type Result = MessageResult<Apply>;

    fn handle(&mut self, msg: Apply, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.apply(&msg.plan, &msg.before, msg.scan_id))
    }
}

/// Request: end the session, so that other clients are served.
#[derive(Message)]
#[rtype(result = "()")]
pub struct EndSession;

impl<P: LioPort + Unpin> Handler<EndSession> for Lio<P> {
    type Result = ();

    fn handle(&mut self, _: EndSession, _: &mut Self::Context) {
        self.port.end_session();
    }
}

impl<P: LioPort> Lio<P> {
    fn apply(&mut self, plan: &Plan, before: &Actual, scan_id: u64) -> Report {
        let started = Instant::now();
        let mut report = Report {
            added: 0,
            removed: 0,
            failed: Vec::new(),
            untried: plan.changes.len(),
            saved: SaveOutcome::Untried,
            duration_ms: 0,
        };
        let live = before.inventory();
        if self.left.as_ref() != Some(&live) && !plan.changes.is_empty() {
            self.refresh();
        }
        let mut failures = 0;
        for change in &plan.changes {
            if failures == FAILURES_IN_A_ROW {
                break;
            }
            let begun = Instant::now();
            match self.carry_out(change) {
                Ok(()) => {
                    failures = 0;
                    match change.action {
                        Action::Project(..) => report.added += 1,
                        Action::Withdraw(_) => report.removed += 1,
                    }
                    log_done(change, before.iqn(), scan_id, begun);
                }
                Err(StepError::Stopped) => {
                    self.left = None;
                    break;
                }
                Err(error) => {
                    failures = if matches!(error, StepError::Lio(_)) { failures + 1 } else { 0 };
                    log_failed(change, before.iqn(), scan_id, &error);
                    report.failed.push((change.label.clone(), error.kind(), error.to_string()));
                    self.left = None;
                }
            }
            report.untried -= 1;
        }
        if failures < FAILURES_IN_A_ROW {
            report.saved = self.save(plan, before, report.added + report.removed > 0);
        }
        // Between passes the daemon is everybody's: it serves one client at a time (R13).
        self.port.end_session();
        report.duration_ms = millis(started);
        report
    }

    /// Its steps in order, up to the first that fails, or to the one at which the agent was told to stop.
    fn carry_out(&mut self, change: &Change) -> Result<(), StepError> {
        change.steps.iter().try_for_each(|step| {
            // The borrow is a lock, and whoever says stop waits for it: it must end before the step begins.
            let stop = *self.stop.borrow();
            if stop { Err(StepError::Stopped) } else { perform(&mut self.port, step, change) }
        })
    }

    /// The daemon's tree is a cache; a failure here shows at the next command.
    fn refresh(&mut self) {
        match self.port.apply(&Step::Refresh) {
            Ok(_) => debug!(event = "tree_refreshed", "another hand may have changed the tree"),
            Err(error) => warn!(event = "refresh_failed", kind = error.kind(), detail = %error),
        }
    }

    /// R11: once per pass, if anything changed or the saved state is not the live one.
    fn save(&mut self, plan: &Plan, before: &Actual, changed: bool) -> SaveOutcome {
        let live = match self.observe_after(before, changed) {
            Ok(live) => live,
            Err(error) => return SaveOutcome::Failed(error.to_string()),
        };
        let inventory = live.inventory();
        match guard::save(&live.saved, &inventory, &plan.may_drop) {
            Save::Equal => {
                self.left = Some(inventory);
                SaveOutcome::Equal
            }
            Save::Refused(lost) => SaveOutcome::Refused(format!(
                "saving would forget what saveconfig.json holds and configfs does not show: {}",
                lost.join(", ")
            )),
            Save::Due if *self.stop.borrow() && !changed => SaveOutcome::Failed("told to stop".into()),
            Save::Due => self.write_save(),
        }
    }

    fn write_save(&mut self) -> SaveOutcome {
        let mut answers = Vec::new();
        for step in [Step::SaveConfig, Step::SaveConfigAlone] {
            match self.port.apply(&step).and_then(|answer| Ok((answer, self.port.observe()?))) {
                Ok((_, after)) if after.is_saved() => {
                    self.left = Some(after.inventory());
                    return SaveOutcome::Written;
                }
                Ok((answer, _)) => answers.push(answer),
                Err(error) => return SaveOutcome::Failed(error.to_string()),
            }
        }
        SaveOutcome::Failed(format!(
            "saveconfig.json does not say what configfs shows; targetclid answered {answers:?}"
        ))
    }

    fn observe_after(&mut self, before: &Actual, changed: bool) -> Result<Actual, LioError> {
        if changed || self.left.is_none() { self.port.observe() } else { Ok(before.clone()) }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn log_done(change: &Change, iqn: &str, scan_id: u64, begun: Instant) {
    let (image_id, wwn, file) = (change.label.as_str(), change.identity.wwn().as_str(), change.file.as_str());
    let (lun, duration_ms) = (change.lun, millis(begun));
    match &change.action {
        Action::Project(kind, size) => info!(
            event = "lun_added", action = "project", result = "ok", scan_id, image_id, kind = %kind, lun, wwn, iqn,
            file, size_bytes = size, duration_ms, "LUN added; booted nodes see it after a rescan"
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
        Action::Withdraw(_) => "withdraw",
    };
    error!(
        event = "change_failed", action, result = "failed", scan_id, image_id = change.label.as_str(),
        lun = change.lun, wwn = change.identity.wwn().as_str(), iqn, file = change.file.as_str(),
        reason = failure.kind(), detail = %failure, "the change did not come about; it is tried again in the next pass"
    );
}
