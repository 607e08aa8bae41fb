//! A target's configfs tree, grown as ordinary files in a scratch folder.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// The content of an entry that is an empty folder.
pub const FOLDER: &str = "/";

/// Path below the root -> content; `/` is an empty folder, `-> X` is a symbolic link to X, `!X` a file that cannot be read.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// What a real kernel showed: one target, three fileio backstores, their LUNs.
    pub fn recorded() -> Self {
        serde_json::from_str(include_str!("../../../fixtures/configfs.json")).expect("the fixture is a tree")
    }

    /// What a real kernel showed of a TPG with two node ACLs, of a backstore made by hand without `udev_path`, of an
    /// IPv6 portal and of a second target; fixtures/saveconfig-acls.json is what targetclid saved of it.
    pub fn with_acls() -> Self {
        let recorded = include_str!("../../../fixtures/configfs-acls.json");
        serde_json::from_str(recorded).expect("the fixture is a tree")
    }

    /// Without the entries whose path starts so.
    pub fn without(mut self, start: &str) -> Self {
        self.files.retain(|path, _| !path.starts_with(start));
        self
    }

    /// With this entry, instead of the one that was there.
    pub fn with(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.to_owned(), content.to_owned());
        self
    }

    /// Writes it.
    pub fn grow(&self, root: &Path) {
        for (path, content) in &self.files {
            let path = root.join(path);
            if content == FOLDER {
                fs::create_dir_all(path).expect("the scratch folder takes folders");
                continue;
            }
            let folder = path.parent().expect("an entry is in a folder");
            fs::create_dir_all(folder).expect("the scratch folder takes folders");
            if let Some(target) = content.strip_prefix("-> ") {
                symlink(target, &path).expect("the scratch folder takes links");
            } else {
                fs::write(&path, content).expect("the scratch folder takes files");
                if content.starts_with('!') {
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("modes can be set");
                }
            }
        }
    }
}
