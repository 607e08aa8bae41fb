//! Whether somebody else wants the daemon that serves us: another client, or whoever stops it.

use super::holder;
use super::sockets::{Client, Ends, Table, queue_of};
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::net::UnixStream;

/// Where that can be seen.
#[derive(Clone, Debug)]
pub(super) struct Post {
    /// The socket at which others wait.
    listening: u32,
    /// The daemon's process.
    pub(super) daemon: u32,
}

impl Post {
    /// Of a connection that is served; `None` if it cannot be seen. `before` is the daemon's process as it was last known.
    pub(super) fn of(stream: &UnixStream, before: Option<u32>) -> Option<Self> {
        let table =
            Table::read().inspect_err(|error| tracing::debug!(%error, "sockets cannot be seen")).ok()?;
        let Ends { daemon, listening } = table.ends(Client::of(stream).ok()?)?;
        let same = before.filter(|pid| !holder::files_of(*pid, daemon).is_empty());
        Some(Post { listening, daemon: same.or_else(|| holder::process_of(daemon))? })
    }

    /// What cannot be seen any more may be so.
    pub(super) fn is_wanted(&self) -> bool {
        !matches!(queue_of(self.listening), Ok(0)) || !self.takes_clients()
    }

    /// On SIGTERM the daemon closes its own listening socket, and then waits for the session under way to end. The one that
    /// systemd gave it stays open: this is the one without O_CLOEXEC (facts 2.6).
    fn takes_clients(&self) -> bool {
        let files = holder::files_of(self.daemon, self.listening);
        files.iter().any(|file| is_its_own(self.daemon, file))
    }
}

/// `flags: 02000002`, in octal.
fn is_its_own(pid: u32, file: &OsStr) -> bool {
    let info =
        fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", file.to_string_lossy())).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok());
    flags.is_some_and(|flags| OFlags::from_bits_retain(flags).contains(OFlags::CLOEXEC))
}

/// Whether a daemon of this version can be stopped while it serves somebody: only then may a session stay open between two
/// commands. 2.1.x ends with the session; 3.0.0 to 3.0.2 forget a SIGTERM that comes during one, and systemd kills them
/// after 90 s (facts 2.6). Nobody knows what comes after.
pub(super) fn can_be_stopped(greeting: &str) -> bool {
    greeting.trim().strip_prefix("targetcli version ").is_some_and(|version| version.starts_with("2."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn r13_only_a_daemon_that_can_be_stopped_during_a_session_is_left_with_one_open() {
        for version in ["2.1.53", "2.1.58", "2.1.fb49"] {
            assert!(can_be_stopped(&format!("targetcli version {version}\n")), "{version}");
        }
        for other in ["3.0.1", "3.0.2", "4.0", "21.0"] {
            assert!(!can_be_stopped(&format!("targetcli version {other}\n")), "{other}");
        }
        assert!(!can_be_stopped("Command not found version\n"));
    }

    /// A daemon in this process, with one client.
    fn served() -> (tempfile::TempDir, UnixListener, UnixStream, UnixStream) {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let client = UnixStream::connect(folder.path().join("socket")).unwrap();
        let accepted = listener.accept().unwrap().0;
        (folder, listener, client, accepted)
    }

    #[test]
    fn r13_a_daemon_is_wanted_when_another_client_waits_for_it() {
        let (folder, _listener, client, _accepted) = served();
        let post = Post::of(&client, None).unwrap();
        assert_eq!(post.daemon, std::process::id());
        assert!(!post.is_wanted());
        let _other = UnixStream::connect(folder.path().join("socket")).unwrap();
        assert!(post.is_wanted());
    }

    #[test]
    fn r13_a_daemon_is_wanted_by_whoever_stops_it_although_its_socket_stays_with_systemd() {
        let (_folder, listener, client, _accepted) = served();
        let _given_by_systemd = rustix::io::dup(&listener).unwrap();
        let post = Post::of(&client, Some(std::process::id())).unwrap();
        assert!(!post.is_wanted());
        drop(listener);
        assert!(post.is_wanted());
    }

    #[test]
    fn r13_a_client_that_is_not_served_yet_cannot_see_whether_others_wait() {
        let folder = tempfile::tempdir().unwrap();
        let _listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let client = UnixStream::connect(folder.path().join("socket")).unwrap();
        assert!(Post::of(&client, None).is_none());
    }
}
