//! The validated settings: what the rest of the program sees of the configuration.

use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be configured, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// When passes happen.
    pub scan: Scan,
    /// What may be removed.
    pub guard: Guard,
    /// The image management service.
    pub ims: Ims,
    /// The boot bucket.
    pub s3: S3,
    /// Programming Environment images.
    pub pe: Pe,
    /// The s3fs mount.
    pub mount: Mount,
    /// LIO and targetclid.
    pub lio: Lio,
    /// SPIFFE/SPIRE.
    pub spire: Spire,
    /// Logs.
    pub log: Log,
    /// Where the lock file and confirmations live. `/run/sbps-marshal`.
    pub runtime_dir: PathBuf,
    /// Where the history lives. `/var/lib/sbps-marshal`.
    pub state_dir: PathBuf,
}

/// When passes happen.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// From one full pass to the next.
    pub frequency: Duration,
    /// From one look at the IMS tags to the next; a changed tag causes a pass at once.
    pub tag_frequency: Duration,
}

/// What may be removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// From the first look that finds an image gone to the second.
    pub confirm_after: Duration,
    /// The breaker: percent of our projections that may be removed within the window.
    pub max_removal_percent: u8,
    /// The breaker: so many may always go.
    pub max_removals: u16,
    /// The breaker: removals of this time count together.
    pub window: Duration,
}

/// The image management service.
#[derive(Clone, Debug, PartialEq)]
pub struct Ims {
    /// Gateway and path, joined: what is asked.
    pub url: String,
    /// Whether only tagged images are projected.
    pub tagging: bool,
    /// Of a whole call.
    pub timeout: Duration,
    /// Of the connection alone.
    pub connect_timeout: Duration,
    /// PEM file of extra trusted CAs.
    pub ca_bundle: Option<PathBuf>,
    /// File that holds the bearer token.
    pub token_file: Option<PathBuf>,
    /// Whether the manifest's MD5 may prove an image whose ETag differs.
    pub verify_md5: bool,
}

/// The boot bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct S3 {
    /// `https://rgw-vip.nmn`.
    pub endpoint: String,
    /// Signing region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// `KEY:SECRET`, as s3fs wants it.
    pub credential_file: PathBuf,
    /// Of a whole listing, and of a whole manifest.
    pub timeout: Duration,
    /// Of the connection alone.
    pub connect_timeout: Duration,
    /// PEM file of extra trusted CAs.
    pub ca_bundle: Option<PathBuf>,
}

/// Programming Environment images.
#[derive(Clone, Debug, PartialEq)]
pub struct Pe {
    /// Keys that start so are PE images. `PE/`.
    pub prefix: String,
    /// ... if they end so. Empty: all of them, as the predecessor had it.
    pub suffix: String,
}

/// The s3fs mount.
#[derive(Clone, Debug, PartialEq)]
pub struct Mount {
    /// Where the bucket is mounted.
    pub path: PathBuf,
    /// Of one question to the mount.
    pub timeout: Duration,
    /// The type that mountinfo must show. `fuse.s3fs`.
    pub fstype: String,
}

/// LIO and targetclid.
#[derive(Clone, Debug, PartialEq)]
pub struct Lio {
    /// Our target.
    pub iqn: String,
    /// Tag of our TPG.
    pub tpg: u16,
    /// Root of the target's configfs tree. `/sys/kernel/config/target`.
    pub configfs: PathBuf,
    /// targetclid's socket. `/run/targetclid.sock`.
    pub socket: PathBuf,
    /// Of one command.
    pub command_timeout: Duration,
    /// Of `refresh` and `saveconfig`, which grow with the number of LUNs.
    pub tree_timeout: Duration,
    /// saveconfig.json; `None`: the one in the folder that configfs' `dbroot` names.
    pub save_file: Option<PathBuf>,
    /// Lowest number for a new LUN.
    pub first_lun: u16,
    /// Highest number for a new LUN.
    pub last_lun: u16,
}

/// SPIFFE/SPIRE: accepted now, used from the next release on.
#[derive(Clone, Debug, PartialEq)]
pub struct Spire {
    /// The helper program.
    pub agent_path: PathBuf,
    /// Audience of the JWT-SVID.
    pub jwt_audience: String,
    /// Socket of the Workload API.
    pub agent_sock_path: PathBuf,
}

/// Logs.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Filter as of tracing: `info`, `debug`, `sbps_marshal=debug,info`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One flat JSON object a line.
    Json,
    /// For a person at a terminal.
    Text,
}
