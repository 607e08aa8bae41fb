//! Who is connected to the daemon, and who waits: the kernel's own table of Unix sockets (unix_diag over netlink, as
//! `ss -x` reads it). Looked at only: the daemon knows nothing of it.
//!
//! A connection is two sockets. That of the daemon's side has the address of the socket it came in by, and its `peer`
//! is the client's. As long as the daemon has not accepted it, only the listening socket knows the client's.

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{TCP_ESTABLISHED, TCP_LISTEN};
use netlink_packet_sock_diag::unix::nlas::{Nla, Vfs};
use netlink_packet_sock_diag::unix::{ShowFlags, StateFlags, UnixRequest, UnixResponse};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The kernel answers at once; this only keeps a fault of it from being ours (R14).
const WITHIN: Duration = Duration::from_secs(1);

/// As much as the kernel ever gives at once.
const CHUNK: usize = 32 * 1024;

/// No socket has this inode.
const ALL: u32 = 0;

/// Whichever socket has the inode now.
const ANY: [u8; 8] = [0xff; 8];

/// Netlink messages begin at multiples of this.
const ALIGNMENT: usize = 4;

/// All Unix sockets of this network namespace, as they were at one moment.
#[derive(Debug)]
pub(super) struct Table(Vec<UnixResponse>);

/// A socket of ours, as the table names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client(u32);

/// What keeps the daemon from accepting a client.
#[derive(Clone, Debug)]
pub(super) struct Door {
    address: Vfs,
    /// The daemon's side of the connection that it serves.
    served: Option<u32>,
}

/// The sockets of the daemon that a client is served by, by their inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// The daemon's side of the connection.
    pub(super) daemon: u32,
    /// Where others wait.
    pub(super) listening: u32,
}

/// Why a client has no answer.
#[derive(Debug)]
pub(super) enum Place {
    /// It waits, as the daemon serves this one: its socket, or none if it has hung up.
    Behind(Door, Option<u32>),
    /// It waits, and the daemon serves nobody: it is starting, stopped or hung.
    First(Door),
    /// It is the one that is served.
    Served,
}

impl Client {
    /// The client's side of this connection.
    pub(super) fn of(stream: &UnixStream) -> io::Result<Self> {
        // The table has 32 bits of it, and so has the kernel.
        Ok(Client(rustix::fs::fstat(stream)?.st_ino as u32))
    }
}

/// How many clients wait to be accepted by the listening socket of this inode. One question about one socket: cheap
/// enough to be asked all the time.
pub(super) fn queue_of(listening: u32) -> io::Result<u32> {
    let mut found = Vec::new();
    let socket = ask(&request(listening))?;
    let mut chunk = vec![0; CHUNK];
    let (length, _) = rustix::io::retry_on_intr(|| recv(&socket, &mut *chunk, RecvFlags::empty()))?;
    take(chunk.get(..length).unwrap_or_default(), &mut found)?;
    let queue = found.iter().find(|socket| socket.header.inode == listening);
    queue.and_then(UnixResponse::number_of_pending_connection).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Table {
    /// Asks the kernel. An old one, or one that lets us have no netlink socket, cannot be asked.
    pub(super) fn read() -> io::Result<Self> {
        let socket = ask(&request(ALL))?;
        let (mut sockets, mut chunk) = (Vec::new(), vec![0; CHUNK]);
        loop {
            let (length, _) = rustix::io::retry_on_intr(|| recv(&socket, &mut *chunk, RecvFlags::empty()))?;
            if take(chunk.get(..length).unwrap_or_default(), &mut sockets)? {
                return Ok(Table(sockets));
            }
        }
    }

    /// Where this client is; `None` if that is not to be seen.
    pub(super) fn place(&self, client: Client) -> Option<Place> {
        if self.served().any(|socket| peer(socket) == Some(client.0)) {
            return Some(Place::Served);
        }
        let waits =
            |socket: &&UnixResponse| socket.pending_connections().unwrap_or_default().contains(&client.0);
        let address = self.listening().find(waits).and_then(address)?.clone();
        let mut served = self.served().filter(|socket| self::address(socket) == Some(&address)).peekable();
        let Some(one) = served.peek().map(|socket| socket.header.inode) else {
            return Some(Place::First(Door { address, served: None }));
        };
        // What a client left behind that hung up is kept by the daemon until it accepts the next one.
        match served.find_map(|socket| Some((socket.header.inode, peer(socket)?))) {
            Some((inode, holder)) => Some(Place::Behind(Door { address, served: Some(inode) }, Some(holder))),
            None => Some(Place::Behind(Door { address, served: Some(one) }, None)),
        }
    }

    /// Whether the daemon has accepted nobody since this was seen, provided that one connection was left in its queue.
    pub(super) fn is_shut(&self, door: &Door) -> bool {
        let mut ours = self.served().filter(|socket| address(socket) == Some(&door.address));
        match door.served {
            Some(inode) => ours
                .find(|socket| socket.header.inode == inode)
                .is_some_and(|socket| peer(socket).is_some() || self.queue(&door.address) > 0),
            None => ours.next().is_none() && self.queue(&door.address) > 0,
        }
    }

    /// While this client is served: the daemon's side of its connection, and the socket at which others wait.
    pub(super) fn ends(&self, client: Client) -> Option<Ends> {
        let ours = self.served().find(|socket| peer(socket) == Some(client.0))?;
        let listening = self.listening().find(|socket| address(socket) == address(ours))?;
        Some(Ends { daemon: ours.header.inode, listening: listening.header.inode })
    }

    fn queue(&self, wanted: &Vfs) -> u32 {
        let waiting = self.listening().filter(|socket| address(socket) == Some(wanted));
        waiting.filter_map(UnixResponse::number_of_pending_connection).sum()
    }

    fn listening(&self) -> impl Iterator<Item = &UnixResponse> {
        self.0.iter().filter(|socket| socket.header.state == TCP_LISTEN)
    }

    fn served(&self) -> impl Iterator<Item = &UnixResponse> {
        self.0.iter().filter(|socket| socket.header.state == TCP_ESTABLISHED)
    }
}

fn ask(request: &[u8]) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(WITHIN))?;
    set_socket_timeout(&socket, Timeout::Send, Some(WITHIN))?;
    send(&socket, request, SendFlags::empty())?;
    Ok(socket)
}

/// About one socket, or [`ALL`] of them.
fn request(inode: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = if inode == ALL { NLM_F_REQUEST | NLM_F_DUMP } else { NLM_F_REQUEST };
    let request = UnixRequest {
        state_flags: StateFlags::ESTABLISHED | StateFlags::LISTEN,
        inode,
        show_flags: ShowFlags::VFS | ShowFlags::PEER | ShowFlags::ICONS | ShowFlags::RQLEN,
        cookie: ANY,
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::UnixRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The messages of one datagram; whether it was the last one.
fn take(mut bytes: &[u8], sockets: &mut Vec<UnixResponse>) -> io::Result<bool> {
    while !bytes.is_empty() {
        let message = NetlinkMessage::<SockDiagMessage>::deserialize(bytes).map_err(io::Error::other)?;
        let length = usize::try_from(message.header.length).unwrap_or(usize::MAX).max(1);
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(refused) => return Err(refused.to_io()),
            NetlinkPayload::InnerMessage(SockDiagMessage::UnixResponse(socket)) => sockets.push(*socket),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    Ok(false)
}

/// The socket at the other end, if that has not been closed.
fn peer(socket: &UnixResponse) -> Option<u32> {
    socket.peer().filter(|inode| *inode != 0)
}

/// The file that the socket, or the one it came in by, was bound to.
fn address(socket: &UnixResponse) -> Option<&Vfs> {
    socket.nlas.iter().find_map(|nla| match nla {
        Nla::Vfs(file) => Some(file),
        _ => None,
    })
}
