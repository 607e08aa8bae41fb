//! The session between two commands: it stays open as long as nobody else wants the daemon (R13).
//!
//! The daemon serves one client at a time and tells nobody that others wait. So a thread looks, as long as a session is
//! kept, whatever the agent does meanwhile: it waits for its next pass, for IMS, or for a file of a mount that hangs.

use super::access::{Access, Opened};
use super::connect::{self, Rest};
use super::exchange::take_leave;
use super::post::Post;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// From one look to the next: whoever comes is served within a second, also on a slow machine. A look costs some tens of
/// microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A connection that the daemon serves.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: UnixStream,
    /// Where it can be seen whether somebody else wants the daemon. Without it the connection serves for one command.
    post: Option<Post>,
    access: Access,
    _opened: Opened,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, post: Option<Post>, access: &Access) -> Self {
        Connection { stream, post, access: access.clone(), _opened: access.open() }
    }

    pub(super) fn post(&self) -> Option<&Post> {
        self.post.as_ref()
    }

    /// It is in step, as far as is known, and nobody else wants the daemon.
    fn may_stay(&self) -> bool {
        if self.access.released().is_some() {
            return false;
        }
        let hung_up = matches!(connect::rest(&self.stream), Ok(Rest::Closed));
        !hung_up && self.post.as_ref().is_some_and(|post| !post.is_wanted())
    }

    pub(super) fn leave(self) {
        take_leave(self.stream);
    }
}

/// The place of a connection that nobody uses at the moment.
#[derive(Debug, Default)]
pub(super) struct Kept {
    shared: Arc<Shared>,
    is_watched: bool,
}

#[derive(Debug, Default)]
struct Shared {
    place: Mutex<Place>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Place {
    connection: Option<Connection>,
    /// Nothing will be kept here any more.
    over: bool,
}

impl Kept {
    /// Keeps a connection, if nobody else wants the daemon; else leaves it.
    pub(super) fn keep(&mut self, connection: Connection) {
        if !connection.may_stay() || !self.watch() {
            return connection.leave();
        }
        self.shared.lock().connection = Some(connection);
        self.shared.changed.notify_one();
    }

    /// What is still kept.
    pub(super) fn take(&mut self) -> Option<Connection> {
        self.shared.lock().connection.take()
    }

    /// Whether somebody looks.
    fn watch(&mut self) -> bool {
        if !self.is_watched {
            let shared = self.shared.clone();
            let thread = std::thread::Builder::new().name("session".to_owned());
            let watched = thread.spawn(move || shared.watch());
            self.is_watched = watched.is_ok();
            if let Err(error) = watched {
                tracing::debug!(%error, "the session with targetclid cannot be watched");
            }
        }
        self.is_watched
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self) {
        loop {
            let nothing = |place: &mut Place| place.connection.is_none() && !place.over;
            let woken = self.changed.wait_while(self.lock(), nothing);
            if woken.unwrap_or_else(PoisonError::into_inner).over {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
            if let Some(wanted) = self.lock().connection.take_if(|kept| !kept.may_stay()) {
                tracing::debug!("the session with targetclid was ended: somebody else wants the daemon");
                wanted.leave();
            }
        }
    }
}
