//! A server that says the same bytes to everybody: for answers that no decent HTTP server would give.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the connection after the bytes.
#[derive(Clone, Copy)]
pub enum Then {
    /// It ends, whatever the answer had promised.
    Close,
    /// It stays open, and nothing more comes.
    Hang,
}

/// Listens until the runtime of the test ends.
pub async fn serve(answer: &'static str, then: Then) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(answered(client, answer, then));
        }
    });
    address
}

/// A port that nobody listens on.
pub async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("a bound socket has an address")
}

async fn answered(mut client: TcpStream, answer: &str, then: Then) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await?);
    }
    client.write_all(answer.as_bytes()).await?;
    match then {
        Then::Close => client.shutdown().await,
        Then::Hang => std::future::pending().await,
    }
}
