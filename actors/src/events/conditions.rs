//! What can be wrong for a while: logged once when it starts and once when it clears.

use super::{Event, Level};
use crate::model::{Condition, ConditionType, Subject};

super::events! {
    RESOLVED "resolved" [Info]
        (scan_id image_id subject reason was)
        "a condition has cleared; `was` is its event"
        => "nothing";
    MORE "more" [Warn]
        (scan_id of count)
        "so many in all started; not all are shown"
        => "`sbps-marshal plan` lists them", "operations.md#is-the-node-healthy";
    MORE_RESOLVED "more_resolved" [Info]
        (scan_id of count)
        "so many in all cleared; not all are shown"
        => "nothing";
}

/// All of this part of the table.
pub(super) fn table() -> impl Iterator<Item = Event> {
    ConditionType::ALL.iter().map(|condition_type| of(*condition_type)).chain(TABLE.iter().copied())
}

/// The row of a condition that starts.
const fn of(condition_type: ConditionType) -> Event {
    let (meaning, remedy, section) = texts(condition_type);
    let levels: &[Level] = if condition_type.is_error() { &[Level::Error] } else { &[Level::Warn] };
    let fields = &["scan_id", "image_id", "subject", "reason", "detail"];
    Event { name: condition_type.event(), levels, fields, meaning, remedy, section }
}

/// Its meaning, what an operator should do, and where that is told at length.
const fn texts(condition_type: ConditionType) -> (&'static str, &'static str, &'static str) {
    match condition_type {
        ConditionType::ImagePending => (
            "an image is not projected; what is live of it stays",
            "`detail` names the remedy",
            "operations.md#an-image-is-not-there",
        ),
        ConditionType::ImageUnclear => (
            "whether an image should be projected could not be determined",
            "see the source that did not answer",
            "operations.md#an-image-is-not-there",
        ),
        ConditionType::RemovalHeld => (
            "a removal waits: for a second observation, for its replacement, for nodes that use the LUN, or for a LUN of another \
             target",
            "usually nothing",
            "operations.md#a-removal-is-held",
        ),
        ConditionType::RemovalsHeld => (
            "too many removals wait for an operator; `subject` is their code",
            "`sbps-marshal confirm-removal CODE` if it is meant",
            "operations.md#a-removal-is-held",
        ),
        ConditionType::ProjectionDrifted => (
            "a live LUN is not as it should be, and is not touched",
            "see `detail`",
            "operations.md#a-live-lun-is-not-as-it-should-be",
        ),
        ConditionType::TargetProblem => (
            "the target is missing, disabled, or can be written to",
            "provision it, or mend the attribute or ACL",
            "operations.md#the-target-is-not-as-it-should-be",
        ),
        ConditionType::HalfMade => (
            "creation of a LUN or backstore that is not ours was interrupted",
            "remove it: it stops targetcli's saves",
            "operations.md#half-made",
        ),
        ConditionType::MountEmpty => (
            "the mount shows none of the images that S3 lists",
            "mount the right bucket",
            "operations.md#a-source-does-not-answer",
        ),
        ConditionType::ExportEscapes => (
            "the file of a live LUN leads out of the mount",
            "confirm its removal, or restore the file",
            "operations.md#a-removal-is-held",
        ),
        ConditionType::CreatesBlocked => (
            "a missing file keeps targetcli from creating anything",
            "restore it, or let its removal go",
            "operations.md#an-image-is-not-there",
        ),
        ConditionType::LunDead => (
            "LUNs cannot be read: their mount is gone, and they cannot be made anew yet",
            "see what is pending",
            "operations.md#s3fs-died",
        ),
        ConditionType::LioBusy => (
            "another client holds targetclid (`busy`: changes wait), or a targetcli shell its lock (`locked`: removals wait); \
             `detail` names it",
            "end it",
            "operations.md#somebody-is-in-the-way",
        ),
        ConditionType::SaveProblem => (
            "saveconfig.json could not be, or must not be, written",
            "see `detail` before the next reboot",
            "operations.md#saveconfigjson",
        ),
        ConditionType::SourceUnknown => (
            "a source did not answer; nothing is removed meanwhile",
            "see what `sbps-marshal check` says of it",
            "operations.md#a-source-does-not-answer",
        ),
        ConditionType::SourceDegraded => (
            "a source answers, but not about many images",
            "mend the source",
            "operations.md#a-source-does-not-answer",
        ),
    }
}

/// A condition starts.
pub fn start(condition: &Condition, detail: &str, scan_id: u64) {
    let (image_id, subject) = named(&condition.subject);
    let (event, reason) = (of(condition.condition_type), condition.reason);
    // As `emit!` does it, for an event that is chosen while we run: all of them have the same fields.
    macro_rules! log {
        ($level:ident, $($field:ident),*) => {{
            const _: () = of(ConditionType::ImagePending).check(&[$(stringify!($field)),*]);
            tracing::$level!(event = event.name, $($field,)* message = event.meaning);
        }};
    }
    if condition.condition_type.is_error() {
        log!(error, scan_id, image_id, subject, reason, detail);
    } else {
        log!(warn, scan_id, image_id, subject, reason, detail);
    }
}

/// A condition has cleared.
pub fn resolve(condition: &Condition, scan_id: u64) {
    let (image_id, subject) = named(&condition.subject);
    let (was, reason) = (condition.condition_type.event(), condition.reason);
    crate::emit!(RESOLVED, scan_id, image_id, subject, reason, was);
}

/// An image goes by `image_id`, everything else by `subject`.
fn named(subject: &Subject) -> (Option<&str>, Option<&str>) {
    match subject {
        Subject::Image(image) => (Some(image.as_str()), None),
        Subject::Other(other) => (None, Some(other.as_str())),
    }
}
