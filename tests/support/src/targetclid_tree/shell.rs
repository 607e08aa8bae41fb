//! What targetcli's shell makes of a command: the same in the daemon, but for how long it remembers.
//!
//! Only the commands of `src/targetclid/command.rs`. The texts are those of 2.1.53; what is not recorded in the
//! transcript is from its sources and those of rtslib-fb 2.1.75 (the function is named).

use super::BROKEN_LINK;
use super::kernel::{Kernel, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The default of targetcli's `saveconfig`, in the folder that `dbroot` names.
const SAVE_FILE: &str = "saveconfig.json";

/// A running shell: the kernel is the truth, and the rest is what it remembers of it.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) kernel: Kernel,
    iqn: String,
    tpg: u16,
    dbroot: String,
    /// Where the node's files are: `/`, but in the tests of the transcript.
    disk: PathBuf,
    /// Its own.
    pub(super) version: &'static str,
    /// A plain `targetcli` has run once and left root's preferences (facts 2.4).
    pub(super) prefs: bool,
    /// rtslib's `bs_cache`: HBA indices by name, filled when it is needed and empty (`_Backstore.__init__`).
    indices: BTreeMap<String, u32>,
    /// The nodes below /backstores/fileio.
    stores: BTreeSet<String>,
    /// The nodes below the TPG's luns.
    luns: BTreeSet<u16>,
    backups: Vec<Vec<u8>>,
}

/// What a command prints, or the exception that ends it.
type Outcome = Result<String, String>;

impl Shell {
    pub(super) fn new(kernel: Kernel, iqn: &str, tpg: u16, dbroot: &str, disk: PathBuf) -> Self {
        let mut shell = Shell {
            kernel,
            iqn: iqn.to_owned(),
            tpg,
            dbroot: dbroot.to_owned(),
            disk,
            version: "2.1.53",
            prefs: false,
            indices: BTreeMap::new(),
            stores: BTreeSet::new(),
            luns: BTreeSet::new(),
            backups: Vec::new(),
        };
        shell.refresh();
        shell
    }

    /// `run_cmdline`.
    pub(super) fn run(&mut self, line: &str) -> Outcome {
        let words: Vec<&str> = line.split_whitespace().collect();
        let luns = format!("/iscsi/{}/tpg{}/luns", self.iqn, self.tpg);
        match words[..] {
            [] => Ok(String::new()),
            ["pwd"] => Ok("/\n".into()),
            ["version"] | ["/", "version"] => Ok(format!("targetcli version {}\n", self.version)),
            ["refresh"] | ["/", "refresh"] => {
                self.refresh();
                Ok(String::new())
            }
            // The HBA indices stay.
            ["/backstores/fileio", "refresh"] => {
                self.stores = self.kernel.stores().into_iter().map(|store| store.name).collect();
                Ok(String::new())
            }
            ["saveconfig"] => self.save(&format!("{}/{SAVE_FILE}", self.dbroot)),
            ["/", "saveconfig", file] => self.save(value(&[file], "savefile")?),
            ["/backstores/fileio", "create", ref given @ ..] => self.create_store(given),
            ["/backstores/fileio", "delete", name] => self.delete_store(name),
            [path, "create", ref given @ ..] if path == luns => self.create_lun(given),
            [path, "delete", lun] if path == luns => self.delete_lun(lun),
            [path, "set", "attribute", setting] => self.set_attribute(path, setting),
            [path, ..] if path.starts_with('/') => Err(format!("No such path {path}")),
            [command, ..] => Err(format!("Command not found {command}")),
        }
    }

    /// `UIRoot.refresh`: the only one that forgets the HBA indices.
    pub(super) fn refresh(&mut self) {
        self.indices.clear();
        self.stores = self.kernel.stores().into_iter().map(|store| store.name).collect();
        self.refresh_luns();
    }

    fn refresh_luns(&mut self) {
        self.luns = self.kernel.luns().into_iter().map(|(lun, _)| lun).collect();
    }

    /// `UIFileIOBackstore.ui_command_create`.
    fn create_store(&mut self, given: &[&str]) -> Outcome {
        let (name, path) = (value(given, "name")?, value(given, "file_or_dev")?);
        let wwn = value(given, "wwn")?;
        if let Ok(file) = fs::metadata(self.file(path)) {
            for other in self.kernel.stores() {
                // os.path.samefile: nobody catches what it throws.
                let there = fs::metadata(self.file(&other.file))
                    .map_err(|_| format!("[Errno 2] No such file or directory: '{}'", other.file))?;
                if (there.dev(), there.ino()) == (file.dev(), file.ino()) {
                    return Err(format!("storage object for {path} already exists: {}", other.name));
                }
            }
        }
        let Ok(file) = fs::metadata(self.file(path)) else {
            return Err("Attempting to create file for new fileio backstore, need a size".into());
        };
        let index = self.allocate(name)?;
        let (size, alias) = (file.len(), self.prefs);
        let (file, wwn, name) = (path.to_owned(), wwn.to_owned(), name.to_owned());
        let store = Store { index, name: name.clone(), file, wwn, size, enabled: true, alias };
        self.kernel.put(&store);
        if !self.stores.insert(name.clone()) {
            return Err(format!("Name '{name}' already used by a sibling."));
        }
        Ok(format!("Created fileio {name} with size {size}\n"))
    }

    /// `_Backstore.__init__` in mode create.
    fn allocate(&mut self, name: &str) -> Result<u32, String> {
        if self.indices.is_empty() {
            let stores = self.kernel.stores().into_iter();
            self.indices = stores.map(|store| (store.name, store.index)).collect();
        }
        if self.indices.contains_key(name) {
            return Err(format!("Storage object fileio/{name} exists"));
        }
        let index =
            (0..).find(|index| !self.indices.values().any(|used| used == index)).expect("an index is free");
        if self.kernel.stores().iter().any(|store| store.index == index) {
            return Err("This _Backstore already exists in configFS".into());
        }
        self.indices.insert(name.to_owned(), index);
        Ok(index)
    }

    /// `UIBackstore.ui_command_delete`: takes the LUNs along.
    fn delete_store(&mut self, name: &str) -> Outcome {
        if !self.stores.contains(name) {
            return Err(format!("No storage object named {name}."));
        }
        let store = self.kernel.store(name).ok_or("This FileIOStorageObject does not exist in configFS")?;
        self.kernel.remove_store(&store);
        self.indices.remove(name);
        self.stores.remove(name);
        Ok(format!("Deleted storage object {name}.\n"))
    }

    /// `UILUNs.ui_command_create` and `LUN.__init__`.
    fn create_lun(&mut self, given: &[&str]) -> Outcome {
        let path = value(given, "storage_object")?;
        let known = path.strip_prefix("/backstores/fileio/").filter(|name| self.stores.contains(*name));
        let name = known.ok_or("storage object or path not valid")?;
        let number = value(given, "lun")?.parse::<u32>().map_err(|error| error.to_string())?;
        for (_, leads_to) in self.kernel.luns() {
            if leads_to.ok_or(BROKEN_LINK)? == name {
                return Err(format!("lun for storage object fileio/{name} already exists"));
            }
        }
        let lun = u16::try_from(number).map_err(|_| "LUN must be 0 to 65535")?;
        if self.kernel.luns().iter().any(|(taken, _)| *taken == lun) {
            return Err("This LUN already exists in configFS".into());
        }
        let store = self.kernel.store(name).ok_or("storage_object does not exist in configFS")?;
        self.kernel.make_lun(lun, &store);
        if !self.luns.insert(lun) {
            return Err(format!("Created LUN {lun}.\nName 'lun{lun}' already used by a sibling."));
        }
        Ok(format!("Created LUN {lun}.\n"))
    }

    /// `UILUNs.ui_command_delete`: looks in configfs itself, and reads the TPG anew.
    fn delete_lun(&mut self, lun: &str) -> Outcome {
        let found = lun.parse().ok().filter(|lun| self.kernel.luns().iter().any(|(there, _)| there == lun));
        self.kernel.remove_lun(found.ok_or("Invalid LUN")?);
        self.refresh_luns();
        Ok(format!("Deleted LUN {lun}.\n"))
    }

    fn set_attribute(&mut self, path: &str, setting: &str) -> Outcome {
        let name = path.strip_prefix("/backstores/fileio/").filter(|name| self.stores.contains(*name));
        let name = name.ok_or_else(|| format!("No such path {path}"))?;
        let to = value(&[setting], "emulate_model_alias")?;
        let store = self.kernel.store(name).ok_or("This FileIOStorageObject does not exist in configFS")?;
        if self.kernel.luns().iter().any(|(_, leads_to)| leads_to.as_deref() == Some(name)) {
            return Err("Cannot set attribute emulate_model_alias: [Errno 22] Invalid argument".into());
        }
        self.kernel.put(&Store { alias: to == "1", ..store });
        Ok(format!("Parameter emulate_model_alias is now '{to}'.\n"))
    }

    /// `ui_command_saveconfig` and `_save_backups`.
    fn save(&mut self, file: &str) -> Outcome {
        let mut said = String::new();
        if file == format!("{}/{SAVE_FILE}", self.dbroot)
            && let Ok(old) = fs::read(self.file(file))
            && self.backups.last() != Some(&old)
        {
            // The copy is made before its number is asked for.
            self.backups.push(old);
            if !self.prefs {
                let type_error =
                    "int() argument must be a string, a bytes-like object or a real number, not 'NoneType'";
                return Err(type_error.into());
            }
            said = format!("Last 10 configs saved in {}/backup/.\n", self.dbroot);
        }
        let dump = self.kernel.dump(&self.iqn, self.tpg).map_err(|error| format!("{said}{error}"))?;
        fs::write(self.file(file), format!("{dump:#}\n")).map_err(|error| format!("{said}{error}"))?;
        Ok(format!("{said}Configuration saved to {file}\n"))
    }

    fn file(&self, path: &str) -> PathBuf {
        self.disk.join(path.trim_start_matches('/'))
    }
}

/// The value of this parameter.
fn value<'a>(given: &[&'a str], wanted: &str) -> Result<&'a str, String> {
    let found = given.iter().filter_map(|word| word.split_once('=')).find(|(name, _)| *name == wanted);
    found.map(|(_, value)| value).ok_or_else(|| format!("Missing required parameter {wanted}"))
}
