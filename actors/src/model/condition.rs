//! What can be wrong for a while: a condition is logged once when it starts and once when it clears.

use super::image::{ImageRef, Kind};
use super::unknown::Source;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// An image is not projected, and what is live of it stays.
    ImagePending,
    /// Whether an image should be projected could not be found out.
    ImageUnclear,
    /// A removal waits.
    RemovalHeld,
    /// Removals wait for an operator (R3).
    RemovalsHeld,
    /// A live projection is not as it should be, and only a withdrawal would put it right.
    ProjectionDrifted,
    /// The target is missing, disabled or can be written to (R10).
    TargetProblem,
    /// A LUN or backstore whose creation was cut short.
    HalfMade,
    /// The mount shows none of the images that S3 lists.
    MountEmpty,
    /// The file of a live LUN leads out of the mount (R8).
    ExportEscapes,
    /// A missing file keeps targetcli from creating any backstore.
    CreatesBlocked,
    /// LUNs whose files belong to a mount that is gone.
    LunDead,
    /// Another client holds targetclid, or targetcli its lock.
    LioBusy,
    /// saveconfig.json could not be, or must not be, written (R11).
    SaveProblem,
    /// A source did not answer (R2).
    SourceUnknown,
    /// A source answers, but not about many images.
    SourceDegraded,
}

impl ConditionType {
    /// All of them.
    pub const ALL: [ConditionType; 15] = [
        ConditionType::ImagePending,
        ConditionType::ImageUnclear,
        ConditionType::RemovalHeld,
        ConditionType::RemovalsHeld,
        ConditionType::ProjectionDrifted,
        ConditionType::TargetProblem,
        ConditionType::HalfMade,
        ConditionType::MountEmpty,
        ConditionType::ExportEscapes,
        ConditionType::CreatesBlocked,
        ConditionType::LunDead,
        ConditionType::LioBusy,
        ConditionType::SaveProblem,
        ConditionType::SourceUnknown,
        ConditionType::SourceDegraded,
    ];

    /// Name of the event that is logged when it starts.
    pub fn event(self) -> &'static str {
        match self {
            ConditionType::ImagePending => "image_pending",
            ConditionType::ImageUnclear => "image_unclear",
            ConditionType::RemovalHeld => "removal_held",
            ConditionType::RemovalsHeld => "removals_held",
            ConditionType::ProjectionDrifted => "projection_drifted",
            ConditionType::TargetProblem => "target_problem",
            ConditionType::HalfMade => "half_made",
            ConditionType::MountEmpty => "mount_empty",
            ConditionType::ExportEscapes => "export_escapes",
            ConditionType::CreatesBlocked => "creates_blocked",
            ConditionType::LunDead => "lun_dead",
            ConditionType::LioBusy => "lio_busy",
            ConditionType::SaveProblem => "save_problem",
            ConditionType::SourceUnknown => "source_unknown",
            ConditionType::SourceDegraded => "source_degraded",
        }
    }

    /// Whether it is logged as an error: it concerns more than one image, or what nodes read. Else it is a warning.
    pub fn is_error(self) -> bool {
        !matches!(
            self,
            ConditionType::ImagePending
                | ConditionType::ImageUnclear
                | ConditionType::RemovalHeld
                | ConditionType::ProjectionDrifted
        )
    }
}

/// What a condition is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An image.
    Image(ImageRef),
    /// A source, a folder of configfs, a file, a code.
    Other(String),
}

/// Something is wrong with something, for a reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// What is wrong.
    pub condition_type: ConditionType,
    /// With what.
    pub subject: Subject,
    /// Short, from a bounded set.
    pub reason: &'static str,
}

impl Condition {
    /// The sources without which nobody can say that it has cleared.
    pub fn needs(&self) -> &'static [Source] {
        const ALL: &[Source] = &[Source::Ims, Source::S3, Source::Mount, Source::Lio];
        const WITHOUT_IMS: &[Source] = &[Source::S3, Source::Mount, Source::Lio];
        match (self.condition_type, &self.subject) {
            (ConditionType::ImagePending, Subject::Image(image)) if image.kind() == Kind::Pe => WITHOUT_IMS,
            (
                ConditionType::ImagePending
                | ConditionType::ImageUnclear
                | ConditionType::RemovalHeld
                | ConditionType::RemovalsHeld
                | ConditionType::SourceDegraded,
                _,
            ) => ALL,
            (ConditionType::ProjectionDrifted | ConditionType::MountEmpty, _) => WITHOUT_IMS,
            (ConditionType::ExportEscapes | ConditionType::CreatesBlocked | ConditionType::LunDead, _) => {
                &[Source::Mount, Source::Lio]
            }
            (
                ConditionType::TargetProblem
                | ConditionType::HalfMade
                | ConditionType::LioBusy
                | ConditionType::SaveProblem,
                _,
            ) => &[Source::Lio],
            // A pass that could not even read configfs has asked nobody else.
            (ConditionType::SourceUnknown, Subject::Other(source)) if source == "lio" => &[],
            (ConditionType::SourceUnknown, _) => &[Source::Lio],
        }
    }
}
