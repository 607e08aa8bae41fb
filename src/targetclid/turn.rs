//! Waiting for our turn: the daemon serves one client at a time, and lets the others wait without a word.
//!
//! A client that has to wait is connected and can send, and what it has sent is carried out when its turn comes, even
//! if it has long gone. So a new connection says something harmless first, its greeting, and a change is said only
//! once that is answered.
//!
//! A wait that was in vain ends with a farewell on the unanswered connection. The daemon will find it in its queue and
//! receive greeting and farewell at once; then it closes the connection and does nothing else (`client_thread` in
//! 2.1.53 to 3.0.2: no command, no traceback, no file left in /tmp, which is what a mere close would cost). While this
//! connection is in the queue, the kernel shows that nobody else has been accepted: so the next ask looks there first
//! and joins the queue again only when something has changed. However often it is asked, a client that holds the
//! daemon for hours costs the daemon one dead connection.
//!
//! Nothing of ours stays in the queue that could be served: between two passes it would be our turn without anybody
//! here to end it, and everybody would wait for us (R13).

use super::codec::Reply;
use super::command::Command;
use super::connect;
use super::deadline::Deadline;
use super::exchange::{Failure, receive, send, take_leave};
use super::holder;
use super::sockets::{Client, Door, Place, Table};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// From one look at the queue to the next.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// From one try to connect to the next: the first pause, doubled each time ...
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// ... up to this one.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long a session waits for its turn. Only tests wait less.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a socket that is away or a daemon that hangs up: while it restarts, for about a second.
    pub restart: Duration,
    /// Before the client that is served is named: longer than most commands take, and short enough that it is named
    /// within 10 s of the need, with what a pass does before and after.
    pub client: Duration,
    /// For a daemon that serves nobody: it is started by our connection. What it then takes to read LIO comes on top, see
    /// [`Session::expect_tree`](super::session::Session::expect_tree).
    pub daemon: Duration,
    /// When the last wait was in vain.
    pub again: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            restart: Duration::from_secs(3),
            client: Duration::from_secs(5),
            daemon: Duration::from_secs(10),
            again: Duration::from_secs(1),
        }
    }
}

/// What was in the way when our turn did not come.
#[derive(Clone, Debug)]
pub(super) struct Obstacle {
    /// Where it can be seen, if it can.
    door: Option<Door>,
    /// The client that is served; `None` if it is the daemon itself that does not answer.
    pub(super) holder: Option<String>,
}

/// How a wait ends without our turn.
#[derive(Debug)]
pub(super) enum InVain {
    /// Something was in the way for so long.
    Obstacle(Obstacle, Duration),
    /// There was no connection, or it broke.
    Failure(Failure),
}

impl Obstacle {
    /// Whether it is still there after this time at most. Without a look at the kernel's table it is not known: then
    /// only another wait can tell.
    pub(super) fn stays(&self, within: Duration) -> bool {
        let Some(door) = &self.door else { return false };
        let deadline = Deadline::after(within);
        loop {
            match Table::read() {
                Ok(table) if table.is_shut(door) => {}
                Ok(_) | Err(_) => return false,
            }
            match deadline.left() {
                Some(left) => std::thread::sleep(LOOK_EVERY.min(left)),
                None => return true,
            }
        }
    }

    /// It cannot be seen, so it has to be waited for.
    pub(super) fn is_unseen(&self) -> bool {
        self.door.is_none()
    }
}

/// A connection whose greeting the daemon has answered, and the answer. Only this far a restart of the daemon is bridged, as nothing
/// that changes anything has been sent yet.
pub(super) fn wait(socket: &Path, patience: &Patience) -> Result<(UnixStream, String), InVain> {
    let restart = Deadline::after(patience.restart);
    let mut pause = FIRST_PAUSE;
    loop {
        let deadline = Deadline::after(patience.daemon.max(patience.client));
        let greeted = match connect::open(socket, &deadline) {
            Ok(stream) => greet(stream, patience, &deadline),
            // The queue is full: so many wait already that not even this can be waited for.
            Err(full) if full.kind() == io::ErrorKind::WouldBlock => {
                Err(InVain::Obstacle(unseen(), patience.daemon.max(patience.client)))
            }
            Err(error) => Err(InVain::Failure(Failure::Connect(error))),
        };
        match (greeted, restart.left()) {
            (Err(InVain::Failure(failure)), Some(left)) if failure.will_pass() => {
                tracing::debug!(%failure, "targetclid is tried again");
                std::thread::sleep(pause.min(left));
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            (ended, _) => return ended,
        }
    }
}

fn greet(stream: UnixStream, patience: &Patience, end: &Deadline) -> Result<(UnixStream, String), InVain> {
    let mut reply = Reply::default();
    let first = Deadline::after(patience.client);
    let answered =
        send(&stream, &Command::greeting(), &first).and_then(|()| receive(&stream, &mut reply, &first));
    let (answered, obstacle, waited) = match answered {
        Err(Failure::Late) => match look(&stream) {
            // It may only be starting.
            Some(daemon) if daemon.holder.is_none() => {
                (receive(&stream, &mut reply, end), daemon, patience.daemon.max(patience.client))
            }
            Some(client) => (Err(Failure::Late), client, patience.client),
            None => (Err(Failure::Late), unseen(), patience.client),
        },
        answered => (answered, unseen(), patience.client),
    };
    match answered {
        Ok(reply) => Ok((stream, reply)),
        Err(Failure::Late) => {
            take_leave(stream);
            Err(InVain::Obstacle(obstacle, waited))
        }
        Err(broken) => Err(InVain::Failure(broken)),
    }
}

fn unseen() -> Obstacle {
    Obstacle { door: None, holder: Some(holder::SOMEBODY.to_owned()) }
}

/// What this client, which has no answer, is waiting for; `None` if that cannot be seen.
fn look(stream: &UnixStream) -> Option<Obstacle> {
    let table = Table::read().inspect_err(|error| tracing::debug!(%error, "sockets cannot be seen")).ok()?;
    Some(match table.place(Client::of(stream).ok()?)? {
        Place::Behind(door, client) => {
            let holder = match client {
                Some(inode) => holder::of_socket(inode).unwrap_or_else(|| holder::SOMEBODY.to_owned()),
                None => "a client that has hung up, and whose command is still carried out".to_owned(),
            };
            Obstacle { door: Some(door), holder: Some(holder) }
        }
        Place::First(door) => Obstacle { door: Some(door), holder: None },
        // Its thread may have died (facts P22): this connection will never be answered, the next one will.
        Place::Served => Obstacle { door: None, holder: None },
    })
}
