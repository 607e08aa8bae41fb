//! What is logged of a pass: what has started and cleared, and its one line.

use crate::decide::status::Status;
use crate::decide::transitions::Transitions;
use crate::events::{self, emit};

/// Each once.
pub fn transitions(told: &Transitions, scan_id: u64) {
    for holding in &told.started {
        events::start(&holding.condition, &holding.detail, scan_id);
    }
    for condition in &told.cleared {
        events::resolve(condition, scan_id);
    }
    for (of, count) in &told.many_started {
        emit!(MORE, scan_id, of, count);
    }
    for (of, count) in &told.many_cleared {
        emit!(MORE_RESOLVED, scan_id, of, count);
    }
}

/// The one line of every pass.
pub fn summary(status: &Status) {
    let s = &status.summary;
    macro_rules! summary {
        ($level:ident) => {
            emit!(
                PASS_SUMMARY[$level],
                scan_id = status.scan_id,
                result = if status.converged { "converged" } else { "not_converged" },
                live = s.live,
                added = s.added,
                remade = s.remade,
                removed = s.removed,
                failed = s.failed,
                pending = s.pending,
                second_look = s.waiting_for_second_look,
                held = s.held,
                unclear = s.unclear,
                findings = s.findings,
                unknown = s.unknown.join(","),
                save = s.save.kind(),
                images_listed = s.counts.images_listed,
                candidates = s.counts.candidates,
                manifests_fetched = s.counts.manifests_fetched,
                apply_ms = s.apply_ms,
                duration_ms = status.ended.map(|(_, took)| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
                status.to_string()
            )
        };
    }
    if s.needs_attention() { summary!(Warn) } else { summary!(Info) }
}
