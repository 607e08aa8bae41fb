//! targetclid, the daemon that changes LIO: typed command -> frame -> socket with deadlines.
//!
//! Its protocol has no framing of requests, no status and no quoting (facts 2.1-2.8). So one command at a time, made
//! of checked words only, and whatever is not exactly one answer ends the session.

mod access;
mod codec;
mod command;
mod connect;
mod deadline;
mod exchange;
mod holder;
mod kept;
mod lock;
mod post;
mod session;
mod sockets;
mod turn;

pub use access::{Access, Waits};
#[cfg(fuzzing)]
pub use codec::fuzz;
pub use command::{Command, IqnError, LONGEST_COMMAND, Target};
pub use lock::{Held, ShellLock};
pub use session::{Session, Turn};
pub use turn::Patience;
