//! A network that can be down: an address by which IMS and S3 are reached, and that can be taken away.

use super::{Node, run};
use std::net::SocketAddr;
use std::process::Command;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Of TEST-NET-1. The VM has no route to it unless it is its own.
const ADDRESS: &str = "192.0.2.10";
const S3: ([u8; 4], u16) = ([127, 0, 0, 1], 7070);

/// The way to IMS and S3. It is down until it is brought [`up`](Network::up), and when this is dropped.
pub struct Network {
    ims: u16,
    s3: u16,
}

impl Node {
    /// A way to IMS and S3 that is down.
    pub fn network(&self) -> Network {
        let network = Network { ims: self.relay_to(self.ims.address()), s3: self.relay_to(S3.into()) };
        network.down();
        network
    }

    /// The port of a relay to this server.
    fn relay_to(&self, server: SocketAddr) -> u16 {
        let listener = self.runtime.block_on(TcpListener::bind("0.0.0.0:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        self.runtime.spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        address.port()
    }
}

impl Network {
    /// What the agent has to be configured with.
    pub fn config(&self) -> String {
        format!("ims.gateway = \"http://{ADDRESS}:{}\"\ns3.host = \"{ADDRESS}:{}\"", self.ims, self.s3)
    }

    /// IMS and S3 can be reached.
    pub fn up(&self) {
        run("ip", &["address", "add", &format!("{ADDRESS}/32"), "dev", "lo"]);
    }

    /// They cannot; also if they could not before.
    pub fn down(&self) {
        let _ = Command::new("ip").args(["address", "del", &format!("{ADDRESS}/32"), "dev", "lo"]).output();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.down();
    }
}
