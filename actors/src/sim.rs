//! The ports in memory: a whole site in one value. For `run --sim`, and for tests of the inside.
//!
//! The simulated kernel is as unforgiving as the real one: a backstore comes without its model alias, a LUN number
//! is given once, and what is wrong stays wrong until someone says otherwise.

use crate::identity::Identity;
use crate::model::{
    Actual, Backstore, Etag, LunEntry, ObjectIndex, ObjectKey, ObjectMeta, Relevant, Saved, Step, Tpg,
};
use crate::ports::{
    Boot, Examined, FileFacts, HistoryError, HistoryPort, ImsError, ImsPort, LioError, LioPort, MountError,
    MountFacts, MountPort, S3Error, S3Port, Token, TokenError, TokenPort,
};
use crate::word::Word;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The bucket of the simulated site.
pub const BUCKET: &str = "boot-images";
/// Its mount point.
pub const MOUNT: &str = "/var/lib/cps-local/boot-images";
/// Its TPG's folder below the configfs root.
pub const TPG: &str = "iscsi/iqn.2023-06.csm.iscsi:sim/tpgt_1";
const FILEIO: &str = "fileio";

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
}

/// A whole site.
#[derive(Clone, Debug)]
pub struct Site {
    /// Records of IMS.
    pub images: Vec<Value>,
    /// Objects of the bucket; a squashfs image is its superblock and zeros.
    pub objects: BTreeMap<ObjectKey, (Etag, Vec<u8>)>,
    /// The kernel and saveconfig.json.
    pub actual: Actual,
    /// Every step that targetclid was told, in order.
    pub told: Vec<Step>,
    /// Keys that were read with GetObject, in order.
    pub got: Vec<ObjectKey>,
    /// What fails.
    pub faults: Faults,
    /// What was stored to be remembered over a restart.
    pub history: Option<Vec<u8>>,
}

/// The site, shared by its ports and by whoever changes it.
#[derive(Clone)]
pub struct Sim(Arc<Mutex<Site>>, Instant);

impl Default for Sim {
    /// A provisioned target and nothing else.
    fn default() -> Self {
        let tpg = Some(Tpg { enabled: true, write_protected: true, acls: BTreeMap::new() });
        let (backstores, luns) = (Vec::new(), Vec::new());
        let actual = Actual {
            tpg_path: TPG.into(),
            tpg,
            backstores,
            luns,
            bare_luns: BTreeSet::new(),
            others: BTreeSet::new(),
            saved: Saved::Missing,
        };
        Sim(
            Arc::new(Mutex::new(Site {
                images: Vec::new(),
                objects: BTreeMap::new(),
                actual,
                told: Vec::new(),
                got: Vec::new(),
                faults: Faults::default(),
                history: None,
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
    pub fn site(&self) -> MutexGuard<'_, Site> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an IMS image with manifest and root file system; gives its identity.
    pub fn add_image(&self, id: &str, tagged: bool) -> Identity {
        let etag = self.put_squashfs(&format!("{id}/rootfs"), 4096);
        let path = format!("s3://{BUCKET}/{id}/rootfs");
        self.put_manifest(id, &path, etag.as_str());
        let metadata = if tagged { json!({"sbps-project": "true"}) } else { json!({}) };
        let link = json!({"path": format!("s3://{BUCKET}/{id}/manifest.json"), "etag": "", "type": "s3"});
        self.site().images.push(json!({"id": id, "name": id, "link": link, "metadata": metadata}));
        Identity::of_rootfs(&path, etag.as_str())
    }

    /// Writes the manifest of an image.
    pub fn put_manifest(&self, id: &str, path: &str, etag: &str) {
        let artifact = json!({
            "type": "application/vnd.cray.image.rootfs.squashfs",
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
        let etag = Etag::new(Identity::of_pe("etag", &name).wwn().as_str());
        self.site().objects.insert(ObjectKey::new(key), (etag.clone(), bytes));
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
        let listed = relevant.map(|(key, (etag, bytes))| {
            (
                key.clone(),
                ObjectMeta { size: bytes.len() as u64, etag: etag.clone(), modified: Duration::ZERO },
            )
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
        match self.site().faults.listing {
            true => Err(S3Error::Timeout { what: format!("sim head {key}") }),
            false => Ok(self.object(key).is_some()),
        }
    }

    async fn md5(&self, key: &ObjectKey, etag: &Etag) -> Result<String, S3Error> {
        match self.object(key) {
            Some((now, bytes)) if now == *etag => Ok(md5_of(&bytes)),
            _ => Err(S3Error::Gone { what: key.to_string() }),
        }
    }
}

/// Stands for the MD5 of these bytes.
pub fn md5_of(bytes: &[u8]) -> String {
    Identity::of_pe("md5", &String::from_utf8_lossy(bytes)).wwn().to_string()
}

/// What is there, as S3 itself says.
impl Sim {
    fn object(&self, key: &ObjectKey) -> Option<(Etag, Vec<u8>)> {
        self.site().objects.get(key).cloned()
    }
}

impl MountPort for Sim {
    async fn check(&self) -> Result<MountFacts, MountError> {
        match self.site().faults.mount {
            true => Err(MountError::Hung { what: "sim mount".into() }),
            false => Ok(MountFacts::default()),
        }
    }

    async fn examine(&self, keys: Vec<ObjectKey>) -> Result<Examined, MountError> {
        self.check().await?;
        let site = self.site();
        let size = |key: &ObjectKey| match site.objects.get(key) {
            Some((_, bytes)) => Ok(bytes.len() as u64),
            None => Err(MountError::Absent { key: key.to_string() }),
        };
        Ok(keys.into_iter().map(|key| (key.clone(), size(&key))).collect())
    }

    async fn inspect(&self, key: &ObjectKey) -> Result<FileFacts, MountError> {
        let site = self.site();
        let (_, bytes) = site.objects.get(key).ok_or_else(|| MountError::Absent { key: key.to_string() })?;
        let head = bytes.iter().take(crate::squashfs::SUPERBLOCK_BYTES).copied().collect();
        Ok(FileFacts { size: bytes.len() as u64, head, mode: 0o640 })
    }
}

impl HistoryPort for Sim {
    async fn load(&self) -> Result<Option<Vec<u8>>, HistoryError> {
        Ok(self.site().history.clone())
    }

    async fn store(&self, bytes: Vec<u8>) -> Result<(), HistoryError> {
        self.site().history = Some(bytes);
        Ok(())
    }

    fn boot(&self) -> Boot {
        Boot { id: "sim".into(), since: self.1.elapsed() }
    }
}

impl LioPort for Sim {
    fn observe(&mut self) -> Result<Actual, LioError> {
        let site = self.site();
        match site.faults.configfs {
            true => Err(LioError::Configfs { path: "sim".into(), source: std::io::ErrorKind::Other.into() }),
            false => Ok(site.actual.clone()),
        }
    }

    fn backstore(&mut self, name: &Word) -> Result<Option<Backstore>, LioError> {
        Ok(self.site().actual.backstores.iter().find(|live| is_fileio(live, name)).cloned())
    }

    fn lun(&mut self, number: u16) -> Result<Option<LunEntry>, LioError> {
        Ok(self.site().actual.luns.iter().find(|lun| lun.tpg == TPG && lun.lun == number).cloned())
    }

    fn apply(&mut self, step: &Step) -> Result<String, LioError> {
        let mut site = self.site();
        if site.faults.targetclid {
            return Err(LioError::Timeout { command: step.to_string(), seconds: 1 });
        }
        site.told.push(step.clone());
        Ok(site.obey(step))
    }

    fn end_session(&mut self) {}
}

/// Each plugin names its backstores as it likes: only those of fileio are meant.
fn is_fileio(live: &Backstore, name: &Word) -> bool {
    live.plugin == FILEIO && live.name == name.as_str()
}

impl Site {
    /// What targetclid and the kernel would do; the answer is as little worth as the real one.
    fn obey(&mut self, step: &Step) -> String {
        match step {
            Step::Refresh | Step::DiscardBackstore { .. } | Step::DiscardLun { .. } | Step::SetAside => {}
            Step::SaveConfig if self.faults.backups => return "int() argument must be a string".into(),
            Step::SaveConfig | Step::SaveConfigAlone => {
                self.actual.saved = Saved::Readable(self.actual.inventory())
            }
            Step::DeleteLun { lun, .. } => {
                self.actual.luns.retain(|live| !(live.tpg == TPG && live.lun == *lun));
            }
            // The real one takes the LUNs along, of any target.
            Step::DeleteBackstore { name, .. } => {
                self.actual.luns.retain(|live| !(live.plugin == FILEIO && live.name == name.as_str()));
                self.actual.backstores.retain(|live| !is_fileio(live, name));
            }
            Step::CreateBackstore { name, file, wwn } => return self.create_backstore(name, file, wwn),
            Step::AliasModel { name } => {
                let luns = self.actual.luns_of(FILEIO, name.as_str()).next().is_some();
                let mut live = self.actual.backstores.iter_mut().filter(|live| is_fileio(live, name));
                if let (false, Some(live)) = (luns, live.next()) {
                    live.model_alias = true;
                }
            }
            Step::CreateLun { lun, name, .. } => {
                if self.actual.luns.iter().any(|live| live.tpg == TPG && live.lun == *lun) {
                    return "LUN already exists".into();
                }
                if !self.actual.backstores.iter().any(|live| is_fileio(live, name)) {
                    return "storage object does not exist".into();
                }
                let (tpg, plugin, name) = (TPG.into(), FILEIO.into(), name.to_string());
                self.actual.luns.push(LunEntry { tpg, lun: *lun, plugin, name });
            }
        }
        "done".into()
    }

    fn create_backstore(&mut self, name: &Word, file: &Word, wwn: &Word) -> String {
        let key = file.as_str().strip_prefix(MOUNT).and_then(|key| key.strip_prefix('/')).unwrap_or_default();
        let size = self.objects.get(&ObjectKey::new(key)).map(|(_, bytes)| bytes.len() as u64);
        let (Some(size), false) = (size, self.faults.ignored.contains(name.as_str())) else {
            return "Attempting to create file for new fileio backstore, need a size".into();
        };
        if self.actual.backstores.iter().any(|live| is_fileio(live, name) || live.file == file.as_str()) {
            return "storage object already exists".into();
        }
        self.actual.backstores.push(Backstore {
            plugin: FILEIO.into(),
            name: name.to_string(),
            file: file.to_string(),
            serial: wwn.to_string(),
            size,
            model_alias: false,
            enabled: true,
            inode: 0,
            opened: None,
        });
        "Created".into()
    }
}
