//! One command and its one answer, on a connection.

use super::codec::{FrameError, Reply};
use super::command::Command;
use super::deadline::Deadline;
use rustix::net::{SendFlags, send as send_now};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// How a client takes its leave: the daemon closes the connection as soon as it has received this, and with whatever
/// came before it in the same `recv` it does nothing (facts 2.8).
const FAREWELL: &[u8] = b"-END@OF@DATA-";

/// What is received at once: answers are a few lines.
const CHUNK: usize = 4096;

/// How an exchange ends that has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("no answer in time")]
    Late,
    #[error("the daemon hung up")]
    HungUp,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("bytes that belong to no answer were waiting")]
    Surplus,
    #[error("{0}")]
    Socket(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failure::Late,
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Failure::HungUp,
            _ => Failure::Socket(error),
        }
    }
}

impl Failure {
    /// Whether the daemon may just be restarting.
    pub(super) fn will_pass(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, Interrupted, NotFound};
        match self {
            Failure::Connect(error) => {
                matches!(error.kind(), NotFound | ConnectionRefused | Interrupted)
            }
            Failure::HungUp => true,
            _ => false,
        }
    }
}

/// Sends one command and reads its one answer.
pub(super) fn exchange(
    stream: &UnixStream,
    command: &Command,
    deadline: &Deadline,
) -> Result<String, Failure> {
    send(stream, command, deadline)?;
    receive(stream, &mut Reply::default(), deadline)
}

/// Sends one command.
pub(super) fn send(mut stream: &UnixStream, command: &Command, deadline: &Deadline) -> Result<(), Failure> {
    stream.set_write_timeout(Some(deadline.left().ok_or(Failure::Late)?))?;
    Ok(stream.write_all(command.as_str().as_bytes())?)
}

/// Reads the rest of an answer. When it is late, it may be waited for once more.
pub(super) fn receive(
    mut stream: &UnixStream,
    reply: &mut Reply,
    deadline: &Deadline,
) -> Result<String, Failure> {
    let mut chunk = [0; CHUNK];
    loop {
        stream.set_read_timeout(Some(deadline.left().ok_or(Failure::Late)?))?;
        match stream.read(&mut chunk) {
            Ok(0) => return Err(Failure::HungUp),
            Ok(length) => {
                if let Some(text) = reply.push(&chunk[..length])? {
                    return Ok(text);
                }
            }
            // A socket with a deadline is interrupted by any signal, even one whose handler says "restart".
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes leave and closes the connection, at once: what does not fit the socket's buffer is not waited for.
///
/// Without `shutdown`: a half-closed stream makes the daemon spin (facts 2.8).
pub(super) fn take_leave(stream: UnixStream) {
    if let Err(error) = send_now(&stream, FAREWELL, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        tracing::debug!(%error, "targetclid was left without a farewell");
    }
}
