//! The s3fs mount of the VM, as an operator and the OOM killer treat it.

use super::{DropIn, MOUNT, Server, run};

const UNIT: &str = "s3fs-boot-images.service";

/// Stops the unit: what was mounted is detached, and its daemon ends.
pub fn stop() {
    run("systemctl", &["stop", UNIT]);
}

/// Starts the unit: a new mount, on top of whatever was left there.
pub fn start() {
    run("systemctl", &["start", UNIT]);
}

/// `kill -9` of the daemon: what it leaves answers ENOTCONN.
pub fn kill() {
    run("systemctl", &["kill", "--signal=KILL", UNIT]);
    super::wait_for("s3fs is dead", std::time::Duration::from_secs(30), || {
        let state = run("systemctl", &["show", "--value", "-p", "ActiveState", UNIT]);
        (state.trim() != "active").then_some(())
    });
}

/// The mount with other options than those of the unit; those are back when it is dropped, for the next `site reset`.
pub struct Remounted {
    _options: DropIn,
}

impl Remounted {
    /// Mounts it anew with these options, `retries=1,...`, instead of stat_cache_expire=1.
    pub fn with(options: &str) -> Self {
        Remounted::before(Server::Versitygw, options)
    }

    /// The same before this S3 server.
    pub fn before(server: Server, options: &str) -> Self {
        let text = format!(
            "[Service]\nExecStart=\nExecStart=/usr/bin/s3fs boot-images {MOUNT} -o url=http://{},\
             use_path_request_style,passwd_file=/root/.ims.s3fs,allow_other{options}\n",
            server.host()
        );
        let remounted = Remounted { _options: DropIn::of(UNIT, &text) };
        run("systemctl", &["restart", UNIT]);
        remounted
    }
}
