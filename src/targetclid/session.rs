//! The one session: send, wait, read, and nothing else.
//!
//! The connection is made when it is first needed and kept as long as it is in step and nobody else waits; any doubt
//! drops it. A command that may have been received is never sent again: the caller looks at configfs instead.

use super::command::Command;
use super::connect::{self, Rest};
use super::deadline::Deadline;
use super::exchange::{Failure, exchange, take_leave};
use super::sockets::{Client, Table};
use super::turn::{self, InVain, Obstacle, Patience};
use actors::ports::LioError;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// A session with targetclid, which serves one client at a time.
#[derive(Debug)]
pub struct Session {
    socket: PathBuf,
    patience: Patience,
    stream: Option<UnixStream>,
    /// Why our turn did not come when it was last waited for, and how long that was.
    obstacle: Option<(Obstacle, Duration)>,
    /// It has been waited for since [`Session::end`]: this is not done twice.
    waited: bool,
}

/// A clone is a session of its own, not connected yet.
impl Clone for Session {
    fn clone(&self) -> Self {
        Session::new(&self.socket).with_patience(self.patience)
    }
}

impl Session {
    /// A session that connects when it is first used.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        let patience = Patience::default();
        Session { socket: socket.into(), patience, stream: None, obstacle: None, waited: false }
    }

    /// The same session with another patience.
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The daemon's answer to this command: the limit is that of the answer, from the moment on at which it is our
    /// turn. After an error the connection is gone, and whether the command was carried out is not known.
    pub fn request(&mut self, command: &Command, limit: Duration) -> Result<String, LioError> {
        self.ready()?;
        self.send(command, limit)
    }

    /// It is our turn: the daemon has answered on this connection and waits for a command. If it is not, the error
    /// says who is in the way. Until [`Session::end`] that is waited for once; after that it is said at once.
    pub fn ready(&mut self) -> Result<(), LioError> {
        let kept =
            self.kept().map_err(|failure| self.report(failure, &Command::greeting(), Duration::ZERO))?;
        let stream = match kept {
            Some(stream) => stream,
            None => self.wait()?,
        };
        self.stream = Some(stream);
        Ok(())
    }

    /// The answer to a command, when [`Session::ready`] has just said that it is our turn.
    pub fn send(&mut self, command: &Command, limit: Duration) -> Result<String, LioError> {
        let asked = match self.stream.take() {
            Some(stream) => exchange(&stream, command, &Deadline::after(limit)).map(|reply| (stream, reply)),
            None => Err(Failure::HungUp),
        };
        let (stream, reply) = asked.map_err(|failure| self.report(failure, command, limit))?;
        match others_wait(&stream) {
            // R13: whoever waits is served after this command; our next one joins the queue.
            true => take_leave(stream),
            false => self.stream = Some(stream),
        }
        Ok(reply)
    }

    /// Takes leave, so that other clients are served; never blocks. Nothing happens if there is no connection.
    pub fn end(&mut self) {
        self.hang_up();
        self.waited = false;
    }

    /// Takes leave in the middle of a pass: what was waited for stays waited for.
    pub fn hang_up(&mut self) {
        if let Some(stream) = self.stream.take() {
            take_leave(stream);
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

    /// A new connection that has been greeted.
    fn wait(&mut self) -> Result<UnixStream, LioError> {
        let mut patience = self.patience;
        if let Some((obstacle, was)) = &self.obstacle {
            let short = if self.waited { Duration::ZERO } else { patience.again };
            if (self.waited && obstacle.is_unseen()) || obstacle.stays(short) {
                self.waited = true;
                return Err(self.in_the_way(obstacle, *was));
            }
            if self.waited || obstacle.is_unseen() && obstacle.holder.is_some() {
                (patience.client, patience.daemon) = (patience.again, patience.again);
            }
        }
        match turn::wait(&self.socket, &patience) {
            Ok(stream) => {
                (self.obstacle, self.waited) = (None, false);
                Ok(stream)
            }
            Err(InVain::Failure(failure)) => Err(self.report(failure, &Command::greeting(), patience.daemon)),
            Err(InVain::Obstacle(obstacle, waited)) => {
                let told = self.in_the_way(&obstacle, waited);
                (self.obstacle, self.waited) = (Some((obstacle, waited)), true);
                Err(told)
            }
        }
    }

    fn in_the_way(&self, obstacle: &Obstacle, waited: Duration) -> LioError {
        let (command, seconds) = (Command::greeting().as_str().to_owned(), waited.as_secs());
        match &obstacle.holder {
            Some(holder) => LioError::Busy { command, holder: holder.clone(), seconds },
            None => LioError::Timeout { command, seconds },
        }
    }

    /// The failure, as the port knows it.
    fn report(&self, failure: Failure, command: &Command, limit: Duration) -> LioError {
        let command = command.as_str().to_owned();
        match failure {
            Failure::Connect(source) => LioError::Connect { path: self.socket.display().to_string(), source },
            Failure::Late => LioError::Timeout { command, seconds: limit.as_secs() },
            broken => LioError::Session { command, problem: broken.to_string() },
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where it cannot be seen, others wait until the pass has ended.
fn others_wait(stream: &UnixStream) -> bool {
    match (Table::read(), Client::of(stream)) {
        (Ok(table), Ok(client)) => table.others_wait(client),
        _ => false,
    }
}
