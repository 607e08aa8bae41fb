//! The copies of saveconfig.json that targetcli keeps in `backup/` beside it: 10, `saveconfig-<local time>-json.gz`.

use super::{LARGEST, SaveFile, Trouble};
use actors::model::Inventory;
use flate2::read::MultiGzDecoder;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The folder beside the file.
const FOLDER: &str = "backup";
/// How many are looked at: more than are ever kept unless somebody asked for more.
const MANY: usize = 32;
/// What a gzip file starts with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What the newest one holds that can be read and understood; nothing if there is none.
pub(super) fn newest(save_file: &Path) -> Inventory {
    let folder = save_file.parent().unwrap_or(Path::new(".")).join(FOLDER);
    let found = candidates(&folder).iter().find_map(|path| read(path).ok());
    found.map(SaveFile::inventory).unwrap_or_default()
}

/// The newest first: their names sort by their time. Older versions of targetcli did not compress them.
fn candidates(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_one = |name: &str| name.starts_with("saveconfig-") && name.contains("json");
    let mut found: Vec<PathBuf> =
        entries.filter(|e| is_one(&e.file_name().to_string_lossy())).map(|e| e.path()).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.truncate(MANY);
    found
}

fn read(path: &Path) -> Result<SaveFile, Trouble> {
    if !fs::metadata(path)?.is_file() {
        return Err(Trouble::NoFile);
    }
    let mut file = BufReader::new(File::open(path)?);
    let compressed = file.fill_buf()?.starts_with(&GZIP);
    if compressed { super::parse(MultiGzDecoder::new(file)) } else { super::parse(file) }
}

/// At most [`LARGEST`] bytes, also of what was compressed to nearly nothing.
pub(super) fn bounded(from: impl Read) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST { Err(Trouble::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    const PREDECESSOR: &[u8] = include_bytes!("../../fixtures/saveconfig-predecessor.json");
    const ACLS: &[u8] = include_bytes!("../../fixtures/saveconfig-acls.json");

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(FOLDER).join(name), bytes).unwrap();
        }
        folder
    }

    fn luns(folder: &tempfile::TempDir) -> usize {
        newest(&folder.path().join("saveconfig.json")).luns.len()
    }

    #[test]
    fn m14_the_newest_copy_that_can_be_read_is_taken() {
        let (old, new) = (compressed(ACLS), compressed(PREDECESSOR));
        let torn = &new[..new.len() / 2];
        let folder = folder(&[
            ("saveconfig-20261120-10:00:00-json.gz", &old),
            ("saveconfig-20261121-12:41:20-json.gz", &new),
            ("saveconfig-20261121-12:41:25-json.gz", torn),
            ("saveconfig-20261121-12:41:26-json.gz", b""),
            ("notes.json", ACLS),
        ]);
        fs::create_dir(folder.path().join(FOLDER).join("saveconfig-29990101-00:00:00-json.gz")).unwrap();
        assert_eq!(luns(&folder), 13);
    }

    #[test]
    fn m14_a_copy_of_an_older_targetcli_is_not_compressed() {
        assert_eq!(luns(&folder(&[("saveconfig-20150101-10:00:00.json", ACLS)])), 4);
    }

    #[test]
    fn m14_without_copies_nothing_is_known() {
        assert_eq!(luns(&tempfile::tempdir().unwrap()), 0);
        assert_eq!(luns(&folder(&[])), 0);
    }

    #[test]
    fn m14_a_copy_that_grows_without_end_when_it_is_read_is_no_copy() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        std::io::copy(&mut std::io::repeat(b' ').take(LARGEST + 2), &mut encoder).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(matches!(super::super::parse(MultiGzDecoder::new(&bomb[..])), Err(Trouble::TooLarge)));
        let good = compressed(ACLS);
        let folder = folder(&[("saveconfig-1-json.gz", &good), ("saveconfig-2-json.gz", &bomb)]);
        assert_eq!(luns(&folder), 4);
    }
}
