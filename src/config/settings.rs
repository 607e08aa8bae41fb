//! The validated settings: what the rest of the program sees of the configuration. What each value means is said once,
//! in the table of keys ([`KEYS`](super::KEYS)).
#![expect(missing_docs, reason = "the table of keys documents each of them")]

use actors::decide::in_use::UsedBy;
use actors::decide::policy::OnChange;
use actors::model::Engine;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be configured, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub scan: Scan,
    pub guard: Guard,
    pub ims: Ims,
    pub s3: S3,
    pub pe: Pe,
    pub mount: Mount,
    pub lio: Lio,
    pub spire: Spire,
    pub log: Log,
    pub http: Http,
    pub metrics: Metrics,
    pub runtime_dir: PathBuf,
    pub state_dir: PathBuf,
}

/// A section, and beside it the same section while it is read: a value is there once its key was right, and only with
/// all of them is the section whole.
macro_rules! section {
    ($(#[$about:meta])* $section:ident, read as $input:ident { $($key:ident: $type:ty,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $section { $(pub $key: $type,)+ }

        #[derive(Debug, Default)]
        pub(super) struct $input { $(pub $key: Option<$type>,)+ }

        impl $input {
            pub fn whole(self) -> Option<$section> {
                Some($section { $($key: self.$key?,)+ })
            }
        }
    };
}

section! {
    /// When passes happen.
    Scan, read as ScanInput {
        frequency: Duration,
        tag_frequency: Duration,
    }
}

section! {
    /// What may be removed.
    Guard, read as GuardInput {
        confirm_after: Duration,
        max_removal_percent: u8,
        max_removals: u16,
        window: Duration,
        in_use: UsedBy,
        quiet_period: Duration,
    }
}

/// The image management service. Its `url` is `ims.gateway` and `ims.uri`, joined; `insecure` is `tls.insecure`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ims {
    pub url: String,
    pub tagging: bool,
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub ca_bundle: Option<PathBuf>,
    pub insecure: bool,
    pub token_file: Option<PathBuf>,
    pub verify_md5: bool,
}

/// The boot bucket. Its `endpoint` is `s3.proto` and `s3.host`: `https://rgw-vip.nmn`; `insecure` is `tls.insecure`.
#[derive(Clone, Debug, PartialEq)]
pub struct S3 {
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    pub credential_file: PathBuf,
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub ca_bundle: Option<PathBuf>,
    pub insecure: bool,
}

section! {
    /// Programming Environment images.
    Pe, read as PeInput {
        prefix: String,
        suffix: String,
        on_change: OnChange,
    }
}

section! {
    /// The s3fs mount.
    Mount, read as MountInput {
        path: PathBuf,
        timeout: Duration,
        fstype: String,
    }
}

section! {
    /// LIO and targetclid.
    Lio, read as LioInput {
        iqn: String,
        tpg: u16,
        engine: Engine,
        configfs: PathBuf,
        socket: PathBuf,
        command_timeout: Duration,
        tree_timeout: Duration,
        save_file: Option<PathBuf>,
        first_lun: u16,
        last_lun: u16,
        quarantine: Duration,
    }
}

section! {
    /// SPIFFE/SPIRE: who we are to IMS.
    Spire, read as SpireInput {
        mode: SpireMode,
        agent_path: PathBuf,
        jwt_audience: String,
        agent_sock_path: PathBuf,
    }
}

section! {
    /// Logs.
    Log, read as LogInput {
        level: String,
        format: LogFormat,
    }
}

section! {
    /// What is served over TCP.
    Http, read as HttpInput {
        listen: Option<SocketAddr>,
    }
}

section! {
    /// What monitors read.
    Metrics, read as MetricsInput {
        textfile: Option<PathBuf>,
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One flat JSON object a line.
    Json,
    /// The same in the envelope of Splunk's HTTP Event Collector.
    Hec,
    /// For a person.
    Text,
}

/// Where bearer tokens come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpireMode {
    /// The token file, if one is set; else the Workload API, and if that denies us the helper; else none.
    Auto,
    /// The Workload API, asked by ourselves.
    WorkloadApi,
    /// The helper.
    Helper,
    /// The token file.
    TokenFile,
    /// Nowhere: none are sent.
    None,
}

impl SpireMode {
    /// All of them, each under the name that it is configured by.
    pub(super) const NAMES: [(&'static str, SpireMode); 5] = [
        ("auto", SpireMode::Auto),
        ("workload-api", SpireMode::WorkloadApi),
        ("helper", SpireMode::Helper),
        ("token-file", SpireMode::TokenFile),
        ("none", SpireMode::None),
    ];

    /// As it is configured.
    pub fn name(self) -> &'static str {
        SpireMode::NAMES.into_iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::SpireMode;
    use crate::config::{ConfigErrors, Sources, load};

    fn mode_of(flags: &[&str]) -> Result<SpireMode, ConfigErrors> {
        let flags = flags.iter().map(|flag| flag.parse().unwrap()).collect();
        load(&Sources { flags, ..Sources::default() }).map(|loaded| loaded.settings.spire.mode)
    }

    #[test]
    fn the_mode_is_auto_unless_it_is_set() {
        assert_eq!(mode_of(&[]).unwrap(), SpireMode::Auto);
        for (name, mode) in SpireMode::NAMES {
            assert_eq!(mode_of(&[&format!("spire.mode={name}"), "ims.token_file=/t"]).unwrap(), mode);
            assert_eq!(mode.name(), name);
        }
        let error = mode_of(&["spire.mode=token"]).unwrap_err().to_string();
        assert!(error.contains("allowed: auto or workload-api or helper or token-file or none"), "{error}");
    }

    #[test]
    fn the_token_file_cannot_be_the_way_without_a_token_file() {
        let error = mode_of(&["spire.mode=token-file"]).unwrap_err().to_string();
        let told = "spire.mode is \"token-file\", allowed: another mode, or ims.token_file set";
        assert!(error.contains(told), "{error}");
    }
}
