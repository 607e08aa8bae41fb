//! What was cut short is taken back or finished, as the journal says what it was. Only that: what it does not name is
//! whoever's it is.

use super::journal::{Journal, UnderWay};
use super::read::Folder;
use super::write::{make_link, remove_folder, write};
use super::{CORE, Configfs, EnabledBackstores, Link, backstore, link};
use actors::model::{AclMapping, FILEIO, OPENED, TpgPath};
use actors::ports::LioError;
use rustix::fs::FileType;

impl Configfs {
    /// Takes back, or finishes, what the journal says was under way; and says whether there was anything.
    pub fn settle(&self, journal: &Journal) -> Result<bool, LioError> {
        let Some(cut_short) = journal.read()? else { return Ok(false) };
        match &cut_short {
            UnderWay::Backstore { hba, name } => self.settle_backstore(hba, name)?,
            UnderWay::Lun { tpg, number, name, mapped } => {
                self.settle_lun(&TpgPath::new(tpg), *number, name, mapped)?;
            }
        }
        journal.end()?;
        tracing::debug!(?cut_short, "what was cut short has been settled");
        Ok(true)
    }

    /// A whole one stays, for whether it is wanted is not to be said here. The kernel refuses while a LUN leads to it.
    fn settle_backstore(&self, hba: &str, name: &str) -> Result<(), LioError> {
        let (core, path) = (self.core()?, self.root.join(CORE).join(hba));
        let live = backstore(FILEIO, &core, hba, name, &EnabledBackstores::default())?;
        if live.is_some_and(|live| !live.enabled || live.file.starts_with(OPENED)) {
            remove_folder(&path.join(name))?;
        }
        // An empty HBA keeps rtslib from making any backstore, once it comes to its number (facts L1).
        match core.list(hba, FileType::Directory)? {
            Some(others) if others.is_empty() => remove_folder(&path),
            _ => Ok(()),
        }
    }

    /// A LUN that nodes may see by now stays, and each has it that was to have it: taking it back would be a removal.
    fn settle_lun(
        &self,
        tpg: &TpgPath,
        number: u16,
        name: &str,
        mapped: &[(String, u16)],
    ) -> Result<(), LioError> {
        let leads_here = self.lun(tpg, number)?.is_some_and(|lun| lun.leads_to(name));
        for (initiator, at) in mapped {
            let acl = self.root.join(format!("{tpg}/acls/{initiator}"));
            let Some(opened) = Folder::open(acl.clone())? else { continue };
            let now = link(&opened, &format!("lun_{at}"))?;
            let mapping = AclMapping { initiator: initiator.clone(), lun: *at };
            match (&now, leads_here) {
                (None, true) if !self.mapped(tpg, number)?.contains_key(initiator) => {
                    self.map_lun(tpg, number, &mapping)?;
                }
                (Some(Link::Bare), true) => self.map_to(tpg, number, &mapping)?,
                (Some(to), true) if to.lun() == Some(number) => self.protect(tpg, &mapping)?,
                (Some(Link::Bare), false) => remove_folder(&acl.join(format!("lun_{at}")))?,
                _ => {}
            }
        }
        let folder = self.lun_folder(tpg, number);
        match Folder::open(self.root.join(format!("{tpg}/lun")))? {
            Some(luns) if matches!(link(&luns, &format!("lun_{number}"))?, Some(Link::Bare)) => {
                remove_folder(&folder)
            }
            _ => Ok(()),
        }
    }

    /// The link of a mapping whose folder is there.
    pub(super) fn map_to(&self, tpg: &TpgPath, lun: u16, mapping: &AclMapping) -> Result<(), LioError> {
        let folder = self.mapping_folder(tpg, mapping);
        make_link(&self.lun_folder(tpg, lun), &folder.join(format!("lun_{lun}")))?;
        self.protect(tpg, mapping)
    }

    /// R10: nobody writes through it.
    fn protect(&self, tpg: &TpgPath, mapping: &AclMapping) -> Result<(), LioError> {
        write(&self.mapping_folder(tpg, mapping).join("write_protect"), "1")
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
    fn settled(what: &UnderWay, made: &[&str]) -> (tempfile::TempDir, Result<bool, LioError>) {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path());
        Tree::with_acls().grow(&folder.path().join("target"));
        made.iter().for_each(|made| fs::create_dir(folder.path().join("target").join(made)).unwrap());
        journal.begin(what).unwrap();
        let settled = Configfs::new(folder.path().join("target")).settle(&journal);
        assert_eq!(journal.is_empty(), settled.is_ok());
        (folder, settled)
    }

    fn is_there(folder: &tempfile::TempDir, path: &str) -> bool {
        folder.path().join("target").join(path).exists()
    }

    #[test]
    fn m10_an_empty_hba_of_ours_goes_and_one_that_has_a_backstore_or_is_not_named_stays() {
        let backstore = |hba: &str| UnderWay::Backstore { hba: hba.into(), name: "bbbb00000000002".into() };
        let (folder, result) = settled(&backstore("fileio_7"), &["core/fileio_7", "core/fileio_8"]);
        assert!(result.unwrap());
        assert!(!is_there(&folder, "core/fileio_7") && is_there(&folder, "core/fileio_8"));
        let (folder, result) = settled(&backstore("fileio_0"), &[]);
        assert!(result.unwrap());
        assert!(is_there(&folder, "core/fileio_0/bbbb00000000002"), "a whole one");
        assert!(settled(&backstore("fileio_99"), &[]).1.unwrap(), "it had not been begun");
    }

    #[test]
    fn m10_a_lun_that_leads_to_nothing_goes_with_its_mappings_and_whatever_the_journal_does_not_name_stays() {
        let mapped = vec![("iqn.2001-01.com.other:b".to_owned(), 200)];
        let lun = UnderWay::Lun { tpg: TPG.into(), number: 900, name: "a".into(), mapped };
        let made = [
            format!("{TPG}/lun/lun_900"),
            format!("{TPG}/lun/lun_901"),
            format!("{TPG}/acls/iqn.2001-01.com.other:b/lun_200"),
            format!("{TPG}/acls/iqn.2001-01.com.other:b/lun_201"),
        ];
        let (folder, result) = settled(&lun, &made.each_ref().map(String::as_str));
        assert!(result.unwrap());
        assert_eq!(made.map(|made| is_there(&folder, &made)), [false, true, false, true]);
    }

    #[test]
    fn r1_a_lun_that_leads_elsewhere_by_now_is_not_touched() {
        let lun = UnderWay::Lun { tpg: TPG.into(), number: 21, name: "of-ours".into(), mapped: Vec::new() };
        let (folder, result) = settled(&lun, &[]);
        assert!(result.unwrap() && is_there(&folder, &format!("{TPG}/lun/lun_21")));
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_an_error_that_names_it_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("configfs.json"), "{").unwrap();
        let error = Configfs::new(Path::new("/nowhere")).settle(&Journal::new(folder.path())).unwrap_err();
        assert!(error.to_string().ends_with("configfs.json cannot be read"), "{error}");
    }
}
