//! What was cut short is taken back or finished, as the journal says what it was. Only that: what it does not name is
//! whoever's it is.

use super::journal::{Journal, Lun, Mapping, UnderWay};
use super::read::Folder;
use super::write::{make_folder, make_link, remove_folder, write};
use super::{CORE, Configfs, EnabledBackstores, Link, backstore, link};
use actors::model::{FILEIO, OPENED, TpgPath};
use actors::ports::LioError;
use rustix::fs::FileType;

impl Configfs {
    /// Takes back, or finishes, what the journal says was under way; and says what it was, if there was anything.
    pub fn settle(&self, journal: &Journal) -> Result<Option<String>, LioError> {
        if journal.is_empty() {
            return Ok(None);
        }
        let cut_short = journal.read()?;
        match &cut_short {
            None => {}
            Some(UnderWay::CreateBackstore { hba, name, serial }) => {
                self.discard_half_made(hba, name, serial)?;
                self.remove_if_empty(hba)?;
            }
            Some(UnderWay::DeleteBackstore { hba }) => self.remove_if_empty(hba)?,
            Some(UnderWay::CreateLun(lun)) => self.finish_or_discard(lun, true)?,
            Some(UnderWay::DeleteLun(lun)) => self.finish_or_discard(lun, false)?,
        }
        journal.end()?;
        Ok(cut_short.map(|cut_short| cut_short.to_string()))
    }

    /// A whole one stays, for whether it is wanted is not to be said here. The kernel refuses while a LUN leads to it.
    fn discard_half_made(&self, hba: &str, name: &str, serial: &str) -> Result<(), LioError> {
        let live = backstore(FILEIO, &self.core()?, hba, name, &EnabledBackstores::default())?;
        let is_ours = live.is_some_and(|live| {
            let is_half_made = !live.enabled || live.file.starts_with(OPENED);
            is_half_made && (live.serial.is_empty() || live.serial == serial)
        });
        if is_ours { remove_folder(&self.root.join(CORE).join(hba).join(name)) } else { Ok(()) }
    }

    /// An empty HBA keeps rtslib from making any backstore, once it comes to its number (facts L1).
    fn remove_if_empty(&self, hba: &str) -> Result<(), LioError> {
        match self.core()?.list(hba, FileType::Directory)? {
            Some(others) if others.is_empty() => remove_folder(&self.root.join(CORE).join(hba)),
            _ => Ok(()),
        }
    }

    /// A LUN that nodes may see by now stays, with the mappings that it was to have, or had: taking it away would be a
    /// removal. One that leads to nothing goes. An ACL that refuses costs no other its mapping.
    fn finish_or_discard(&self, lun: &Lun, is_new: bool) -> Result<(), LioError> {
        let tpg = TpgPath::new(&lun.tpg);
        let leads_here = self.lun(&tpg, lun.number)?.is_some_and(|live| live.leads_to(&lun.name));
        let settled = lun.mappings.iter().map(|mapping| match leads_here {
            true => self.restore(&tpg, lun.number, mapping, is_new),
            false => self.discard_mapping(&tpg, mapping),
        });
        settled.fold(Ok(()), Result::and)?;
        let Some(luns) = Folder::open(self.root.join(format!("{tpg}/lun")))? else { return Ok(()) };
        match link(&luns, &format!("lun_{}", lun.number))? {
            Some(Link::Bare) => remove_folder(&self.lun_folder(&tpg, lun.number)),
            _ => Ok(()),
        }
    }

    /// What leads to the LUN already is left as it is, unless it is `new`: then it was made by us, and may still be open to
    /// writes.
    fn restore(&self, tpg: &TpgPath, lun: u16, mapping: &Mapping, is_new: bool) -> Result<(), LioError> {
        match self.mapping(tpg, mapping)? {
            Some(None) if !(is_new && self.mapped(tpg, lun)?.contains_key(&mapping.initiator)) => {
                self.map_lun(tpg, lun, mapping)
            }
            Some(Some(Link::Bare)) => self.link_mapping(tpg, lun, mapping),
            Some(Some(to)) if is_new && to.lun() == Some(lun) => self.protect(tpg, mapping),
            _ => Ok(()),
        }
    }

    fn discard_mapping(&self, tpg: &TpgPath, mapping: &Mapping) -> Result<(), LioError> {
        match self.mapping(tpg, mapping)? {
            Some(Some(Link::Bare)) => remove_folder(&self.mapping_folder(tpg, mapping)),
            _ => Ok(()),
        }
    }

    /// Where a mapping leads, if it is there; `None` if there is no such ACL.
    fn mapping(&self, tpg: &TpgPath, mapping: &Mapping) -> Result<Option<Option<Link>>, LioError> {
        let acl = Folder::open(self.root.join(format!("{tpg}/acls/{}", mapping.initiator)))?;
        acl.map(|acl| link(&acl, &format!("lun_{}", mapping.number))).transpose()
    }

    /// Maps a LUN of a TPG to one of its node ACLs.
    pub(super) fn map_lun(&self, tpg: &TpgPath, lun: u16, mapping: &Mapping) -> Result<(), LioError> {
        make_folder(&self.mapping_folder(tpg, mapping))?;
        self.link_mapping(tpg, lun, mapping)
    }

    fn link_mapping(&self, tpg: &TpgPath, lun: u16, mapping: &Mapping) -> Result<(), LioError> {
        let folder = self.mapping_folder(tpg, mapping);
        make_link(&self.lun_folder(tpg, lun), &folder.join(format!("lun_{lun}")))?;
        self.protect(tpg, mapping)
    }

    fn protect(&self, tpg: &TpgPath, mapping: &Mapping) -> Result<(), LioError> {
        let protected = if mapping.write_protect { "1" } else { "0" };
        write(&self.mapping_folder(tpg, mapping).join("write_protect"), protected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;
    use support::configfs::Tree;

    const TPG: &str = "iscsi/iqn.2023-06.csm.iscsi:vm1/tpgt_1";

    /// The tree of a node with ACLs, in which this was under way, and these folders had been made of it.
    fn settled(what: UnderWay, made: &[&str]) -> (tempfile::TempDir, Result<Option<String>, LioError>) {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path());
        Tree::with_acls().grow(&folder.path().join("target"));
        made.iter().for_each(|made| fs::create_dir(folder.path().join("target").join(made)).unwrap());
        journal.begin(what).unwrap();
        let settled = Configfs::new(folder.path().join("target")).settle(&journal);
        assert_eq!(journal.is_empty(), settled.as_ref().is_ok_and(Option::is_some));
        (folder, settled)
    }

    fn is_there(folder: &tempfile::TempDir, path: &str) -> bool {
        folder.path().join("target").join(path).exists()
    }

    #[test]
    fn m10_an_empty_hba_of_ours_goes_and_one_that_has_a_backstore_or_is_not_named_stays() {
        let backstore = |hba: &str| UnderWay::CreateBackstore {
            hba: hba.into(),
            name: "bbbb00000000002".into(),
            serial: "0".into(),
        };
        let (folder, result) = settled(backstore("fileio_7"), &["core/fileio_7", "core/fileio_8"]);
        assert_eq!(result.unwrap().unwrap(), "create backstore fileio_7/bbbb00000000002");
        assert!(!is_there(&folder, "core/fileio_7") && is_there(&folder, "core/fileio_8"));
        let (folder, result) = settled(backstore("fileio_0"), &[]);
        assert!(result.unwrap().is_some());
        assert!(is_there(&folder, "core/fileio_0/bbbb00000000002"), "a whole one");
        assert!(settled(backstore("fileio_99"), &[]).1.unwrap().is_some(), "it had not been begun");
    }

    #[test]
    fn m10_a_lun_that_leads_to_nothing_goes_with_its_mappings_and_whatever_the_journal_does_not_name_stays() {
        let mapping =
            Mapping { initiator: "iqn.2001-01.com.other:b".into(), number: 200, write_protect: true };
        let lun = Lun { tpg: TPG.into(), number: 900, name: "a".into(), mappings: vec![mapping] };
        let lun = UnderWay::CreateLun(lun);
        let made = [
            format!("{TPG}/lun/lun_900"),
            format!("{TPG}/lun/lun_901"),
            format!("{TPG}/acls/iqn.2001-01.com.other:b/lun_200"),
            format!("{TPG}/acls/iqn.2001-01.com.other:b/lun_201"),
        ];
        let (folder, result) = settled(lun, &made.each_ref().map(String::as_str));
        assert!(result.unwrap().is_some());
        assert_eq!(made.map(|made| is_there(&folder, &made)), [false, true, false, true]);
    }

    #[test]
    fn r1_a_lun_that_leads_elsewhere_by_now_is_not_touched() {
        let lun = Lun { tpg: TPG.into(), number: 21, name: "of-ours".into(), mappings: Vec::new() };
        let lun = UnderWay::DeleteLun(lun);
        let (folder, result) = settled(lun, &[]);
        assert!(result.unwrap().is_some() && is_there(&folder, &format!("{TPG}/lun/lun_21")));
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_an_error_that_names_it_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("configfs.json"), "{").unwrap();
        let error = Configfs::new(Path::new("/nowhere")).settle(&Journal::new(folder.path())).unwrap_err();
        assert!(error.to_string().ends_with("configfs.json cannot be read"), "{error}");
    }
}
