//! The one session: send, wait, read, and nothing else.
//!
//! The connection is made when it is first needed and kept as long as it is in step and nobody else wants the daemon; any
//! doubt drops it. A command that may have been received is never sent again: the caller looks at configfs instead.

use super::access::Access;
use super::command::Command;
use super::connect::{self, Rest};
use super::deadline::Deadline;
use super::exchange::{Failure, exchange};
use super::kept::{Connection, Kept};
use super::post::{Post, can_be_stopped};
use super::turn::{self, InVain, Obstacle, Patience};
use actors::ports::LioError;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A session with targetclid, which serves one client at a time.
#[derive(Debug)]
pub struct Session {
    socket: PathBuf,
    patience: Patience,
    kept: Kept,
    access: Access,
    /// How long a daemon that is being started reads LIO before it serves anybody.
    tree: Duration,
    /// The daemon's process, as it was last known.
    daemon: Option<u32>,
    /// Why our turn did not come when it was last waited for, and how long that was.
    obstacle: Option<(Obstacle, Duration)>,
    /// It has been waited for since [`Session::renew`]: this is not done twice.
    waited: bool,
}

/// A clone is a session of its own, not connected yet.
impl Clone for Session {
    fn clone(&self) -> Self {
        Session::new(&self.socket).with_patience(self.patience).with_access(self.access.clone())
    }
}

/// It is our turn: the daemon has answered on this connection and waits for a command. Whoever has it says a command or
/// lets it go at once, for nobody looks meanwhile whether others want the daemon.
#[derive(Debug)]
pub struct Turn<'a> {
    session: &'a mut Session,
    connection: Option<Connection>,
}

impl Turn<'_> {
    /// The daemon's answer to this command. After an error the connection is gone, and whether the command was carried out
    /// is not known.
    pub fn say(&mut self, command: &Command, limit: Duration) -> Result<String, LioError> {
        let asked = match self.connection.take() {
            Some(connection) => exchange(&connection.stream, command, &Deadline::after(limit))
                .map(|reply| (connection, reply)),
            None => Err(Failure::HungUp),
        };
        let (connection, reply) = asked.map_err(|failure| self.session.report(failure, command, limit))?;
        self.connection = Some(connection);
        Ok(reply)
    }

    /// Takes leave: others are served.
    pub fn leave(mut self) {
        if let Some(connection) = self.connection.take() {
            connection.leave();
        }
    }
}

/// R13: whoever waits is served now; our next command joins the queue.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.session.kept.keep(connection);
        }
    }
}

impl Session {
    /// A session that connects when it is first used.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        let (patience, kept) = (Patience::default(), Kept::default());
        let (access, tree) = (Access::default(), Duration::ZERO);
        let (daemon, obstacle, waited) = (None, None, false);
        Session { socket: socket.into(), patience, kept, access, tree, daemon, obstacle, waited }
    }

    /// The same session with another patience.
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The same session, known to others by this.
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// From now on a daemon that serves nobody, and may be starting, is waited for so much longer.
    pub fn expect_tree(&mut self, longest: Duration) {
        self.tree = longest;
    }

    /// The daemon's answer to this command: the limit is that of the answer, from the moment on at which it is our turn.
    pub fn request(&mut self, command: &Command, limit: Duration) -> Result<String, LioError> {
        self.turn()?.say(command, limit)
    }

    /// Waits for our turn. If it does not come, the error says who is in the way. Until [`Session::renew`] that is waited
    /// for once; after that it is said at once.
    pub fn turn(&mut self) -> Result<Turn<'_>, LioError> {
        self.check_released()?;
        let kept =
            self.kept().map_err(|failure| self.report(failure, &Command::greeting(), Duration::ZERO))?;
        let connection = match kept {
            Some(connection) => connection,
            None => self.wait()?,
        };
        Ok(Turn { session: self, connection: Some(connection) })
    }

    /// Whether an operator has the daemon; then the connection is ended.
    pub fn check_released(&mut self) -> Result<(), LioError> {
        let Some(left) = self.access.released() else { return Ok(()) };
        self.end();
        let command = Command::greeting().as_str().to_owned();
        let holder = format!("an operator (sbps-marshal release) for another {} s", left.as_secs());
        Err(LioError::Busy { command, holder, seconds: 0 })
    }

    /// Whoever was in the way in vain may be waited for once more.
    pub fn renew(&mut self) {
        self.waited = false;
    }

    /// Takes leave, so that other clients are served; never blocks. Nothing happens if there is no connection.
    pub fn end(&mut self) {
        if let Some(connection) = self.kept.take() {
            connection.leave();
        }
        self.renew();
    }

    /// The connection of the last command, if it is still in step. That the daemon has hung up meanwhile is no error:
    /// nothing has been sent yet.
    fn kept(&mut self) -> Result<Option<Connection>, Failure> {
        let Some(connection) = self.kept.take() else { return Ok(None) };
        match connect::rest(&connection.stream)? {
            Rest::InStep => Ok(Some(connection)),
            Rest::Closed => Ok(None),
            Rest::Surplus => Err(Failure::Surplus),
        }
    }

    /// A new connection that has been greeted.
    fn wait(&mut self) -> Result<Connection, LioError> {
        let mut patience = self.patience;
        patience.daemon += self.tree;
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
        let began = Instant::now();
        let waited = turn::wait(&self.socket, &patience);
        self.access.waited(began.elapsed());
        match waited {
            Ok((stream, greeting)) => {
                (self.obstacle, self.waited) = (None, false);
                let post = can_be_stopped(&greeting).then(|| Post::of(&stream, self.daemon)).flatten();
                let connection = Connection::new(stream, post, &self.access);
                self.daemon = connection.post().map(|post| post.daemon).or(self.daemon);
                Ok(connection)
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
