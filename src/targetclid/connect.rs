//! One connection to the daemon's socket.

use super::deadline::Deadline;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, socket_with,
};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A new connection, by the deadline. The standard library has no deadline here, and the queue of a daemon that serves
/// nobody fills up: it keeps one client waiting when systemd does not hold the socket, and the next one hangs.
pub(super) fn open(path: &Path, deadline: &Deadline) -> io::Result<UnixStream> {
    let limit = deadline.left().ok_or(io::ErrorKind::TimedOut)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

/// How a connection is that has been left alone since its last answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing has happened.
    InStep,
    /// The daemon has hung up.
    Closed,
    /// The daemon has said more than it announced.
    Surplus,
}

/// Looks without waiting, and takes nothing out.
pub(super) fn rest(stream: &UnixStream) -> io::Result<Rest> {
    match recv(stream, &mut [0u8; 1], RecvFlags::DONTWAIT | RecvFlags::PEEK) {
        Ok((0, _)) | Err(rustix::io::Errno::CONNRESET) => Ok(Rest::Closed),
        Ok(_) => Ok(Rest::Surplus),
        Err(rustix::io::Errno::AGAIN) => Ok(Rest::InStep),
        Err(error) => Err(error.into()),
    }
}
