//! Stage two: the input, into which each key of the table puts its value. Some settings are made of two keys.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::settings::*;

/// What has been read so far. A key whose value was refused leaves its place empty, and then there are no settings.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub runtime_dir: Option<PathBuf>,
    pub state_dir: Option<PathBuf>,
    pub scan: ScanInput,
    pub guard: GuardInput,
    pub ims: ImsInput,
    pub s3: S3Input,
    pub tls: TlsInput,
    pub pe: PeInput,
    pub mount: MountInput,
    pub lio: LioInput,
    pub spire: SpireInput,
    pub log: LogInput,
    pub http: HttpInput,
    pub metrics: MetricsInput,
}

#[derive(Debug, Default)]
pub(super) struct ImsInput {
    pub gateway: Option<Url>,
    pub uri: Option<String>,
    pub tagging: Option<bool>,
    pub timeout: Option<Duration>,
    pub connect_timeout: Option<Duration>,
    pub ca_bundle: Option<Option<PathBuf>>,
    pub token_file: Option<Option<PathBuf>>,
    pub verify_md5: Option<bool>,
}

#[derive(Debug, Default)]
pub(super) struct S3Input {
    /// With its `://`.
    pub proto: Option<&'static str>,
    pub host: Option<String>,
    pub region: Option<String>,
    pub bucket: Option<String>,
    pub credential_file: Option<PathBuf>,
    pub timeout: Option<Duration>,
    pub connect_timeout: Option<Duration>,
    pub ca_bundle: Option<Option<PathBuf>>,
}

/// Of both clients.
#[derive(Debug, Default)]
pub(super) struct TlsInput {
    pub insecure: Option<bool>,
}

impl Input {
    /// The settings, if every key was read.
    pub fn whole(self) -> Option<Settings> {
        Some(Settings {
            runtime_dir: self.runtime_dir?,
            state_dir: self.state_dir?,
            scan: self.scan.whole()?,
            guard: self.guard.whole()?,
            ims: self.ims.whole(self.tls.insecure?)?,
            s3: self.s3.whole(self.tls.insecure?)?,
            pe: self.pe.whole()?,
            mount: self.mount.whole()?,
            lio: self.lio.whole()?,
            spire: self.spire.whole()?,
            log: self.log.whole()?,
            http: self.http.whole()?,
            metrics: self.metrics.whole()?,
        })
    }

    /// What `ims.uri` must be beside `ims.gateway`, if it is not.
    pub fn uri_is_astray(&self) -> Option<String> {
        let (gateway, uri) = (self.ims.gateway.as_ref()?, self.ims.uri.as_ref()?);
        joined(gateway, uri).is_none().then(|| "a path on ims.gateway".to_owned())
    }

    /// What `spire.mode` must be beside `ims.token_file`, if it is not.
    pub fn token_file_is_missing(&self) -> Option<String> {
        let (mode, file) = (self.spire.mode?, self.ims.token_file.as_ref()?);
        let is_missing = mode == SpireMode::TokenFile && file.is_none();
        is_missing.then(|| "another mode, or ims.token_file set".to_owned())
    }

    /// What `lio.last_lun` must be beside `lio.first_lun`, if it is not.
    pub fn luns_are_reversed(&self) -> Option<String> {
        let (first, last) = (self.lio.first_lun?, self.lio.last_lun?);
        (first > last).then(|| format!("lio.first_lun ({first}) or more"))
    }
}

impl ImsInput {
    fn whole(self, insecure: bool) -> Option<Ims> {
        Some(Ims {
            url: joined(&self.gateway?, &self.uri?)?,
            tagging: self.tagging?,
            timeout: self.timeout?,
            connect_timeout: self.connect_timeout?,
            ca_bundle: self.ca_bundle?,
            insecure,
            token_file: self.token_file?,
            verify_md5: self.verify_md5?,
        })
    }
}

impl S3Input {
    fn whole(self, insecure: bool) -> Option<S3> {
        Some(S3 {
            endpoint: format!("{}{}", self.proto?, self.host?),
            region: self.region?,
            bucket: self.bucket?,
            credential_file: self.credential_file?,
            timeout: self.timeout?,
            connect_timeout: self.connect_timeout?,
            ca_bundle: self.ca_bundle?,
            insecure,
        })
    }
}

/// Joined as the predecessor's `urljoin` did. On the gateway: the bearer token goes where this leads.
fn joined(gateway: &Url, uri: &str) -> Option<String> {
    let url = gateway.join(uri).ok()?;
    (url.origin() == gateway.origin()).then(|| url.into())
}
