//! A private CA, and a proxy that puts TLS in front of a plain server.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A CA that nobody trusts by default.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one, with its own key.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names, so none is bad");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed by itself").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// What a client has to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server certificate for this host name or address.
    pub fn certificate(&self, host: &str) -> ServerConfig {
        self.certificate_until(host, 2099)
    }

    /// One that is good up to the first day of that year.
    pub fn certificate_until(&self, host: &str, year: i32) -> ServerConfig {
        self.issued(host, year).0
    }

    /// A server certificate, and the same as PEM.
    pub fn certificate_and_pem(&self, host: &str) -> (ServerConfig, String) {
        self.issued(host, 2099)
    }

    fn issued(&self, host: &str, year: i32) -> (ServerConfig, String) {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a host name or an address");
        params.distinguished_name.push(DnType::CommonName, host);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed by the CA");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS#8 key");
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate and its key");
        (server, certificate.pem())
    }
}

/// Terminates TLS in front of a plain server, until the runtime of the test ends. Says where.
pub async fn terminate(upstream: SocketAddr, server: ServerConfig) -> SocketAddr {
    Gateway::before(upstream, server).await.address
}

/// The API gateway in front of a service: TLS, with a certificate that can be changed while it runs.
pub struct Gateway {
    address: SocketAddr,
    front: Arc<Mutex<Front>>,
}

struct Front {
    acceptor: TlsAcceptor,
    served: Vec<AbortHandle>,
}

impl Gateway {
    /// Begins to serve, until the runtime ends.
    pub async fn before(upstream: SocketAddr, server: ServerConfig) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let front = Arc::new(Mutex::new(Front { acceptor, served: Vec::new() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shown = front.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut front = shown.lock().expect("the gateway");
                let serving = tokio::spawn(relay(front.acceptor.clone(), client, upstream));
                front.served.push(serving.abort_handle());
            }
        });
        Gateway { address, front }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Shows a new certificate of this CA from now on. Every connection is closed, and no session of before can be
    /// resumed: whoever asks again has to trust this CA.
    pub fn renew(&self, authority: &Authority) {
        let mut front = self.front.lock().expect("the gateway");
        front.acceptor = TlsAcceptor::from(Arc::new(authority.certificate("127.0.0.1")));
        front.served.drain(..).for_each(|serving| serving.abort());
    }
}

/// Serves one client: TLS with it, plain with the server.
async fn relay(acceptor: TlsAcceptor, client: TcpStream, upstream: SocketAddr) -> std::io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    let mut upstream = TcpStream::connect(upstream).await?;
    tokio::io::copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}
