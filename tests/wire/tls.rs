//! Trust on the wire: both clients against a server with a private CA.

use crate::site::{self, DEADLINE, told};
use actors::model::Relevant;
use actors::ports::{ImsPort, PortError, S3Port};
use sbps_marshal::config;
use sbps_marshal::ims::ImsClient;
use sbps_marshal::s3::S3Client;
use std::path::Path;
use support::s3::Page;
use support::tls::{self, Authority};
use tempfile::TempDir;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// IMS and S3 behind one TLS server, and the site's files.
struct Site {
    files: TempDir,
    server: MockServer,
    authority: Authority,
}

impl Site {
    /// With servers that are asked so often each, and no more.
    async fn asked(times: u64) -> Self {
        let (files, server) = (tempfile::tempdir().unwrap(), MockServer::start().await);
        std::fs::write(files.path().join("keys"), "KEY:SECRET").unwrap();
        let images = ResponseTemplate::new(200).set_body_raw("[]", "application/json");
        Mock::given(path("/images")).respond_with(images).expect(times).mount(&server).await;
        let page = Page::new().last().answer();
        Mock::given(path("/boot-images/")).respond_with(page).expect(times).mount(&server).await;
        Site { files, server, authority: Authority::new() }
    }

    fn bundle(&self, pem: &str) -> std::path::PathBuf {
        let path = self.files.path().join("ca.pem");
        std::fs::write(&path, pem).unwrap();
        path
    }

    /// What the clients say that trust this bundle and meet this certificate: the kind and the chain of each.
    async fn told(
        &self,
        certificate: rustls::ServerConfig,
        bundle: Option<&Path>,
    ) -> [Option<(&'static str, String)>; 2] {
        let address = tls::terminate(*self.server.address(), certificate).await;
        let ca_bundle = bundle.map(Path::to_owned);
        let ims = site::ims(format!("https://{address}/images"));
        let ims = ImsClient::new(&config::Ims { ca_bundle: ca_bundle.clone(), ..ims }).unwrap();
        // Time for every attempt: what is looked for is why they fail.
        let s3 = site::s3(format!("https://{address}"), &self.files.path().join("keys"));
        let s3 = S3Client::new(&config::S3 { ca_bundle, timeout: 5 * DEADLINE, ..s3 }).unwrap();
        let ims = ims.list_images(None).await.err().map(|error| (error.kind(), told(&error)));
        let s3 = s3.list(&Relevant::default()).await.err().map(|error| (error.kind(), told(&error)));
        [ims, s3]
    }

    async fn refused(&self, certificate: rustls::ServerConfig, bundle: Option<&Path>, because: &str) {
        let [ims, s3] = self.told(certificate, bundle).await.map(Option::unwrap);
        assert_eq!((ims.0, s3.0), ("connect", "failed"));
        for told in [ims.1, s3.1] {
            assert!(told.contains(because), "{told}");
        }
    }
}

#[tokio::test]
async fn a_private_ca_is_trusted_through_the_bundle_by_both_clients() {
    let site = Site::asked(1).await;
    let other = Authority::new();
    let bundle = site.bundle(&format!("# the site's CAs\n{}{}", other.pem(), site.authority.pem()));
    assert_eq!(site.told(site.authority.certificate("127.0.0.1"), Some(&bundle)).await, [None, None]);
}

#[tokio::test]
async fn without_the_bundle_a_private_ca_is_refused() {
    let site = Site::asked(0).await;
    let [ims, s3] = site.told(site.authority.certificate("127.0.0.1"), None).await.map(Option::unwrap);
    let because = "invalid peer certificate: UnknownIssuer";
    assert!(ims.1.ends_with(&format!("/images cannot be reached: {because}")), "{}", ims.1);
    assert_eq!(s3.1, format!("listing of bucket boot-images failed: {because}"));
}

#[tokio::test]
async fn another_ca_than_the_bundles_is_refused() {
    let site = Site::asked(0).await;
    let bundle = site.bundle(Authority::new().pem());
    site.refused(site.authority.certificate("127.0.0.1"), Some(&bundle), "invalid peer certificate").await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let site = Site::asked(0).await;
    let bundle = site.bundle(site.authority.pem());
    site.refused(site.authority.certificate("rgw-vip.nmn"), Some(&bundle), "not valid for name").await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let site = Site::asked(0).await;
    let bundle = site.bundle(site.authority.pem());
    let expired = site.authority.certificate_until("127.0.0.1", 2010);
    site.refused(expired, Some(&bundle), "expired").await;
}

#[tokio::test]
async fn a_server_certificate_in_the_place_of_a_ca_is_refused() {
    let site = Site::asked(0).await;
    let (server, pem) = site.authority.certificate_and_pem("127.0.0.1");
    let bundle = site.bundle(&pem);
    site.refused(server, Some(&bundle), "invalid peer certificate").await;
}
