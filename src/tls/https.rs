//! The HTTP client of one service, made anew by itself when what it trusts has changed on disk.

use super::{TlsError, Trust};
use crate::aside::Aside;
use crate::causes;
use crate::config::Settings;
use actors::events::emit;
use reqwest::{Client, redirect};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// For one look at the files: nobody waits longer for them while the old client is good.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// Whom it asks, and how.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its section of the configuration.
    pub name: &'static str,
    /// Trusted beside the system's roots.
    pub ca_bundle: Option<PathBuf>,
    /// Whatever certificate is shown is taken.
    pub insecure: bool,
    /// Of name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Of everything, the body included; `None`: whoever asks sees to that.
    pub timeout: Option<Duration>,
}

impl Service {
    fn client(&self) -> Result<Client, TlsError> {
        let builder = match self.insecure {
            true => Client::builder().tls_danger_accept_invalid_certs(true),
            false => Trust::load(self.ca_bundle.as_deref())?.reqwest()?,
        };
        let builder = builder
            .connect_timeout(self.connect_timeout)
            // A proxy of the environment is for the internet; calls within the site would be lost in it.
            .no_proxy()
            // The token, and what is signed, are for this server alone.
            .redirect(redirect::Policy::none());
        let builder = match self.timeout {
            Some(timeout) => builder.timeout(timeout),
            None => builder,
        };
        builder.build().map_err(|source| TlsError::Setup { source: source.into() })
    }
}

/// The client, cheap to clone: all have the one.
#[derive(Clone, Debug)]
pub struct Https(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: Service,
    held: Mutex<Held>,
    aside: Aside,
}

#[derive(Debug)]
struct Held {
    client: Client,
    seen: Seen,
    /// What is on disk is no good, and that has been told.
    is_stale: bool,
}

impl Https {
    /// Nothing is asked yet; only a bad CA bundle fails here. Reads files, so it may block.
    pub fn new(service: Service) -> Result<Self, TlsError> {
        // Before the files are read: of one that changes in between, the next look tells.
        let seen = Seen::now(&service);
        let held = Held { client: service.client()?, seen, is_stale: false };
        Ok(Https(Arc::new(Inner { service, held: Mutex::new(held), aside: Aside::default() })))
    }

    /// The client to ask with now.
    pub fn client(&self) -> Client {
        self.held().client.clone()
    }

    /// Looks whether the CA files have changed, and trusts what is there now: without an operator, and with new
    /// connections only. What cannot be used, as a bundle that is being copied, leaves things as they are.
    pub async fn look(&self) {
        let (service, seen) = (self.0.service.clone(), self.held().seen.clone());
        let look = move || {
            let now = Seen::now(&service);
            (now != seen).then(|| service.client().map(|client| Held { client, seen: now, is_stale: false }))
        };
        match self.0.aside.ask(LOOK_LIMIT, look).await {
            Ok(None) => {}
            Ok(Some(Ok(new))) => {
                *self.held() = new;
                emit!(CA_RENEWED, service = self.0.service.name);
            }
            Ok(Some(Err(error))) => self.stays(&causes::with_causes(&error)),
            Err(error) => self.stays(&format!("a CA file cannot be looked at: {error}")),
        }
    }

    fn stays(&self, detail: &str) {
        if !std::mem::replace(&mut self.held().is_stale, true) {
            emit!(CA_NOT_RENEWED, service = self.0.service.name, detail);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The CA files as `stat` shows them: cheap enough for each pass. The system's are a file and a folder of hundreds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen(Vec<Option<Stat>>);

/// Device, inode, size, and when content and inode changed last.
type Stat = (u64, u64, u64, [i64; 4]);

impl Seen {
    fn now(service: &Service) -> Self {
        if service.insecure {
            return Seen(Vec::new());
        }
        let system = openssl_probe::probe();
        let files = service.ca_bundle.iter().chain(&system.cert_file).chain(&system.cert_dir);
        Seen(files.map(|file| stat(file)).collect())
    }
}

fn stat(file: &Path) -> Option<Stat> {
    let found = std::fs::metadata(file).ok()?;
    let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
    Some((found.dev(), found.ino(), found.size(), times))
}

/// What should be said at each start, in `plan` and in `check`, as long as nothing is verified.
pub fn note(settings: &Settings) -> Option<&'static str> {
    settings.ims.insecure.then_some(
        "tls.insecure is true: whoever answers in the place of IMS or S3 is believed, and gets our token; put the site's \
         CA into ims.ca_bundle and s3.ca_bundle, and unset tls.insecure",
    )
}
