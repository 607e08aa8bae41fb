//! The S3 servers of the VM, of two makes.

use super::run;

/// An S3 server of the VM. Both know the keys of /root/.ims.s3fs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// versitygw: objects are files. Every test that asks for no other has this one.
    Versitygw,
    /// Ceph's radosgw, which CSM has: over a monitor and an object store of its own, in memory.
    Radosgw,
}

impl Server {
    /// Of each make.
    pub const BOTH: [Server; 2] = [Server::Versitygw, Server::Radosgw];

    /// As `s3.host` has it.
    pub fn host(self) -> &'static str {
        match self {
            Server::Versitygw => "127.0.0.1:7070",
            Server::Radosgw => "127.0.0.1:7071",
        }
    }

    /// One line for each request, from every client.
    pub(super) fn access_log(self) -> &'static str {
        match self {
            Server::Versitygw => "/var/log/versitygw-access.log",
            Server::Radosgw => "/var/log/radosgw.log",
        }
    }

    /// Starts it anew, empty, without even a bucket. `site reset` stops it again.
    pub(super) fn start_empty(self) {
        assert_ne!(self, Server::Versitygw, "that one is the site's own");
        run("systemctl", &["restart", "radosgw-one.service"]);
    }
}
