//! The ports in memory: a whole site in one value. For `run --sim`, and for tests of the inside.
//!
//! The simulated parties are as unforgiving as the real ones: a backstore comes without its model alias, a LUN number is
//! given once, targetclid stats every backstore's file before it makes another one, and knows nothing of what other
//! processes made until it is told to look. What is wrong stays wrong until someone says otherwise.

use crate::decide::squashfs::SUPERBLOCK_BYTES;
use crate::model::{
    Actual, Boot, Etag, FileFacts, Identity, Md5Sum, MountFacts, ObjectIndex, ObjectKey, ObjectMeta,
    Relevant, Request, RootfsLink, Saved, Site, Tpg, TpgPath,
};
use crate::ports::{
    Examined, HistoryError, HistoryPort, ImsError, ImsPort, MountError, MountPort, S3Error, S3Port, Token,
    TokenError, TokenPort,
};

mod kernel;

use serde_json::{Value, json};
use sha2::{Digest, Sha224};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The bucket of the simulated site.
pub const BUCKET: &str = "boot-images";
/// Its mount point.
pub const MOUNT: &str = "/var/lib/cps-local/boot-images";
/// Its TPG's folder below the configfs root.
pub const TPG: &str = "iscsi/iqn.2023-06.csm.iscsi:sim/tpgt_1";

/// The same.
pub fn tpg() -> TpgPath {
    TpgPath::new(TPG)
}

/// The bucket and its mount.
pub fn site() -> Site {
    Site { bucket: BUCKET.into(), mount: MOUNT.into() }
}

/// What can be made to fail.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// IMS does not answer.
    pub ims: bool,
    /// Listings do not end.
    pub listing: bool,
    /// These objects cannot be read.
    pub unreadable: BTreeSet<ObjectKey>,
    /// The mount is dead.
    pub mount: bool,
    /// configfs cannot be read.
    pub configfs: bool,
    /// targetclid answers, and does nothing, for backstores of these names.
    pub ignored: BTreeSet<String>,
    /// targetclid does not answer.
    pub targetclid: bool,
    /// targetclid cannot keep a copy of the old saveconfig.json, and so writes no new one.
    pub backups: bool,
    /// s3fs still shows these with this size, for up to 900 s (its cache of stats).
    pub stale: BTreeMap<ObjectKey, u64>,
    /// s3fs answers EPERM for these: S3 denies it the object.
    pub refused: BTreeSet<ObjectKey>,
    /// s3fs shows these with size 0 and mode 0: it is denied them.
    pub denied: BTreeSet<ObjectKey>,
    /// s3fs does not show these: it has mounted another bucket.
    pub hidden: BTreeSet<ObjectKey>,
    /// s3fs shows a symlink here.
    pub symlinks: BTreeSet<ObjectKey>,
    /// A listing that is well-formed, says that it is complete, and leaves these out.
    pub unlisted: BTreeSet<ObjectKey>,
    /// Backstores whose creation hangs up the daemon.
    pub hang_ups: BTreeSet<String>,
    /// So many commands are answered too late, and carried out all the same before the next one.
    pub late: usize,
    /// Another client holds the daemon.
    pub busy: bool,
    /// A shell has plain targetcli's lock.
    pub locked: bool,
    /// The agent may not write configfs, as with the unit as it is shipped.
    pub sandboxed: bool,
    /// The history cannot be stored.
    pub history: bool,
    /// configfs has no statistics.
    pub uncounted: bool,
}

/// A whole site.
#[derive(Clone, Debug)]
pub struct SimSite {
    /// Records of IMS.
    pub images: Vec<Value>,
    /// Objects of the bucket; a squashfs image is its superblock and zeros.
    pub objects: BTreeMap<ObjectKey, (Etag, Vec<u8>)>,
    /// The kernel and saveconfig.json.
    pub actual: Actual,
    /// Everything that LIO was asked for, in order.
    pub told: Vec<Request>,
    /// Keys that were read with GetObject, in order.
    pub got: Vec<ObjectKey>,
    /// Keys that were read whole for their MD5, in order.
    pub summed: Vec<ObjectKey>,
    /// What fails.
    pub faults: Faults,
    /// What was stored to be remembered over a restart.
    pub history: Option<Vec<u8>>,
    /// Storing something later has failed.
    pub outdated: bool,
    /// When each object was written.
    pub modified: BTreeMap<ObjectKey, Duration>,
    /// `st_dev` of the mount.
    pub device: u64,
    /// Under which mount the file of each backstore was opened.
    pub opened: BTreeMap<String, u64>,
    /// Which boot this is.
    pub boot: u32,
    kernel: kernel::Kernel,
}

/// The site, shared by its ports and by whoever changes it.
#[derive(Clone)]
pub struct Sim(Arc<Mutex<SimSite>>, Instant);

impl Default for Sim {
    /// A provisioned target and nothing else.
    fn default() -> Self {
        let tpg = Some(Tpg { enabled: true, write_protected: true, ..Tpg::default() });
        let (backstores, luns) = (Vec::new(), Vec::new());
        let actual = Actual {
            tpg_path: TpgPath::new(TPG),
            tpg,
            backstores,
            luns,
            bare_luns: BTreeSet::new(),
            others: BTreeSet::new(),
            saved: Saved::Missing,
        };
        Sim(
            Arc::new(Mutex::new(SimSite {
                images: Vec::new(),
                objects: BTreeMap::new(),
                actual,
                told: Vec::new(),
                got: Vec::new(),
                summed: Vec::new(),
                faults: Faults::default(),
                history: None,
                outdated: false,
                modified: BTreeMap::new(),
                device: 40,
                opened: BTreeMap::new(),
                boot: 1,
                kernel: kernel::Kernel::default(),
            })),
            Instant::now(),
        )
    }
}

impl Sim {
    /// A small site for `run --sim`: four tagged images, one untagged, two PE images.
    pub fn small_site() -> Self {
        let sim = Sim::default();
        for n in 0..5 {
            sim.add_image(&format!("00000000-0000-4000-8000-00000000000{n}"), n != 4);
        }
        sim.put_squashfs("PE/CPE-base.x86_64-26.11.squashfs", 8192);
        sim.put_squashfs("PE/CPE-amd.x86_64-26.11.squashfs", 16384);
        sim
    }

    /// The site, to look at or to change.
    pub fn site(&self) -> MutexGuard<'_, SimSite> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an IMS image with manifest and root file system; gives its identity.
    pub fn add_image(&self, id: &str, tagged: bool) -> Identity {
        let etag = self.put_squashfs(&format!("{id}/rootfs"), 4096);
        let path = format!("s3://{BUCKET}/{id}/rootfs");
        self.put_manifest(id, RootfsLink { path: &path, etag: etag.as_str() });
        let metadata = if tagged { json!({"sbps-project": "true"}) } else { json!({}) };
        let link = json!({"path": format!("s3://{BUCKET}/{id}/manifest.json"), "etag": "", "type": "s3"});
        self.site().images.push(json!({"id": id, "name": id, "link": link, "metadata": metadata}));
        Identity::of_rootfs(RootfsLink { path: &path, etag: etag.as_str() })
    }

    /// Writes the manifest of an image.
    pub fn put_manifest(&self, id: &str, rootfs: RootfsLink<'_>) {
        self.put_manifest_with_md5(id, rootfs, "0");
    }

    /// The same with the MD5 of the root file system.
    pub fn put_manifest_with_md5(&self, id: &str, RootfsLink { path, etag }: RootfsLink<'_>, md5: &str) {
        let artifact = json!({
            "type": "application/vnd.cray.image.rootfs.squashfs",
            "md5": md5,
            "link": {"path": path, "etag": etag, "type": "s3"},
        });
        let manifest = json!({"version": "1.0", "artifacts": [artifact]});
        self.put(&format!("{id}/manifest.json"), manifest.to_string().into_bytes());
    }

    /// Sets or removes the tag of an image.
    pub fn tag(&self, id: &str, tagged: bool) {
        let metadata = if tagged { json!({"sbps-project": "true"}) } else { json!({}) };
        for image in self.site().images.iter_mut().filter(|image| image["id"] == id) {
            image["metadata"] = metadata.clone();
        }
    }

    /// Uploads a complete squashfs image of so many bytes.
    pub fn put_squashfs(&self, key: &str, size: usize) -> Etag {
        let mut bytes = vec![0; size];
        bytes[..4].copy_from_slice(b"hsqs");
        bytes[40..48].copy_from_slice(&(size as u64).to_le_bytes());
        bytes[48..56].copy_from_slice(&(key.len() as u64).to_le_bytes());
        self.put(key, bytes)
    }

    /// Uploads an object; its ETag is made of its content.
    pub fn put(&self, key: &str, bytes: Vec<u8>) -> Etag {
        let name = format!("{key} {}", String::from_utf8_lossy(&bytes));
        let etag = Etag::new(Identity::of_pe("etag", &ObjectKey::new(name.as_str())).wwn().as_str());
        let mut site = self.site();
        let uploaded = Duration::from_secs(site.modified.len() as u64 + 1);
        site.modified.entry(ObjectKey::new(key)).or_insert(uploaded);
        site.objects.insert(ObjectKey::new(key), (etag.clone(), bytes));
        etag
    }
}

impl TokenPort for Sim {
    async fn token(&self, _: bool) -> Result<Option<Token>, TokenError> {
        Ok(None)
    }
}

impl ImsPort for Sim {
    async fn list_images(&self, _: Option<&Token>) -> Result<Vec<Value>, ImsError> {
        let site = self.site();
        match site.faults.ims {
            true => Err(ImsError::Status { url: "sim://ims".into(), status: 503 }),
            false => Ok(site.images.clone()),
        }
    }
}

impl S3Port for Sim {
    async fn list(&self, relevant: &Relevant) -> Result<ObjectIndex, S3Error> {
        let site = self.site();
        if site.faults.listing {
            return Err(S3Error::Timeout { what: "sim listing".into() });
        }
        let relevant = site.objects.iter().filter(|(key, _)| relevant.wants(key.as_str()));
        let relevant = relevant.filter(|(key, _)| !site.faults.unlisted.contains(*key));
        let listed = relevant.map(|(key, (etag, bytes))| {
            let modified = site.modified.get(key).copied().unwrap_or_default();
            (key.clone(), ObjectMeta { size: bytes.len() as u64, etag: etag.clone(), modified })
        });
        Ok(listed.collect())
    }

    async fn get(&self, key: &ObjectKey, etag: &Etag, limit: u64) -> Result<Vec<u8>, S3Error> {
        let mut site = self.site();
        site.got.push(key.clone());
        if site.faults.unreadable.contains(key) {
            return Err(S3Error::Timeout { what: format!("sim get {key}") });
        }
        match site.objects.get(key) {
            Some((now, _)) if now != etag => Err(S3Error::Gone { what: key.to_string() }),
            Some((_, bytes)) if bytes.len() as u64 > limit => {
                Err(S3Error::TooLarge { what: key.to_string(), limit })
            }
            Some((_, bytes)) => Ok(bytes.clone()),
            None => Err(S3Error::Gone { what: key.to_string() }),
        }
    }

    async fn is_there(&self, key: &ObjectKey) -> Result<bool, S3Error> {
        let site = self.site();
        match site.faults.listing {
            true => Err(S3Error::Timeout { what: format!("sim head {key}") }),
            false => Ok(site.objects.contains_key(key)),
        }
    }

    async fn md5(&self, key: &ObjectKey, etag: &Etag) -> Result<Md5Sum, S3Error> {
        self.site().summed.push(key.clone());
        match self.object(key) {
            Some((now, bytes)) if now == *etag => Ok(md5_of(&bytes)),
            _ => Err(S3Error::Gone { what: key.to_string() }),
        }
    }
}

/// Stands for the MD5 of these bytes.
pub fn md5_of(bytes: &[u8]) -> Md5Sum {
    let digest = Sha224::digest(bytes);
    let mut sum = [0; 16];
    sum.copy_from_slice(&digest[..16]);
    Md5Sum::of_digest(sum)
}

impl Sim {
    /// What is there, as S3 itself says.
    fn object(&self, key: &ObjectKey) -> Option<(Etag, Vec<u8>)> {
        self.site().objects.get(key).cloned()
    }
}

impl MountPort for Sim {
    async fn check(&self) -> Result<MountFacts, MountError> {
        let site = self.site();
        match site.faults.mount {
            true => Err(MountError::Hung { what: "sim mount".into() }),
            false => Ok(MountFacts { device: site.device, since: None }),
        }
    }

    async fn examine(&self, keys: Vec<ObjectKey>) -> Result<Examined, MountError> {
        self.check().await?;
        let site = self.site();
        Ok(keys.into_iter().map(|key| (key.clone(), site.shown(&key))).collect())
    }

    async fn inspect(&self, key: &ObjectKey) -> Result<FileFacts, MountError> {
        let site = self.site();
        let size = site.shown(key)?;
        if site.faults.denied.contains(key) {
            return Ok(FileFacts { size: 0, head: Vec::new(), mode: 0 });
        }
        let bytes = site.objects.get(key).map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
        let head = bytes.iter().take(SUPERBLOCK_BYTES).copied().collect();
        Ok(FileFacts { size, head, mode: 0o640 })
    }
}

impl SimSite {
    /// What s3fs shows of an object: its size, or why not.
    fn shown(&self, key: &ObjectKey) -> Result<u64, MountError> {
        let shown = key.to_string();
        if self.faults.mount {
            return Err(MountError::Hung { what: shown });
        }
        if self.faults.refused.contains(key) {
            let source = std::io::ErrorKind::PermissionDenied.into();
            return Err(MountError::Refused { key: shown, source });
        }
        if self.faults.symlinks.contains(key) {
            return Err(MountError::Escape { key: shown });
        }
        let object = self.objects.get(key).filter(|_| !self.faults.hidden.contains(key));
        let size = match object {
            Some((_, bytes)) => bytes.len() as u64,
            None if self.kernel.unborn.contains(key) => 0,
            None => return Err(MountError::Absent { key: shown }),
        };
        Ok(self.faults.stale.get(key).copied().unwrap_or(size))
    }
}

impl HistoryPort for Sim {
    async fn load(&self) -> Result<Option<Vec<u8>>, HistoryError> {
        let site = self.site();
        match site.outdated {
            true => Err(HistoryError::Outdated { path: "sim".into() }),
            false => Ok(site.history.clone()),
        }
    }

    async fn store(&self, bytes: Vec<u8>) -> Result<(), HistoryError> {
        let mut site = self.site();
        if site.faults.history {
            site.outdated = true;
            let source = std::io::ErrorKind::ReadOnlyFilesystem.into();
            return Err(HistoryError::Io { path: "sim".into(), done: "written", source });
        }
        (site.history, site.outdated) = (Some(bytes), false);
        Ok(())
    }

    fn boot(&self) -> Boot {
        Boot { id: format!("sim {}", self.site().boot), since: self.1.elapsed() }
    }
}
