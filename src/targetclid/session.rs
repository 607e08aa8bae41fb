//! The one session: send, wait, read, and nothing else.
//!
//! The connection is made when it is first needed and kept as long as it is in step; any doubt drops it. A command
//! that may have been received is never sent again: the caller looks at configfs instead.

use super::codec::{FrameError, Reply};
use super::command::Command;
use super::connect::{self, Rest};
use super::deadline::Deadline;
use actors::ports::LioError;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// How a client takes its leave. Alone in its write: with a command before it the daemon drops both (FACTS 2.8).
const FAREWELL: &[u8] = b"-END@OF@DATA-";

/// For the farewell. It always fits the socket's empty buffer, so this is never used up.
const FAREWELL_WITHIN: Duration = Duration::from_secs(1);

/// While the daemon restarts, its socket is away or hangs up for about a second: so long it is tried again.
const RECONNECT_WITHIN: Duration = Duration::from_secs(3);

/// From one try to the next: the first pause, doubled each time ...
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// ... up to this one.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What is received at once: answers are a few lines.
const CHUNK: usize = 4096;

/// A session with targetclid, which serves one client at a time.
#[derive(Debug)]
pub struct Session {
    socket: PathBuf,
    stream: Option<UnixStream>,
}

/// A clone is a session of its own, not connected yet.
impl Clone for Session {
    fn clone(&self) -> Self {
        Session::new(&self.socket)
    }
}

/// How an exchange ends that has no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
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
    fn will_pass(&self) -> bool {
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

impl Session {
    /// A session that connects when it is first used.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Session { socket: socket.into(), stream: None }
    }

    /// The daemon's answer to this command, within the limit. After an error the connection is gone, and whether the
    /// command was carried out is not known.
    pub fn ask(&mut self, command: &Command, limit: Duration) -> Result<String, LioError> {
        let deadline = Deadline::after(limit);
        let stream = match self.kept().map_err(|failure| self.report(failure, command, &deadline))? {
            Some(stream) => stream,
            None => self.open(&deadline)?,
        };
        let reply = exchange(&stream, command, &deadline)
            .map_err(|failure| self.report(failure, command, &deadline))?;
        self.stream = Some(stream);
        Ok(reply)
    }

    /// Takes leave, so that other clients are served. Nothing happens if there is no connection.
    ///
    /// Without `shutdown`: a half-closed stream makes the daemon spin (FACTS 2.8).
    pub fn end(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        let said = stream.set_write_timeout(Some(FAREWELL_WITHIN)).and_then(|()| stream.write_all(FAREWELL));
        if let Err(error) = said {
            tracing::debug!(%error, "targetclid was left without a farewell");
        }
    }

    /// The connection of the last command, if it is still in step. That the daemon has hung up meanwhile is no error:
    /// nothing has been sent yet.
    fn kept(&mut self) -> Result<Option<UnixStream>, Failure> {
        let Some(stream) = self.stream.take() else { return Ok(None) };
        match connect::rest(&stream)? {
            Rest::InStep => Ok(Some(stream)),
            Rest::Closed => Ok(None),
            Rest::Surplus => Err(Failure::Surplus),
        }
    }

    /// A connection whose greeting the daemon has answered.
    ///
    /// A client that has to wait for its turn is connected and can send, but if it gives up waiting, what it sent is
    /// carried out later, at any time. So a new connection says something harmless first; a change is sent only once
    /// it is our turn. And only this far a restart of the daemon is bridged, as nothing is sent twice.
    fn open(&self, deadline: &Deadline) -> Result<UnixStream, LioError> {
        let greeting = Command::greeting();
        let patience = deadline.at_most(RECONNECT_WITHIN);
        let mut pause = FIRST_PAUSE;
        loop {
            let greeted =
                connect::open(&self.socket, deadline).map_err(Failure::Connect).and_then(|stream| {
                    exchange(&stream, &greeting, deadline)?;
                    Ok(stream)
                });
            match (greeted, patience.left()) {
                (Ok(stream), _) => return Ok(stream),
                (Err(failure), Some(left)) if failure.will_pass() => {
                    tracing::debug!(%failure, "targetclid is tried again");
                    std::thread::sleep(pause.min(left));
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                (Err(failure), _) => return Err(self.report(failure, &greeting, deadline)),
            }
        }
    }

    /// The failure, as the port knows it.
    fn report(&self, failure: Failure, command: &Command, deadline: &Deadline) -> LioError {
        let command = command.as_str().to_owned();
        match failure {
            Failure::Connect(source) => LioError::Connect { path: self.socket.display().to_string(), source },
            Failure::Late => LioError::Timeout { command, seconds: deadline.seconds() },
            broken => LioError::Session { command, problem: broken.to_string() },
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends one command and reads its one answer.
fn exchange(mut stream: &UnixStream, command: &Command, deadline: &Deadline) -> Result<String, Failure> {
    stream.set_write_timeout(Some(deadline.left().ok_or(Failure::Late)?))?;
    stream.write_all(command.as_str().as_bytes())?;
    let mut reply = Reply::default();
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
