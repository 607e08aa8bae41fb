//! Whom the HTTPS clients trust, in one place: the system's roots and the site's own bundle. There is one TLS stack,
//! rustls on aws-lc-rs, and one HTTP client over it ([`Https`]), which asks IMS and carries the AWS SDK's requests.

mod https;
mod refusal;

pub use https::{Https, Service, note};
pub use refusal::{is_of_certificate, unreached};

use actors::events::emit;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The roots, read and checked.
pub struct Trust(RootCertStore);

impl Trust {
    /// The system's roots, and every certificate of the bundle if there is one.
    pub fn load(ca_bundle: Option<&Path>) -> Result<Self, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            emit!(CA_UNREADABLE, detail = error.to_string());
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if let Some(path) = ca_bundle {
            add_bundle(&mut roots, path)?;
        }
        if roots.is_empty() {
            emit!(CA_MISSING);
        }
        Ok(Trust(roots))
    }

    /// A builder of clients that trust these roots.
    pub fn reqwest(self) -> Result<reqwest::ClientBuilder, TlsError> {
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|source| TlsError::Setup { source: source.into() })?
            .with_root_certificates(self.0)
            .with_no_client_auth();
        Ok(reqwest::Client::builder().tls_backend_preconfigured(tls))
    }
}

/// The system's roots, in short: hundreds of files, read once for the fingerprints of all that trust them.
pub struct SystemRoots(Sha256);

impl SystemRoots {
    /// As they are now.
    pub fn now() -> Self {
        let mut certificates: Vec<_> = rustls_native_certs::load_native_certs().certs;
        certificates.sort_by(|one, other| one.as_ref().cmp(other.as_ref()));
        let mut hash = Sha256::new();
        certificates.iter().for_each(|certificate| hash.update(certificate));
        SystemRoots(hash)
    }
}

/// What is trusted, in short: equal as long as the content of the bundle and of the system's store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// Read before the clients are made: of a bundle that changes in between, the next look tells.
pub fn fingerprint(system: &SystemRoots, ca_bundle: Option<&Path>) -> Result<Fingerprint, TlsError> {
    let mut hash = system.0.clone();
    if let Some(path) = ca_bundle {
        hash.update(read(path)?);
    }
    Ok(Fingerprint(hash.finalize().into()))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

/// Every certificate of the file is added, or none is: half a bundle would fail later and elsewhere.
fn add_bundle(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let unusable = |problem: String| TlsError::Bundle { path: path.to_owned(), problem };
    let bundle = read(path)?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&bundle) {
        count += 1;
        certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()))
            .map_err(|problem| unusable(format!("has a bad certificate, number {count}: {problem}")))?;
    }
    if count == 0 {
        return Err(unusable("holds no certificate".to_owned()));
    }
    Ok(())
}

/// Why there is no trust to start with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The bundle cannot be read.
    #[error("ca_bundle {} cannot be read: correct the path, or remove the setting", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bundle is not one.
    #[error(
        "ca_bundle {} {problem}: put the site's CA there as PEM (-----BEGIN CERTIFICATE-----), or remove the setting",
        path.display()
    )]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A client cannot be made.
    #[error("the HTTPS client cannot be set up")]
    Setup {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(content: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, content).unwrap();
        let message = Trust::load(Some(&path)).err().unwrap().to_string();
        assert!(message.contains(path.to_str().unwrap()), "{message}");
        assert!(message.contains("remove the setting"), "{message}");
        message
    }

    #[test]
    fn a_missing_bundle_is_refused_with_its_path_and_the_remedy() {
        let message = Trust::load(Some(Path::new("/no/such/ca.pem"))).err().unwrap().to_string();
        assert!(message.contains("/no/such/ca.pem cannot be read: correct the path"), "{message}");
    }

    #[test]
    fn an_empty_bundle_is_refused() {
        assert!(refusal("").contains("holds no certificate"));
    }

    #[test]
    fn a_bundle_that_is_not_pem_is_refused() {
        assert!(refusal("site-ca.der, base64 to follow").contains("holds no certificate"));
    }

    #[test]
    fn a_bundle_with_a_torn_certificate_is_refused() {
        let torn = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(refusal(torn).contains("bad certificate, number 1"));
    }

    #[test]
    fn h7_a_bundle_whose_content_changes_under_its_path_has_another_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let of = |content: &str| {
            std::fs::write(&path, content).unwrap();
            fingerprint(&SystemRoots::now(), Some(&path)).unwrap()
        };
        let (old, new, old_again) = (of("old"), of("new"), of("old"));
        assert!(old == old_again && old != new);
        assert_eq!(
            fingerprint(&SystemRoots::now(), None).unwrap(),
            fingerprint(&SystemRoots::now(), None).unwrap()
        );
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(fingerprint(&SystemRoots::now(), Some(&path)), Err(TlsError::Unreadable { .. })));
    }

    #[test]
    fn without_a_bundle_a_client_is_made_from_the_systems_roots() {
        assert!(Trust::load(None).unwrap().reqwest().unwrap().build().is_ok());
    }
}
