//! One storage object.

use super::opened::OpenTimes;
use super::read::Folder;
use actors::model::Backstore;
use actors::ports::LioError;
use std::io;
use std::path::Path;

/// How often a backstore is read that is another one each time.
const TIMES: usize = 3;

/// `None` if it is gone. What was read is of one backstore only if that one was there to the end.
pub(super) fn backstore(
    plugin: &str,
    hba: &Path,
    name: &str,
    opened: &OpenTimes,
) -> Result<Option<Backstore>, LioError> {
    for _ in 0..TIMES {
        let Some(folder) = Folder::open(hba.join(name))? else { return Ok(None) };
        let found = read(plugin, &folder, name, opened)?;
        if folder.is_there()? {
            return Ok(Some(found));
        }
    }
    let source = io::Error::other("it is made anew again and again while it is read");
    Err(LioError::Configfs { path: hba.join(name).display().to_string(), source })
}

/// Not every plugin has every file.
fn read(plugin: &str, folder: &Folder, name: &str, opened: &OpenTimes) -> Result<Backstore, LioError> {
    let serial = folder.text("wwn/vpd_unit_serial")?.unwrap_or_default();
    let serial = match plugin {
        // That of the device behind it, which is not LIO's to save: saveconfig.json has none.
        "pscsi" => String::new(),
        // `T10 VPD Unit Serial Number: 8b04c5169aa0b0b31adaa346eae9c98`
        _ => serial.split_once(':').map(|(_, serial)| serial.trim().to_owned()).unwrap_or_default(),
    };
    let info = folder.text("info")?.unwrap_or_default();
    // Like rtslib: without the attribute it always is.
    let enabled = folder.flag("enable")?.unwrap_or(true);
    // Before that it shows a time at which nothing was opened.
    let opened = if enabled { opened.of(folder)? } else { None };
    let file = folder.text("udev_path")?.filter(|path| !path.is_empty());
    Ok(Backstore {
        plugin: plugin.to_owned(),
        name: name.to_owned(),
        file: file.unwrap_or_else(|| path_of(plugin, &info)),
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
