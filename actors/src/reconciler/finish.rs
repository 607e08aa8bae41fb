//! What follows a pass: it is logged, remembered, stored, and the next one gets its time.

use super::Reconciler;
use super::gather::ACTOR_GONE;
use super::log;
use super::pass::Outcome;
use crate::decide::aftermath::{after_pass, count_unreported};
use crate::decide::cadence::next_delay;
use crate::decide::history::History;
use crate::decide::images::ImageList;
use crate::decide::plan::{Confirmation, Plan};
use crate::decide::status::{self, Found, Status, Summary};
use crate::events::emit;
use crate::lio::progress::Phase;
use crate::model::{Cause, with_causes};
use crate::ports::HistoryError;
use actix::prelude::*;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Reconciler {
    /// What was stored, unless a reload has brought it along.
    pub(super) fn recall(&mut self, loaded: Result<Option<Vec<u8>>, HistoryError>) {
        if self.remembered.history.borrow().is_some() {
            return;
        }
        let (boot, window) = (self.store.boot(), self.context.policy.limits.window);
        let lost = |detail: String| {
            emit!(HISTORY_LOST, detail, window_s = window.as_secs());
            History::lost(&boot, window)
        };
        self.history = match loaded {
            Ok(None) => History::default(),
            Ok(Some(bytes)) => {
                History::from_bytes(&bytes, &boot, window).unwrap_or_else(|fault| lost(fault.to_string()))
            }
            Err(error) => lost(with_causes(&error)),
        };
    }

    /// Remembers, tells, and sets the timer. `None`: the pass was given up because the agent stops.
    pub(super) fn finish(
        &mut self,
        outcome: Option<Result<Outcome, Cause>>,
        confirmed: Option<String>,
        scan_id: u64,
        began: Duration,
        ctx: &mut Context<Self>,
    ) -> Status {
        self.context.progress.enter(Phase::Idle);
        if !matches!(outcome, Some(Ok(_))) {
            // Stored at once, for whoever sees LIO hang restarts the agent.
            let (removing, now) = (self.removing.take(), self.clock.now());
            self.unreported.extend(count_unreported(&mut self.history, removing, now));
        }
        let Some(outcome) = outcome else {
            *self.remembered.history.borrow_mut() = Some(self.history.clone());
            return Status { given_up: true, ..self.status.borrow().clone() };
        };
        let mut busy = false;
        let (now, before) = (self.clock.now(), self.status.borrow().clone());
        let (mut found, mut sources, mut confirmation) = (before.found, before.sources, None);
        let summary = match outcome {
            Ok(Outcome { observation, plan, report }) => {
                log::transitions(&self.conditions.pass(&plan, &report, now), scan_id);
                told_of_confirmation(&plan, confirmed.as_deref(), scan_id);
                confirmation = confirmed.map(|_| plan.confirmation);
                let policy = &self.context.policy;
                let objects = observation.desired.objects.known().map(|index| &**index);
                self.history = after_pass(&plan, &report, objects, &observation.live, policy, now);
                self.named = observation.named;
                self.removing.take();
                self.unreported.clear();
                let list = observation.images.known();
                if let Some(list) = list {
                    self.wanted = Some(list.wanted(policy.tagging));
                }
                busy = report.busy.is_some() || report.locked.is_some();
                sources = status::sources(&sources, plan.unknown.iter(), now);
                let summary = Summary::of(&plan, &report, &observation.counts, &policy.site);
                let names = list.map(ImageList::names).or_else(|| Some(found?.names.clone()));
                let actual = report.after.unwrap_or_else(|| (*observation.actual).clone());
                found = Some(Arc::new(Found { plan, actual, names: names.unwrap_or_default() }));
                summary
            }
            Err(cause) => {
                if cause.kind == ACTOR_GONE {
                    // No pass will ever be better: the process ends, and is started anew.
                    emit!(ACTOR_GONE, detail = cause.to_string());
                    ctx.stop();
                }
                if let Some(code) = confirmed {
                    emit!(CONFIRMATION_DROPPED, scan_id, code);
                    confirmation = Some(Confirmation::NotJudged);
                }
                self.history.restart_looks();
                log::transitions(&self.conditions.unknown(&cause, now), scan_id);
                sources.entry(cause.source_name).or_default().cause = Some(cause.clone());
                Summary::failed(cause, before.summary.live)
            }
        };
        self.failures = if summary.is_troubled() { self.failures.saturating_add(1) } else { 0 };
        let confirm_after = self.context.policy.limits.confirm_after;
        let delay = self
            .cadence
            .as_ref()
            .map(|cadence| next_delay(&summary, self.failures, cadence, confirm_after, lot()));
        let status = Status {
            scan_id,
            converged: summary.is_converged(),
            summary,
            ended: Some((now, now.saturating_sub(began))),
            due: delay.map(|delay| now + delay),
            found,
            sources,
            conditions: self.conditions.clone(),
            confirmation,
            given_up: false,
        };
        log::summary(&status);
        self.status.send_replace(status.clone());
        *self.remembered.history.borrow_mut() = Some(self.history.clone());
        self.remembered.status.replace(status.clone());
        if let Some(delay) = delay {
            self.due = Some(Instant::now() + delay);
            self.timer = Some(ctx.run_later(delay, |act, ctx| act.queue(ctx)));
            if busy && !self.trying {
                self.try_daemon_later(ctx);
            }
        }
        status
    }

    /// What is to be stored, if it is not what was stored last.
    pub(super) fn to_store(&self) -> Option<Vec<u8>> {
        if self.stored.as_ref() == Some(&self.history) {
            return None;
        }
        self.history.to_bytes(&self.store.boot()).ok()
    }

    /// Told once: without it a restart only takes longer.
    pub(super) fn stored(&mut self, result: Result<(), HistoryError>) {
        match result {
            Ok(()) => {
                self.stored = Some(self.history.clone());
                self.store_fails = false;
            }
            Err(_) if self.store_fails => {}
            Err(error) => {
                self.store_fails = true;
                let detail = with_causes(&error);
                emit!(HISTORY_NOT_STORED, reason = error.kind(), detail);
            }
        }
    }
}

/// An operator who gave a code learns what became of it. Without evidence it does not count, now or later: what is
/// confirmed is what the operator has just seen.
fn told_of_confirmation(plan: &Plan, confirmed: Option<&str>, scan_id: u64) {
    let Some(code) = confirmed else { return };
    match plan.confirmation {
        Confirmation::Matched => emit!(CONFIRMED, scan_id, code),
        Confirmation::Unmatched => {
            let held_codes = plan.history.held_codes().join(",");
            emit!(CONFIRMATION_UNMATCHED, scan_id, code, held_codes);
        }
        Confirmation::NotJudged => emit!(CONFIRMATION_DROPPED, scan_id, code),
    }
}

/// Another number each time: the seeds of the standard library's hash maps are.
pub(super) fn lot() -> u32 {
    (RandomState::new().build_hasher().finish() >> 32) as u32
}
