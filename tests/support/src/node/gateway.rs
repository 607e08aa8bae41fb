//! The API gateway in front of IMS: TLS, with a certificate that can be changed while it runs.

use super::Node;
use crate::tls::{Authority, relay};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// The gateway of a [`Node`].
pub struct Gateway {
    address: SocketAddr,
    front: Arc<Mutex<Front>>,
}

struct Front {
    acceptor: TlsAcceptor,
    served: Vec<AbortHandle>,
}

impl Node {
    /// Begins to serve, with a certificate of this CA.
    pub fn gateway(&self, authority: &Authority) -> Gateway {
        let front = Arc::new(Mutex::new(Front { acceptor: acceptor(authority), served: Vec::new() }));
        let (upstream, shown) = (self.ims.address(), front.clone());
        let listener = self.runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        self.runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut front = shown.lock().expect("the gateway");
                let serving = tokio::spawn(relay(front.acceptor.clone(), client, upstream));
                front.served.push(serving.abort_handle());
            }
        });
        Gateway { address, front }
    }
}

impl Gateway {
    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Shows a new certificate of this CA from now on. Every connection is closed, and no session of before can be
    /// resumed: whoever asks again has to trust this CA.
    pub fn renew(&self, authority: &Authority) {
        let mut front = self.front.lock().expect("the gateway");
        front.acceptor = acceptor(authority);
        front.served.drain(..).for_each(|serving| serving.abort());
    }
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    TlsAcceptor::from(Arc::new(authority.certificate("127.0.0.1")))
}
