//! One storage object.

use super::opened::Clock;
use super::read::{at, flag, present, text};
use actors::model::Backstore;
use actors::ports::LioError;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// `None` if it is gone. Not every plugin has every file.
pub(super) fn backstore(
    plugin: &str,
    hba: &Path,
    name: &str,
    clock: Option<&Clock>,
) -> Result<Option<Backstore>, LioError> {
    let folder = hba.join(name);
    let file = |file: &str| present(text(&folder.join(file)));
    let serial = file("wwn/vpd_unit_serial")?.unwrap_or_default();
    let serial = match plugin {
        // That of the device behind it, which is not LIO's to save: saveconfig.json has none.
        "pscsi" => String::new(),
        // `T10 VPD Unit Serial Number: 8b04c5169aa0b0b31adaa346eae9c98`
        _ => serial.split_once(':').map(|(_, serial)| serial.trim().to_owned()).unwrap_or_default(),
    };
    let info = file("info")?.unwrap_or_default();
    // Like rtslib: without the attribute it always is.
    let enabled = flag(&folder.join("enable"))?.unwrap_or(true);
    // Before that it shows a time at which nothing was opened.
    let opened = if enabled { file("statistics/scsi_lu/creation_time")? } else { None };
    let found = Backstore {
        plugin: plugin.to_owned(),
        name: name.to_owned(),
        file: file("udev_path")?.filter(|path| !path.is_empty()).unwrap_or_else(|| path_of(plugin, &info)),
        serial,
        size: size(&info).unwrap_or_default(),
        model_alias: flag(&folder.join("attrib/emulate_model_alias"))?.unwrap_or_default(),
        enabled,
        inode: 0,
        opened: opened.and_then(|shown| clock?.time_of(shown.parse().ok()?)),
    };
    // What was read is of a backstore only if it was there to the end.
    let folder = present(at(&folder, |folder| fs::metadata(folder)))?;
    Ok(folder.map(|folder| Backstore { inode: folder.ino(), ..found }))
}

/// The file of a fileio backstore that was made without `udev_path`, letter by letter as rtslib saves it: it stops at
/// a blank or a colon. A backstore that has no file yet would show it the next word, `Size`: that is none.
fn path_of(plugin: &str, info: &str) -> String {
    let path = info.rsplit_once("File: ").map(|(_, path)| path).filter(|_| plugin == "fileio");
    let path = path.and_then(|path| path.split([' ', ':']).next());
    path.unwrap_or_default().to_owned()
}

/// `... File: /some/path  Size: 8192  Mode: O_DSYNC ...`: the last one, as the path may say anything.
fn size(info: &str) -> Option<u64> {
    let (_, after) = info.rsplit_once(" Size: ")?;
    after.split_whitespace().next()?.parse().ok()
}
