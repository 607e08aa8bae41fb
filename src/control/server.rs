//! The listeners, and the thread they live on.

use super::routes::{self, Audience};
use super::{Current, socket, textfile};
use crate::config::Settings;
use crate::metrics::Counters;
use crate::telemetry::Tap;
use actors::events::emit;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::fs::{self, Permissions};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// For a request to arrive: whoever takes longer is cut off.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// For a connection: longer than the longest pass, which `resync` waits for.
const CONNECTION_WITHIN: Duration = Duration::from_secs(3600);

/// The same over TCP, where no answer takes long.
const SHORT_CONNECTION: Duration = Duration::from_secs(30);

/// From one try to have the port of http.listen to the next.
const BIND_EVERY: Duration = Duration::from_secs(10);

/// Connections of each listener at a time; more wait to be accepted.
const CONNECTIONS: usize = 32;

/// After an accept that failed, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// What all connections share.
#[derive(Clone)]
pub(super) struct Shared {
    pub current: watch::Receiver<Option<Arc<Current>>>,
    pub tap: Tap,
    pub counters: Counters,
}

/// The running server: tells it which agent runs.
pub struct Server(watch::Sender<Option<Arc<Current>>>);

impl Server {
    /// Listens in `runtime_dir`, and on TCP if that is wanted, on a thread that nobody waits for: it ends with the process.
    pub fn start(settings: &Settings, tap: Tap) -> io::Result<Self> {
        let unix = bind(&socket(&settings.runtime_dir))?;
        let listen = settings.http.listen;
        let textfile = settings.metrics.textfile.clone();
        let (current, seen) = watch::channel(None);
        let shared = Shared { current: seen, tap, counters: Counters::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serve = move || {
            runtime.block_on(async move {
                if let Some(textfile) = textfile {
                    tokio::spawn(textfile::keep(textfile, shared.clone()));
                }
                tokio::spawn(count(shared.tap.listen(), shared.counters.clone()));
                let others = listen.map(|address| serve_tcp(address, shared.clone()));
                let operators = serve_unix(unix, shared);
                match others {
                    Some(others) => drop(tokio::join!(operators, others)),
                    None => drop(operators.await),
                }
            });
        };
        std::thread::Builder::new().name("control".to_owned()).spawn(serve)?;
        Ok(Server(current))
    }

    /// From now on this agent is asked.
    pub fn serve(&self, current: Current) {
        self.0.send_replace(Some(Arc::new(current)));
    }

    /// None is, until the next one.
    pub fn pause(&self) {
        self.0.send_replace(None);
    }
}

/// Everything that is told, as long as we live.
async fn count(mut told: broadcast::Receiver<Arc<str>>, counters: Counters) {
    loop {
        match told.recv().await {
            Ok(line) => counters.count(&line),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// The lock has been taken: a socket that is there is of a process that has ended.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve_unix(listener: UnixListener, shared: Shared) -> io::Result<()> {
    let listener = tokio::net::UnixListener::from_std(listener)?;
    accept(async || Ok(listener.accept().await?.0), Audience::Operators, shared).await;
    Ok(())
}

/// Its address may come up after us (R14), and its port be let go by another.
async fn serve_tcp(address: SocketAddr, shared: Shared) {
    let mut is_told = false;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) if !is_told => {
                is_told = true;
                emit!(
                    CONTROL_NOT_SERVED,
                    detail = format!("http.listen {address}: {error}; it is tried again")
                );
            }
            Err(_) => {}
        }
        tokio::time::sleep(BIND_EVERY).await;
    };
    accept(async || Ok(listener.accept().await?.0), Audience::Anybody, shared).await;
}

async fn accept<S>(next: impl AsyncFn() -> io::Result<S>, audience: Audience, shared: Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match next().await {
            Ok(stream) => {
                let connection = connection(stream, audience, shared.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "no connection could be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn connection<S>(stream: S, audience: Audience, shared: Shared) -> impl Future<Output = ()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let within = match audience {
        Audience::Operators => CONNECTION_WITHIN,
        Audience::Anybody => SHORT_CONNECTION,
    };
    let answer = service_fn(move |request| routes::answer(request, audience, shared.clone()));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        .serve_connection(TokioIo::new(stream), answer);
    async move {
        // A client that has gone is no error of ours.
        let _ = timeout(within, served).await;
    }
}
