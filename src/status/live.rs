//! The status of a node whose agent runs: what its last pass found, in the form for others.

use super::document::{
    AgentStatus, Document, IdentityStatus, OpenCondition, PassStatus, Projected, SCHEMA, SessionStatus,
    SourceStatus,
};
use super::projections::{self, Remembered};
use crate::version::VERSION;
use crate::{boot, config};
use actors::agent::Phase;
use actors::decide::plan::change::{Held, Pending};
use actors::decide::removals::Hold;
use actors::decide::status::{Found, SourceState, Status};
use actors::decide::transitions::OpenConditions;
use actors::model::{Site, Subject, Tpg};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is known of the agent beside its passes.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// When its process started, since boot.
    pub started: Duration,
    /// What the pass under way is at.
    pub phase: Phase,
    /// Who we are to IMS.
    pub identity: IdentityStatus,
    /// The session with targetclid.
    pub session: SessionStatus,
    /// Of our target.
    pub iqn: String,
    /// Our TPG, as configfs shows it now; `None`: as the last pass saw it.
    pub tpg: Option<Tpg>,
}

/// All that the agent knows of its node now.
pub fn document(status: &Status, site: &Site, known: Known) -> Document {
    let clock = Clock::now();
    let found = status.found.as_deref();
    let tpg = known.tpg.as_ref().or_else(|| found?.actual.tpg.as_ref());
    let projections = found.map(|found| projected(found, site, tpg)).unwrap_or_default();
    Document {
        schema: SCHEMA,
        node: config::hostname(),
        iqn: known.iqn.clone(),
        version: VERSION.into(),
        taken: clock.epoch(clock.since_boot),
        map_digest: projections::map_digest(&projections),
        projections,
        conditions: conditions(&status.conditions, &clock),
        portals: found.map(|found| projections::portals(&found.actual)).unwrap_or_default(),
        sessions: tpg.map(|tpg| tpg.sessions.iter().cloned().collect()).unwrap_or_default(),
        agent: Some(agent(status, known, &clock)),
    }
}

fn agent(status: &Status, known: Known, clock: &Clock) -> AgentStatus {
    let summary = &status.summary;
    let pass = status.ended.map(|(ended, took)| PassStatus {
        scan_id: status.scan_id,
        ended: clock.epoch(ended),
        seconds: took.as_secs_f64(),
        result: if status.converged { "converged" } else { "not_converged" }.into(),
        added: summary.added,
        remade: summary.remade,
        removed: summary.removed,
        failed: summary.failed,
    });
    let source = |state: &SourceState| SourceStatus {
        up: state.cause.is_none(),
        last_answer: state.answered.map(|at| clock.epoch(at)),
        reason: state.cause.as_ref().map(|cause| cause.kind.to_owned()),
        detail: state.cause.as_ref().map(|cause| cause.detail.clone()),
    };
    let passing = known.phase != Phase::Idle;
    AgentStatus {
        pid: std::process::id(),
        started: clock.epoch(known.started),
        pass,
        passing,
        next_pass: status.due.filter(|_| !passing).map(|due| clock.epoch(due)),
        sources: status.sources.iter().map(|(name, state)| (name.to_string(), source(state))).collect(),
        identity: known.identity,
        session: known.session,
        quarantined: status.found.as_ref().map_or(0, |found| found.plan.history.freed.len()),
    }
}

/// What is live, with what is held of it; then what waits to be live.
fn projected(found: &Found, site: &Site, tpg: Option<&Tpg>) -> Vec<Projected> {
    let Found { plan, actual, names } = found;
    let mut all = projections::live(actual, site, Remembered { history: &plan.history, names, tpg });
    for Held { removal, hold, .. } in &plan.held {
        let wwn = removal.ours.identity.wwn().as_str();
        for one in all.iter_mut().filter(|one| one.wwn.as_deref() == Some(wwn)) {
            one.state = "held".into();
            one.reason = Some(hold.kind().into());
            one.detail = Some(format!("{}: {hold}", removal.why));
            one.confirm_code = match hold {
                Hold::InUse(in_use) => Some(in_use.code.clone()),
                Hold::Breaker => plan.tripped.as_ref().map(|tripped| tripped.code.clone()),
                _ => None,
            };
        }
    }
    all.extend(plan.pending.iter().map(|Pending { image, reason }| Projected {
        state: "pending".into(),
        reason: Some(reason.kind().into()),
        detail: Some(reason.to_string()),
        ..projections::image(image, names)
    }));
    all
}

fn conditions(open: &OpenConditions, clock: &Clock) -> Vec<OpenCondition> {
    let one = |(condition, open): (&actors::model::Condition, &actors::decide::transitions::Open)| {
        let subject = match &condition.subject {
            Subject::Image(image) => image.to_string(),
            Subject::Other(other) => other.clone(),
        };
        OpenCondition {
            event: condition.condition_type.event().into(),
            level: if condition.condition_type.is_error() { "error" } else { "warn" }.into(),
            subject,
            reason: condition.reason.into(),
            detail: open.detail.clone(),
            since: Some(clock.epoch(open.since)),
        }
    };
    let mut all: Vec<OpenCondition> = open.iter().map(one).collect();
    // Errors first; of each kind in their order.
    all.sort_by_key(|condition| condition.level != "error");
    all
}

/// The time of day after this time, in seconds since 1970.
pub fn epoch_in(time: Duration) -> f64 {
    let clock = Clock::now();
    clock.epoch(clock.since_boot + time)
}

/// The time of day of a moment of this boot. Monotonic times are kept; a step of the clock moves all that is shown.
pub(super) struct Clock {
    now: f64,
    since_boot: Duration,
}

impl Clock {
    pub(super) fn now() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Clock { now, since_boot: boot::since() }
    }

    /// Seconds since 1970, to the millisecond.
    pub(super) fn epoch(&self, at: Duration) -> f64 {
        let seconds = self.now - self.since_boot.as_secs_f64() + at.as_secs_f64();
        (seconds * 1000.0).round() / 1000.0
    }
}
