//! One storage object.

use super::opened::{self, Clock};
use super::read::Folder;
use actors::model::{Backstore, OPENED};
use actors::ports::LioError;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a backstore is read that is another one each time.
const TIMES: usize = 3;

/// `None` if it is gone. What was read is of one backstore only if that one was there to the end.
pub(super) fn backstore(
    plugin: &str,
    core: &Folder,
    hba: &str,
    name: &str,
    known: &EnabledBackstores,
) -> Result<Option<Backstore>, LioError> {
    let path = format!("{hba}/{name}");
    for _ in 0..TIMES {
        let Some(folder) = core.below(&path)? else { return Ok(None) };
        let found = read(plugin, &folder, name, known)?;
        if folder.is_there()? {
            return Ok(Some(found));
        }
    }
    let source = io::Error::other("it is made anew again and again while it is read");
    Err(LioError::Configfs { path, source })
}

/// The enabled backstores, by the inodes of their folders, and when the files of them were opened: neither changes any
/// more, so of each the kernel is asked once. Path and size may be written to later.
#[derive(Clone, Debug, Default)]
pub(super) struct EnabledBackstores(Arc<Mutex<BTreeMap<u64, Option<Duration>>>>);

/// Whether a backstore is enabled, and since when its file is open, counted from the boot, if the kernel says it.
enum State {
    Enabled(Option<Duration>),
    Disabled,
}

impl EnabledBackstores {
    fn state(&self, folder: &Folder) -> Result<State, LioError> {
        // Whoever panicked has not left half an entry.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = known.get(&folder.inode) {
            return Ok(State::Enabled(*opened));
        }
        // Like rtslib: without the attribute it always is. Before that a time is shown at which nothing was opened.
        if !folder.flag("enable")?.unwrap_or(true) {
            return Ok(State::Disabled);
        }
        let opened = opened::read(folder, Clock::now().as_ref())?;
        known.insert(folder.inode, opened);
        Ok(State::Enabled(opened))
    }

    /// Forgets all others.
    pub(super) fn keep(&self, inodes: &BTreeSet<u64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|inode, _| inodes.contains(inode));
    }
}

/// Not every plugin has every file.
fn read(plugin: &str, folder: &Folder, name: &str, known: &EnabledBackstores) -> Result<Backstore, LioError> {
    let serial = folder.text("wwn/vpd_unit_serial")?.unwrap_or_default();
    let serial = match plugin {
        // That of the device behind it, which is not LIO's to save: saveconfig.json has none.
        "pscsi" => String::new(),
        // `T10 VPD Unit Serial Number: 8b04c5169aa0b0b31adaa346eae9c98`
        _ => serial.split_once(':').map(|(_, serial)| serial.trim().to_owned()).unwrap_or_default(),
    };
    // First: what is shown of an enabled one after this is of the file that is open.
    let (enabled, opened) = match known.state(folder)? {
        State::Enabled(opened) => (true, opened),
        State::Disabled => (false, None),
    };
    let info = folder.text("info")?.unwrap_or_default();
    let shown = path_of(plugin, &info);
    // What we have opened for the kernel has not got its name yet.
    let is_half_made = shown.starts_with(OPENED);
    let file = folder.text("udev_path")?.filter(|path| !path.is_empty() && !is_half_made);
    Ok(Backstore {
        plugin: plugin.to_owned(),
        name: name.to_owned(),
        file: file.unwrap_or(shown),
        serial,
        size: size(&info).unwrap_or_default(),
        model_alias: folder.flag("attrib/emulate_model_alias")?.unwrap_or_default(),
        enabled,
        inode: folder.inode,
        opened,
    })
}

/// The file of a fileio backstore that was made without `udev_path`, letter by letter as rtslib saves it: it stops at
/// a blank or a colon. A backstore that has no file yet would show it the next word, `Size`: that is none.
pub(super) fn path_of(plugin: &str, info: &str) -> String {
    let path = info.rsplit_once("File: ").map(|(_, path)| path).filter(|_| plugin == "fileio");
    let path = path.and_then(|path| path.split([' ', ':']).next());
    path.unwrap_or_default().to_owned()
}

/// `... File: /some/path  Size: 8192  Mode: O_DSYNC ...`: the last one, as the path may say anything.
pub(super) fn size(info: &str) -> Option<u64> {
    let (_, after) = info.rsplit_once(" Size: ")?;
    after.split_whitespace().next()?.parse().ok()
}

/// A path and a size or none, whatever is in it.
#[cfg(any(test, fuzzing))]
pub fn fuzz(info: &[u8]) {
    let text = String::from_utf8_lossy(info);
    let _ = size(&text);
    let path = path_of("fileio", &text);
    assert!(!path.contains([' ', ':']));
}
