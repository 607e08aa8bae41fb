//! Trust on the wire: both clients against a server with a private CA. What each case is told as, in one line.

use crate::site::{self, DEADLINE, told};
use actors::model::Relevant;
use actors::ports::{ImsPort, PortError, S3Port};
use sbps_marshal::config;
use sbps_marshal::ims::ImsClient;
use sbps_marshal::s3::S3Client;
use std::net::SocketAddr;
use std::path::Path;
use support::canned;
use support::log::Log;
use support::s3::Page;
use support::tls::{self, Authority, Gateway};
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

    /// A TLS server before both, with this certificate.
    async fn behind(&self, certificate: rustls::ServerConfig) -> SocketAddr {
        tls::terminate(*self.server.address(), certificate).await
    }

    /// Both clients of what listens there, which trust this bundle.
    fn clients(&self, address: SocketAddr, bundle: Option<&Path>) -> Clients {
        self.clients_of(address, bundle, false)
    }

    fn clients_of(&self, address: SocketAddr, bundle: Option<&Path>, insecure: bool) -> Clients {
        let ca_bundle = bundle.map(Path::to_owned);
        let ims = site::ims(format!("https://{address}/images"));
        let ims = ImsClient::new(&config::Ims { ca_bundle: ca_bundle.clone(), insecure, ..ims }).unwrap();
        // Time for every attempt: what is looked for is why they fail.
        let s3 = site::s3(format!("https://{address}"), &self.files.path().join("keys"));
        let s3 = config::S3 { ca_bundle, insecure, timeout: 5 * DEADLINE, ..s3 };
        Clients(ims, S3Client::new(&s3).unwrap())
    }

    /// Both are refused for this cause, and a person reads it in one line, with the endpoint and this remedy.
    async fn refused(
        &self,
        certificate: rustls::ServerConfig,
        bundle: Option<&Path>,
        because: &str,
        remedies: [&str; 2],
    ) {
        let address = self.behind(certificate).await;
        let [ims, s3] = self.clients(address, bundle).ask().await.map(Option::unwrap);
        assert_eq!((ims.0, s3.0), ("connect", "failed"));
        let begins = [
            format!("https://{address}/images cannot be reached: invalid peer certificate: "),
            format!(
                "listing of bucket boot-images failed: https://{address} cannot be reached: invalid peer certificate: "
            ),
        ];
        for ((told, begin), remedy) in [ims.1, s3.1].iter().zip(begins).zip(remedies) {
            assert!(told.starts_with(&begin), "{told}");
            assert!(told.contains(because) && told.ends_with(remedy), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
}

/// The one of IMS and the one of S3.
struct Clients(ImsClient, S3Client);

impl Clients {
    /// What each says that is refused: the kind and the chain.
    async fn ask(&self) -> [Option<(&'static str, String)>; 2] {
        let ims = self.0.list_images(None).await.err().map(|error| (error.kind(), told(&error)));
        let s3 = self.1.list(&Relevant::default()).await.err().map(|error| (error.kind(), told(&error)));
        [ims, s3]
    }
}

const NOT_TRUSTED: [&str; 2] = [
    "the CA that issued it is not trusted: put that CA, not the server's own certificate, into ims.ca_bundle",
    "the CA that issued it is not trusted: put that CA, not the server's own certificate, into s3.ca_bundle",
];

#[tokio::test]
async fn a_private_ca_is_trusted_through_the_bundle_by_both_clients() {
    let site = Site::asked(1).await;
    let other = Authority::new();
    let bundle = site.bundle(&format!("# the site's CAs\n{}{}", other.pem(), site.authority.pem()));
    let address = site.behind(site.authority.certificate("127.0.0.1")).await;
    assert_eq!(site.clients(address, Some(&bundle)).ask().await, [None, None]);
}

#[tokio::test]
async fn without_the_bundle_a_private_ca_is_refused() {
    let site = Site::asked(0).await;
    let certificate = site.authority.certificate("127.0.0.1");
    site.refused(certificate, None, "UnknownIssuer", NOT_TRUSTED).await;
}

#[tokio::test]
async fn another_ca_than_the_bundles_is_refused() {
    let site = Site::asked(0).await;
    let bundle = site.bundle(Authority::new().pem());
    let certificate = site.authority.certificate("127.0.0.1");
    // Both are named alike, as a CA and its successor are: so it is the signature that does not fit.
    site.refused(certificate, Some(&bundle), "BadSignature", NOT_TRUSTED).await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let site = Site::asked(0).await;
    let bundle = site.bundle(site.authority.pem());
    let remedies = ["set ims.gateway to a name that it has", "set s3.host to a name that it has"];
    let certificate = site.authority.certificate("rgw-vip.nmn");
    site.refused(certificate, Some(&bundle), "not valid for name", remedies).await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let site = Site::asked(0).await;
    let bundle = site.bundle(site.authority.pem());
    let expired = site.authority.certificate_until("127.0.0.1", 2010);
    let remedy = "it has expired: renew it on the server, and see this node's clock";
    site.refused(expired, Some(&bundle), "expired", [remedy; 2]).await;
}

#[tokio::test]
async fn a_server_certificate_in_the_place_of_a_ca_is_refused() {
    let site = Site::asked(0).await;
    let (server, pem) = site.authority.certificate_and_pem("127.0.0.1");
    let bundle = site.bundle(&pem);
    site.refused(server, Some(&bundle), "UnknownIssuer", NOT_TRUSTED).await;
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_as_that() {
    let site = Site::asked(0).await;
    let plain = canned::serve_at_once("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let [ims, s3] = site.clients(plain, None).ask().await.map(Option::unwrap);
    for told in [ims.1, s3.1] {
        assert!(told.ends_with("no TLS is spoken there: see the port, or use http"), "{told}");
    }
}

#[tokio::test]
async fn with_tls_insecure_any_certificate_is_taken_by_both_clients_and_only_then() {
    let site = Site::asked(3).await;
    for certificate in [
        site.authority.certificate("127.0.0.1"),
        site.authority.certificate("rgw-vip.nmn"),
        site.authority.certificate_until("127.0.0.1", 2010),
    ] {
        let address = site.behind(certificate).await;
        assert!(site.clients(address, None).ask().await.iter().all(Option::is_some));
        assert_eq!(site.clients_of(address, None, true).ask().await, [None, None]);
    }
}

/// The server's certificate is of another CA from now on; who trusts that one is answered.
#[tokio::test]
async fn a_bundle_that_is_replaced_on_disk_is_trusted_from_the_next_pass_on_by_both_clients() {
    let site = Site::asked(2).await;
    let new = Authority::new();
    let bundle = site.bundle(site.authority.pem());
    let gateway = Gateway::before(*site.server.address(), site.authority.certificate("127.0.0.1")).await;
    let clients = site.clients(gateway.address(), Some(&bundle));
    assert_eq!(clients.ask().await, [None, None]);
    gateway.renew(&new);
    assert!(clients.ask().await.iter().all(Option::is_some), "nobody has told them of the new CA");
    // Under another inode, as `mv` does it.
    let fresh = site.files.path().join("fresh.pem");
    std::fs::write(&fresh, new.pem()).unwrap();
    std::fs::rename(&fresh, &bundle).unwrap();
    assert_eq!(clients.ask().await, [None, None]);
}

#[tokio::test]
async fn a_bundle_that_is_torn_or_gone_keeps_the_old_one_trusted_is_told_once_and_taken_when_it_is_whole() {
    let log = Log::of_this_thread();
    let site = Site::asked(4).await;
    let new = Authority::new();
    let bundle = site.bundle(site.authority.pem());
    let gateway = Gateway::before(*site.server.address(), site.authority.certificate("127.0.0.1")).await;
    let clients = site.clients(gateway.address(), Some(&bundle));
    let torn = new.pem().len() / 2;
    std::fs::write(&bundle, &new.pem()[..torn]).unwrap();
    gateway.renew(&site.authority);
    assert_eq!(clients.ask().await, [None, None]);
    std::fs::remove_file(&bundle).unwrap();
    gateway.renew(&site.authority);
    assert_eq!(clients.ask().await, [None, None]);
    gateway.renew(&new);
    assert!(clients.ask().await.iter().all(Option::is_some), "still the old one");
    assert_eq!(log.count("ca_not_renewed"), 2, "once for IMS and once for S3");
    site.bundle(new.pem());
    assert_eq!(clients.ask().await, [None, None]);
    assert_eq!(log.count("ca_renewed"), 2);
    std::fs::write(&bundle, "torn").unwrap();
    assert_eq!(clients.ask().await, [None, None]);
    assert_eq!(log.count("ca_not_renewed"), 4, "told anew, for it is another time");
}
