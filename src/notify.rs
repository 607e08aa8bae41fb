//! What systemd is told. Without systemd nobody listens, and that is fine.

use crate::causes::{SHOWN, one_line};
use actors::events::emit;
use sd_notify::NotifyState;
use std::time::Duration;

/// Start or reload is done.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] follows in any case. With the time: since systemd 253 a reload
/// without it is waited for until it times out (facts P61).
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => {
            emit!(SYSTEMD_NOT_TOLD, detail = format!("the monotonic clock cannot be read: {error}"))
        }
    }
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    // A newline would begin a message of its own.
    tell(&[NotifyState::Status(&one_line(&text.replace('\n', " "), SHOWN))]);
}

/// How often to look whether [`alive`] may be said; `None`: systemd does not want to hear it. A tenth of what it waits
/// for, so that what happens between two looks is no reason to kill.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 10)
}

/// Something has come about in the agent.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The last step is being finished, within this time. systemd waits for it even if the unit's TimeoutStopSec= is shorter.
pub fn stopping(limit: Duration) {
    let micros = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        emit!(SYSTEMD_NOT_TOLD, detail = error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    /// The other half of the test below: it runs in a process of its own, for the socket is named by the environment.
    /// Without one, as among the other tests, it shows that nobody has to listen.
    #[test]
    fn daemon() {
        ready();
        reloading();
        status("3 projected\nREADY=0");
        alive();
        stopping(Duration::from_secs(315));
    }

    #[test]
    fn systemd_hears_each_message_as_it_expects_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        systemd.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let daemon = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "notify::tests::daemon"])
            .env("NOTIFY_SOCKET", &path)
            .output()
            .unwrap();
        assert!(daemon.status.success(), "{daemon:?}");
        let hear = || {
            let mut message = [0; 256];
            let length = systemd.recv(&mut message).unwrap();
            String::from_utf8(message[..length].to_vec()).unwrap()
        };
        assert_eq!(hear(), "READY=1\n");
        let reloading = hear();
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(time.trim_end().parse::<u64>().unwrap() > 0);
        assert_eq!(hear(), "STATUS=3 projected READY=0\n");
        assert_eq!(hear(), "WATCHDOG=1\n");
        assert_eq!(hear(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=315000000\n");
    }
}
