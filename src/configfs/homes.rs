//! Where backstores are: each has an HBA of its own, and there is no index of them but this one.

use super::read::Folder;
use super::{Configfs, hbas};
use actors::model::FILEIO;
use actors::ports::LioError;
use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

/// Where the fileio backstores were when all were read last, and what we have made or removed since.
#[derive(Debug, Default)]
pub(super) struct Homes {
    /// The HBA of each, by name: it is looked for there first.
    pub hbas: BTreeMap<String, String>,
    /// Links of the folder of the HBAs, as long as nobody else is known to have changed them. While they are as many, nobody
    /// has made another one: so a name that is not known is not there, and a pass that makes a thousand does not search
    /// a thousand HBAs for each.
    pub links: Option<u64>,
}

impl Configfs {
    /// The HBA of the fileio backstore of this name; `None` if there is none.
    pub(super) fn hba_of(&self, core: &Folder, name: &str) -> Result<Option<String>, LioError> {
        let is_there = |hba: &str| core.below(&format!("{hba}/{name}")).map(|home| home.is_some());
        let (known, links) = {
            let homes = self.homes();
            (homes.hbas.get(name).cloned(), homes.links)
        };
        match known {
            Some(hba) if is_there(&hba)? => return Ok(Some(hba)),
            None if links.is_some() && links == core.links()? => return Ok(None),
            _ => {}
        }
        for (_, hba) in hbas(core)?.into_iter().filter(|(plugin, _)| plugin == FILEIO) {
            if is_there(&hba)? {
                return Ok(Some(hba));
            }
        }
        Ok(None)
    }

    pub(super) fn homes(&self) -> MutexGuard<'_, Homes> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// We have made a backstore in an HBA of its own.
    pub(super) fn remember(&self, name: &str, hba: String) {
        let mut homes = self.homes();
        homes.hbas.insert(name.to_owned(), hba);
        homes.links = homes.links.map(|links| links + 1);
    }

    /// Somebody else makes and removes HBAs, and may come to as many as before.
    pub fn count_no_more(&self) {
        self.homes().links = None;
    }

    /// We have removed a backstore with its HBA.
    pub(super) fn forget(&self, name: &str) {
        let mut homes = self.homes();
        homes.hbas.remove(name);
        homes.links = homes.links.map(|links| links.saturating_sub(1));
    }
}
