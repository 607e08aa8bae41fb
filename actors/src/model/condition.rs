//! What can be wrong for a while: a condition is logged once when it starts and once when it clears.

use super::image::ImageRef;

/// The conditions: each with the event that is logged when it starts, and whether that is an error. It is one if it
/// concerns more than one image, or what nodes read; else it is a warning.
macro_rules! condition_types {
    ($($(#[doc = $doc:literal])+ $variant:ident $event:literal $is_error:literal;)*) => {
        /// What is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ConditionType {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl ConditionType {
            /// All of them.
            pub const ALL: &[ConditionType] = &[$(ConditionType::$variant),*];

            /// Name of the event that is logged when it starts.
            pub const fn event(self) -> &'static str {
                match self { $(ConditionType::$variant => $event),* }
            }

            /// Whether it is logged as an error.
            pub const fn is_error(self) -> bool {
                match self { $(ConditionType::$variant => $is_error),* }
            }
        }
    };
}

condition_types! {
    /// An image is not projected, and what is live of it stays.
    ImagePending "image_pending" false;
    /// Whether an image should be projected could not be determined.
    ImageUnclear "image_unclear" false;
    /// A removal waits.
    RemovalHeld "removal_held" false;
    /// Removals wait for an operator (R3).
    RemovalsHeld "removals_held" true;
    /// A live projection is not as it should be, and only a withdrawal would put it right.
    ProjectionDrifted "projection_drifted" false;
    /// The target is missing, disabled or can be written to (R10).
    TargetProblem "target_problem" true;
    /// A LUN or backstore whose creation was cut short.
    HalfMade "half_made" true;
    /// The mount shows none of the images that S3 lists.
    MountEmpty "mount_empty" true;
    /// The file of a live LUN leads out of the mount (R8).
    ExportEscapes "export_escapes" true;
    /// A missing file keeps targetcli from creating any backstore.
    CreatesBlocked "creates_blocked" true;
    /// LUNs whose files belong to a mount that is gone.
    LunDead "lun_dead" true;
    /// Another client holds targetclid, or a plain targetcli its lock (R13).
    LioBusy "lio_busy" true;
    /// saveconfig.json could not be, or must not be, written (R11).
    SaveProblem "save_problem" true;
    /// A source did not answer (R2).
    SourceUnknown "source_unknown" true;
    /// A source answers, but not about many images.
    SourceDegraded "source_degraded" true;
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
