//! A server that says the same bytes to everybody: for answers that no decent HTTP server would give.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

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
    serving(move |mut client| async move {
        request(&mut client).await?;
        client.write_all(answer.as_bytes()).await?;
        match then {
            Then::Close => client.shutdown().await,
            Then::Hang => std::future::pending().await,
        }
    })
    .await
}

/// Answers whatever comes, and does not wait until it is a request: as a server of another protocol does.
pub async fn serve_at_once(answer: &'static str) -> SocketAddr {
    serving(move |mut client| async move {
        client.read_u8().await?;
        client.write_all(answer.as_bytes()).await?;
        std::future::pending().await
    })
    .await
}

/// Answers nobody until so many requests wait for an answer at the same time, then all of them.
pub async fn serve_together(count: usize, answer: &'static str) -> SocketAddr {
    let together = Arc::new(Barrier::new(count));
    serving(move |mut client| {
        let together = Arc::clone(&together);
        async move {
            request(&mut client).await?;
            together.wait().await;
            client.write_all(answer.as_bytes()).await?;
            client.shutdown().await
        }
    })
    .await
}

/// Says the head at once, and then the body letter by letter. The clock of tokio stands still from now on, but for a
/// pause before each letter: the test takes no time, and no load on the machine makes a pause longer.
pub async fn serve_slowly(head: &'static str, body: &'static str, pause: Duration) -> SocketAddr {
    // A paused clock moves by itself while everybody waits for a socket, but not beside a blocking task.
    let (held, end) = channel::<()>();
    drop(tokio::task::spawn_blocking(move || end.recv()));
    tokio::time::pause();
    serving(move |mut client| {
        let held = held.clone();
        async move {
            request(&mut client).await?;
            client.write_all(head.as_bytes()).await?;
            for letter in body.bytes() {
                settle().await;
                tokio::time::advance(pause).await;
                client.write_u8(letter).await?;
            }
            drop(held);
            client.shutdown().await
        }
    })
    .await
}

/// The other end, which is in this very thread, has read what was written.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// A port that nobody listens on.
pub async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("a bound socket has an address")
}

/// Every client is served in its own way, at the same time as the others.
async fn serving<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client));
        }
    });
    address
}

/// Reads a request without a body.
async fn request(client: &mut TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await?);
    }
    Ok(())
}
