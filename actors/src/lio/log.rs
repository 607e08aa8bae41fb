//! What is logged of a change.

use super::step::StepError;
use crate::decide::plan::change::{Action, Change};
use crate::model::with_causes;
use tracing::{error, info, warn};

pub(super) fn done(change: &Change, iqn: &str, scan_id: u64, duration_ms: u64) {
    let (image_id, wwn, file) = (change.image.as_str(), change.identity.wwn().as_str(), change.file.as_str());
    let (lun, kind) = (change.lun, change.image.kind());
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
        Action::Project(size) => info!(
            event = "lun_added", action = "project", result = "ok", scan_id, image_id, kind = %kind, lun, wwn, iqn,
            file, size_bytes = size, duration_ms, "LUN added; booted nodes see it after a rescan"
        ),
        Action::Remake(size) => warn!(
            event = "lun_remade", action = "remake", result = "ok", scan_id, image_id, kind = %kind, lun, wwn, iqn,
            file, size_bytes = size, duration_ms, "LUN made anew: its file belonged to a mount that is gone"
        ),
        Action::Withdraw(why) => info!(
            event = "lun_removed", action = "withdraw", result = "ok", scan_id, image_id, reason = %why, lun, wwn, iqn,
            file, duration_ms, "LUN removed"
        ),
    }
}

pub(super) fn failed(change: &Change, iqn: &str, scan_id: u64, failure: &StepError) {
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
        image_id = change.image.as_str(),
        lun = change.lun,
        wwn = change.identity.wwn().as_str(),
        iqn,
        file = change.file.as_str(),
        reason = failure.kind(),
        detail = with_causes(failure),
        "the change did not come about; it is tried again in the next pass"
    );
}
