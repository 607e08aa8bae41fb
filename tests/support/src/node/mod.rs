//! The throw-away node of the VM tests: real S3 servers, s3fs, LIO, targetclid, systemd and open-iscsi, and an
//! IMS-shaped server. Only to be used inside the VM (tests/vm).

mod agent;
mod bucket;
pub mod configfs;
mod drop_in;
mod execs;
mod follow;
mod gateway;
mod ims;
mod initiator;
mod kernel;
mod kube;
pub mod mount;
mod multipath;
mod network;
mod reader;
mod server;
mod undelete;

pub use agent::{Agent, Summary, UNIT};
pub use bucket::Bucket;
pub use drop_in::DropIn;
pub use execs::Execs;
pub use follow::{Event, Follow, micros_now};
pub use ims::Ims;
pub use initiator::{Disk, Initiator, sha256_of_tree};
pub use kernel::{Lun, Target, clear_target, has_lun_of, luns};
pub use kube::Kube;
pub use multipath::Multipath;
pub use network::Network;
pub use reader::Reader;
pub use server::Server;

use sha2::{Digest, Sha224};
use std::process::Command;
use std::time::{Duration, Instant};

/// What the agent before remembers, or has set aside, would be of another site.
fn forget() {
    let _ = std::fs::remove_dir_all("/var/lib/sbps-marshal");
    for entry in std::fs::read_dir(SAVE_FOLDER).expect("the folder of saveconfig.json").flatten() {
        if entry.file_name().to_string_lossy().contains(".torn-") {
            std::fs::remove_file(entry.path()).expect("a file set aside");
        }
    }
}

/// The bucket, its mount point and the target of the VM (tests/vm/guest).
pub const BUCKET: &str = "boot-images";
/// Where s3fs shows it.
pub const MOUNT: &str = "/var/lib/cps-local/boot-images";
/// The target.
pub const IQN: &str = "iqn.2023-06.csm.iscsi:vm1";

/// Where Debian's targetcli saves.
pub const SAVE_FOLDER: &str = "/etc/rtslib-fb-target";

/// A fresh site: nothing in the bucket, nothing in LIO but the target, no image in IMS, no agent.
pub struct Node {
    /// The bucket.
    pub bucket: Bucket,
    /// The image management service.
    pub ims: Ims,
    runtime: tokio::runtime::Runtime,
    /// The mount of a server that is not the site's own.
    _remounted: Option<mount::Remounted>,
}

impl Node {
    /// Resets the VM's site and starts an empty IMS.
    pub fn fresh() -> Self {
        Node::fresh_on(Server::Versitygw)
    }

    /// The same, with the bucket on this S3 server, and s3fs before it.
    pub fn fresh_on(server: Server) -> Self {
        run("site", &["reset"]);
        forget();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the site");
        let ims = runtime.block_on(Ims::start());
        let bucket = Bucket::new(runtime.handle().clone(), server);
        let remounted = (server != Server::Versitygw).then(|| {
            server.start_empty();
            bucket.create();
            mount::Remounted::before(server, ",stat_cache_expire=1")
        });
        Node { bucket, ims, runtime, _remounted: remounted }
    }

    /// Nothing is left in LIO but the target, and no agent; bucket and IMS stay as they are.
    pub fn empty(&self) {
        run("site", &["empty"]);
        forget();
    }

    /// Adds a tagged or untagged image with manifest and root file system; `parts` 0 is a plain upload.
    pub fn add_image(&self, id: &str, squashfs: &[u8], parts: usize, tagged: bool) -> Image {
        let key = format!("{id}/rootfs");
        let etag = self.bucket.put_in_parts(&key, squashfs, parts);
        let path = format!("s3://{BUCKET}/{key}");
        let mut manifest = manifest(&path, &etag);
        // The ETag of a plain upload is the MD5 of what was uploaded.
        manifest["artifacts"][0]["md5"] =
            if parts == 0 { etag.as_str().into() } else { md5(squashfs).into() };
        self.bucket.put(&format!("{id}/manifest.json"), manifest.to_string().as_bytes());
        self.ims.add(id, tagged);
        Image::rootfs(&path, &etag, &key)
    }

    /// Puts another root file system and its manifest in the place of an image's; IMS hears nothing of it.
    pub fn replace_image(&self, id: &str, squashfs: &[u8]) -> Image {
        let key = format!("{id}/rootfs");
        let etag = self.bucket.put(&key, squashfs);
        let path = format!("s3://{BUCKET}/{key}");
        self.bucket.put(&format!("{id}/manifest.json"), manifest(&path, &etag).to_string().as_bytes());
        Image::rootfs(&path, &etag, &key)
    }

    /// Uploads a PE image.
    pub fn add_pe(&self, key: &str, squashfs: &[u8]) -> Image {
        self.bucket.put(key, squashfs);
        Image::of_pe(key)
    }

    /// How many requests IMS has answered since it was last asked.
    pub fn ims_requests(&self) -> usize {
        self.runtime.block_on(self.ims.take_requests())
    }
}

/// 32 hex digits.
fn md5(bytes: &[u8]) -> String {
    let file = "/run/sources/to-be-hashed";
    std::fs::write(file, bytes).expect("a file in /run");
    run("md5sum", &[file]).split_whitespace().next().expect("a sum").to_owned()
}

/// A manifest as IMS writes it.
pub fn manifest(path: &str, etag: &str) -> serde_json::Value {
    let artifact = |kind: &str, path: &str, etag: &str| {
        let link = serde_json::json!({"path": path, "etag": etag, "type": "s3"});
        serde_json::json!({"type": format!("application/vnd.cray.image.{kind}"), "md5": "0", "link": link})
    };
    let kernel = path.replace("rootfs", "kernel");
    let artifacts = [artifact("rootfs.squashfs", path, etag), artifact("kernel", &kernel, "x")];
    serde_json::json!({"version": "1.0", "created": "2026-11-20 00:00:00", "artifacts": artifacts})
}

/// What a compute node computes of an image: on its own, so that the agent's formula is not tested by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// Backstore name and SCSI product.
    pub name: String,
    /// Unit serial.
    pub wwn: String,
    /// Its file under the mount.
    pub file: String,
}

impl Image {
    fn rootfs(path: &str, etag: &str, key: &str) -> Self {
        Image::of(&format!("{path}|{etag}"), key)
    }

    /// Of the PE image under this key.
    pub fn of_pe(key: &str) -> Self {
        Image::of(&format!("s3://{BUCKET}/{key}"), key)
    }

    fn of(input: &str, key: &str) -> Self {
        let hash: String = Sha224::digest(input).iter().map(|byte| format!("{byte:02x}")).collect();
        Image { name: hash[..15].into(), wwn: hash[..31].into(), file: format!("{MOUNT}/{key}") }
    }

    /// The stable name that udev gives the disk.
    pub fn by_id(&self) -> String {
        format!("/dev/disk/by-id/wwn-0x6001405{}", &self.wwn[..25])
    }
}

/// What the predecessor runs for each image (marshal/lib/lio.py).
pub fn project_as_the_predecessor(image: &Image) {
    run(
        "targetcli",
        &["/backstores/fileio", "create", &image.name, &image.file, "0", "false", "true", &image.wwn],
    );
    let luns = format!("/iscsi/{IQN}/tpg1/luns");
    run("targetcli", &[&luns, "create", &format!("/backstores/fileio/{}", image.name)]);
    run("targetcli", &["saveconfig"]);
}

/// Makes a squashfs image of a few files whose content follows from `seed`; gives its bytes.
pub fn squashfs(seed: u32, kib: usize) -> Vec<u8> {
    let folder = std::path::PathBuf::from(format!("/run/sources/{seed}"));
    let file = std::path::PathBuf::from(format!("/run/sources/{seed}.squashfs"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("usr/lib")).expect("a folder for the source");
    std::fs::create_dir_all(folder.join("proc")).expect("a folder for the source");
    std::fs::write(folder.join("usr/lib/os-release"), format!("ID=image-{seed}\n")).expect("a source file");
    std::fs::write(folder.join("usr/lib/payload"), noise(seed, kib * 1024)).expect("a source file");
    let _ = std::fs::remove_file(&file);
    let (from, to) = (folder.to_string_lossy().into_owned(), file.to_string_lossy().into_owned());
    run("mksquashfs", &[&from, &to, "-quiet", "-no-progress", "-comp", "gzip", "-processors", "2"]);
    std::fs::read(&file).expect("the image just made")
}

/// Where the files of a [`squashfs`] are.
pub fn source_of(seed: u32) -> String {
    format!("/run/sources/{seed}")
}

/// Bytes that do not compress, the same for the same seed (xorshift).
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) * 2 + 0x9e37_79b9_7f4a_7c15;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// Runs a program of the VM; panics with what it printed unless it ends well. Its standard output comes back.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new("timeout")
        .args(["--kill-after=5", "300", program])
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

/// Waits until `condition` gives a value; panics, saying what it waited for, after the deadline.
pub fn wait_for<T>(what: &str, deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < deadline, "{what}: not within {} s", deadline.as_secs());
        std::thread::park_timeout(Duration::from_millis(100));
    }
}
