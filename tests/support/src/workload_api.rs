//! A fake SPIRE agent: the Workload API's FetchJWTSVID over gRPC on a Unix socket, in its bytes.

use bytes::Bytes;
use h2::server::SendResponse;
use http::HeaderValue;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// What the agent answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These tokens, each with its SPIFFE ID.
    Svids(Vec<(String, String)>),
    /// A status of gRPC, by its number, and its text.
    Status(u16, &'static str),
    /// Nothing, with the connection open.
    Silence,
    /// Bytes that are no message.
    Garbage,
}

/// PermissionDenied, as spire-agent says it.
pub const DENIED: Answer = Answer::Status(7, "no identity issued");

/// The agent; it ends when it is dropped, and its socket remains.
pub struct WorkloadApi {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

struct State {
    answer: Answer,
    requests: Vec<Request>,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub path: String,
    /// Without this header an agent refuses: it keeps out forged requests.
    pub workload_header: String,
    /// The message of gRPC.
    pub message: Vec<u8>,
}

impl WorkloadApi {
    /// Listens at this path; a socket that is there already is replaced.
    pub fn start(socket: &Path, answer: Answer) -> Self {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).expect("a socket");
        let state = Arc::new(Mutex::new(State { answer, requests: Vec::new() }));
        let server = tokio::spawn(accept(listener, state.clone()));
        WorkloadApi { socket: socket.to_owned(), state, server }
    }

    /// Answers so from now on.
    pub fn answers(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Ends, and takes its socket away.
    pub fn remove(self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Drop for WorkloadApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: UnixListener, state: Arc<Mutex<State>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, state.clone()));
    }
}

async fn serve(stream: UnixStream, state: Arc<Mutex<State>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    // Each beside the others: to wait for the next one is what drives the connection.
    let mut requests = tokio::task::JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        requests.spawn(answer(request, respond, state.clone()));
    }
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    state: Arc<Mutex<State>>,
) -> Result<(), h2::Error> {
    let path = request.uri().path().to_owned();
    let header = request.headers().get("workload.spiffe.io").and_then(|value| value.to_str().ok());
    let workload_header = header.unwrap_or_default().to_owned();
    let (mut message, mut body) = (Vec::new(), request.into_body());
    while let Some(data) = body.data().await {
        message.extend_from_slice(&data?);
    }
    let answer = {
        let mut state = state.lock().unwrap();
        state.requests.push(Request { path, workload_header, message });
        state.answer.clone()
    };
    let (message, status, text) = match answer {
        Answer::Svids(svids) => (Some(response(&svids)), 0, ""),
        Answer::Garbage => (Some(vec![0xff; 3]), 0, ""),
        Answer::Status(status, text) => (None, status, text),
        Answer::Silence => std::future::pending().await,
    };
    let mut head = http::Response::new(());
    head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut stream = respond.send_response(head, false)?;
    if let Some(message) = message {
        stream.send_data(framed(&message).into(), false)?;
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", status.into());
    trailers.insert("grpc-message", HeaderValue::from_static(text));
    stream.send_trailers(trailers)
}

/// Uncompressed, and its length.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// `JWTSVIDResponse { repeated JWTSVID svids = 1 }`, `JWTSVID { string spiffe_id = 1; string svid = 2 }`.
fn response(svids: &[(String, String)]) -> Vec<u8> {
    let svid =
        |(id, token): &(String, String)| [field(1, id.as_bytes()), field(2, token.as_bytes())].concat();
    svids.iter().flat_map(|one| field(1, &svid(one))).collect()
}

/// A field of bytes: its number, its length in sevens of bits, and they.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
    out
}
