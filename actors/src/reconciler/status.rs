//! The one line of every pass.

use crate::decide::status::Status;
use crate::events::emit;

/// The one line of every pass.
pub fn log(status: &Status) {
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
                apply_ms = s.apply_ms;
                status.to_string()
            )
        };
    }
    if s.unknown.is_empty() && s.failed + s.findings == 0 { summary!(Info) } else { summary!(Warn) }
}
