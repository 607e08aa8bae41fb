//! What is logged of a change.

use super::step::StepError;
use crate::decide::plan::change::{Action, Change};
use crate::events::{display, emit};
use crate::model::with_causes;

pub(super) fn done(change: &Change, iqn: &str, scan_id: u64, duration_ms: u64) {
    let (image_id, wwn, file) = (change.image.as_str(), change.identity.wwn().as_str(), change.file.as_str());
    let (lun, kind) = (change.lun, change.image.kind());
    if let (Some(own_lun), Some(lun)) = (change.own_lun.filter(|own| Some(*own) != change.lun), change.lun) {
        emit!(NUMBER_DISPLACED, scan_id, image_id, lun, own_lun, wwn, iqn);
    }
    if let (Some(freed), Some(lun)) = (&change.reused, change.lun) {
        emit!(NUMBER_REUSED, scan_id, image_id, lun, was = freed.identity.wwn().as_str(), wwn, iqn);
    }
    let (kind, result) = (display(kind), "ok");
    match &change.action {
        Action::Project(size_bytes) => emit! {
            LUN_ADDED, action = "project", result, scan_id, image_id, kind, lun, wwn, iqn, file, size_bytes, duration_ms
        },
        Action::Remake(size_bytes) => emit! {
            LUN_REMADE, action = "remake", result, scan_id, image_id, kind, lun, wwn, iqn, file, size_bytes, duration_ms
        },
        Action::Withdraw(why) => emit! {
            LUN_REMOVED, action = "withdraw", result, scan_id, image_id, reason = display(why), lun, wwn, iqn, file,
            duration_ms
        },
    }
}

pub(super) fn failed(change: &Change, iqn: &str, scan_id: u64, failure: &StepError) {
    let action = match change.action {
        Action::Project(..) => "project",
        Action::Remake(..) => "remake",
        Action::Withdraw(_) => "withdraw",
    };
    emit!(
        CHANGE_FAILED,
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
    );
}
