//! A scripted targetclid on a real Unix socket.
//!
//! It knows word for word what it will be asked, and in which order; a request too many, too few or different is a
//! fault, which [`Peer::finish`] reports. It serves one client at a time, as the real one does.

use serde::Deserialize;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// How a client takes its leave.
const FAREWELL: &str = "-END@OF@DATA-";

/// Whoever waits so long waits for ever, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a real targetclid was asked, and what it said.
#[derive(Debug, Deserialize)]
pub struct Transcript {
    /// The first session.
    #[serde(rename = "exchanges")]
    pub first: Vec<Exchange>,
    /// A later one.
    #[serde(rename = "second_session")]
    pub second: Vec<Exchange>,
}

impl Transcript {
    /// Of targetclid 2.1.53.
    pub fn recorded() -> Self {
        serde_json::from_str(include_str!("../../../fixtures/targetclid-transcript.json"))
            .expect("the fixture is a transcript")
    }

    /// The same beside half-made objects: first a backstore, in the second session a LUN.
    pub fn half_made() -> Self {
        serde_json::from_str(include_str!("../../../fixtures/targetclid-half-made.json"))
            .expect("the fixture is a transcript")
    }

    /// The same with two node ACLs.
    pub fn acls() -> Self {
        serde_json::from_str(include_str!("../../../fixtures/targetclid-acls.json"))
            .expect("the fixture is a transcript")
    }

    /// The answers to this request, in their order.
    pub fn replies(&self, request: &str) -> Vec<&str> {
        let all = self.first.iter().chain(&self.second);
        all.filter(|exchange| exchange.request == request).map(|exchange| exchange.reply.as_str()).collect()
    }
}

/// One request and its answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Exchange {
    /// The command.
    pub request: String,
    /// The length that was announced.
    pub length: i32,
    /// The text that followed.
    pub reply: String,
}

impl Exchange {
    /// An answer whose length is announced as the real one does: in characters.
    pub fn new(request: &str, reply: &str) -> Self {
        let length = i32::try_from(reply.chars().count()).expect("a short reply");
        Exchange { request: request.to_owned(), length, reply: reply.to_owned() }
    }

    /// What every client says first.
    pub fn greeting() -> Self {
        Exchange::new("/ version", "targetcli version 2.1.53\n")
    }

    /// The answer as it goes over the wire.
    fn frame(&self) -> Vec<u8> {
        [&self.length.to_ne_bytes()[..], self.reply.as_bytes()].concat()
    }
}

/// What the peer does next with the connection it has.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Waits for this request and answers it.
    Answer(Exchange),
    /// Answers it byte by byte, until the client has had enough.
    Drip(Exchange, Duration),
    /// Answers it with the first bytes only.
    Half(Exchange),
    /// Waits for this request and says nothing.
    Ignore(&'static str),
    /// Says, on its cue, something that nobody asked for.
    Blurt(&'static [u8]),
    /// Waits until the client has hung up without a farewell.
    Abandoned,
    /// Waits for the farewell, alone in its write, and for the end of the connection.
    Farewell,
    /// Hangs up itself.
    HangUp,
}

/// The running daemon.
#[derive(Debug)]
pub struct Peer {
    socket: PathBuf,
    turns: Receiver<()>,
    cue: Sender<()>,
    thread: JoinHandle<Result<(), String>>,
}

impl Peer {
    /// Serves one connection after the other, each by its script. The socket takes connections when this returns.
    pub fn start(socket: &Path, script: Vec<Vec<Turn>>) -> Self {
        let listener = UnixListener::bind(socket).expect("the scratch folder takes a socket");
        let (report, turns) = channel();
        let (cue, cued) = channel();
        let stage = Stage { report, cued };
        let thread = spawn(move || {
            for (number, connection) in script.into_iter().enumerate() {
                let client = listener.accept().map_err(|error| error.to_string())?.0;
                stage.serve(&client, connection).map_err(|fault| format!("connection {number}: {fault}"))?;
            }
            Ok(())
        });
        Peer { socket: socket.to_owned(), turns, cue, thread }
    }

    /// Waits until the peer has made so many turns more.
    pub fn turns(&self, count: usize) {
        for _ in 0..count {
            self.turns.recv_timeout(PATIENCE).expect("the peer is still waiting for its turn");
        }
    }

    /// Lets it blurt.
    pub fn cue(&self) {
        self.cue.send(()).expect("the peer is still there");
    }

    /// The script has been played to its end, exactly; the socket is gone.
    pub fn finish(self) {
        // A peer that still waits for a connection finds out by this one that nobody came.
        let too_few =
            UnixStream::connect(&self.socket).and_then(|client| client.shutdown(std::net::Shutdown::Both));
        let result = self.thread.join().expect("the peer has not panicked");
        std::fs::remove_file(&self.socket).expect("the socket is ours");
        if let Err(fault) = result {
            panic!("{fault} (last connection: {too_few:?})");
        }
    }
}

/// What the thread of the peer shares with the test.
struct Stage {
    report: Sender<()>,
    cued: Receiver<()>,
}

impl Stage {
    fn serve(&self, client: &UnixStream, script: Vec<Turn>) -> Result<(), String> {
        client.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        for turn in script {
            if matches!(turn, Turn::Blurt(_)) {
                self.cued.recv_timeout(PATIENCE).map_err(|_| "no cue".to_owned())?;
            }
            let name = format!("{turn:?}");
            play(client, turn).map_err(|fault| format!("{name}: {fault}"))?;
            // A test that does not count turns may be gone.
            let _ = self.report.send(());
        }
        Ok(())
    }
}

fn play(client: &UnixStream, turn: Turn) -> Result<(), String> {
    match turn {
        Turn::Answer(exchange) => {
            expect(client, &exchange.request)?;
            say(client, &exchange.frame())
        }
        Turn::Drip(exchange, pace) => {
            expect(client, &exchange.request)?;
            for byte in exchange.frame() {
                if hung_up_within(client, pace)? || say(client, &[byte]).is_err() {
                    return Ok(());
                }
            }
            Ok(())
        }
        Turn::Half(exchange) => {
            expect(client, &exchange.request)?;
            let frame = exchange.frame();
            say(client, &frame[..frame.len() / 2])
        }
        Turn::Ignore(request) => expect(client, request),
        Turn::Blurt(bytes) => say(client, bytes),
        Turn::Abandoned => match receive(client)? {
            rest if rest.is_empty() => Ok(()),
            more => Err(format!("the client said {more:?}")),
        },
        Turn::Farewell => {
            expect(client, FAREWELL)?;
            play(client, Turn::Abandoned)?;
            // A client that has only shut down its side could still listen, and would make the daemon spin.
            match (&*client).write(b"?") {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                other => Err(format!("the connection was shut down, not closed: {other:?}")),
            }
        }
        Turn::HangUp => client.shutdown(std::net::Shutdown::Both).map_err(|error| error.to_string()),
    }
}

/// The request is what one read returns: the real daemon has no other way to tell where it ends.
fn expect(client: &UnixStream, request: &str) -> Result<(), String> {
    let received = receive(client)?;
    if received == request { Ok(()) } else { Err(format!("the client said {received:?}")) }
}

fn receive(mut client: &UnixStream) -> Result<String, String> {
    let mut bytes = vec![0; 65535];
    match client.read(&mut bytes) {
        Ok(length) => Ok(String::from_utf8_lossy(&bytes[..length]).into_owned()),
        // Closed with an answer unread: closed.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(String::new()),
        Err(error) => Err(format!("nothing was received: {error}")),
    }
}

fn say(mut client: &UnixStream, bytes: &[u8]) -> Result<(), String> {
    client.write_all(bytes).map_err(|error| format!("nobody listens: {error}"))
}

fn hung_up_within(client: &UnixStream, pace: Duration) -> Result<bool, String> {
    client.set_read_timeout(Some(pace)).map_err(|error| error.to_string())?;
    let read = (&*client).read(&mut [0; 1]);
    client.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    match read {
        Ok(0) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(true),
        other => Err(format!("the client did not wait for its answer: {other:?}")),
    }
}
