//! Linux LIO as one port: configfs and saveconfig.json to read; targetclid, or configfs itself, to change.

mod direct;

use crate::config;
use crate::configfs::{Configfs, Journal, Mapped};
use crate::mount::Files;
use crate::saveconfig;
use crate::targetclid::{Access, Command, IqnError, Patience, Session, ShellLock, Target, Turn};
use actors::model::{AclMapping, Actual, Backstore, LunEntry, Request, Step, TpgPath, Word, WordError};
use actors::ports::{LioError, LioPort, Rest};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a daemon that is being started may take to read a LUN: more than 19 ms were seen on the slowest machine (facts 7).
const READS_A_LUN: Duration = Duration::from_millis(50);

/// The LIO of this node.
#[derive(Clone, Debug)]
pub struct LioAdapter {
    configfs: Configfs,
    target: Target,
    tpg_path: TpgPath,
    save_file: Option<Word>,
    session: Session,
    lock: ShellLock,
    /// What it takes to write configfs; without it that is only read.
    writing: Option<Writing>,
    /// Why what was cut short could not be settled, as it was told last.
    unsettled: Option<String>,
    command_timeout: Duration,
    tree_timeout: Duration,
    /// The HBAs of which the daemon knows, if that is sure: its list is a cache (facts L1).
    hbas: Option<BTreeSet<String>>,
    /// How the ACLs saw LUNs that were deleted, by number and backstore: one that is made anew is mapped as it was.
    mapped: BTreeMap<(u16, Word), Mapped>,
}

/// What it takes to write configfs.
#[derive(Clone, Debug)]
struct Writing {
    /// The files that the kernel may be given.
    files: Files,
    journal: Journal,
}

/// What a command does to the HBAs, of which each backstore has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnHbas {
    Nothing,
    Makes,
    Removes,
}

/// Why these settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The IQN is not a valid targetcli token.
    #[error("lio.iqn {iqn:?} is not a valid targetcli token")]
    Iqn {
        /// As configured.
        iqn: String,
        /// Why.
        #[source]
        source: IqnError,
    },
    /// The save file's path is not a valid targetcli token.
    #[error("lio.save_file {path:?} is not a valid targetcli token")]
    SaveFile {
        /// As configured.
        path: String,
        /// Why.
        #[source]
        source: WordError,
    },
}

/// Our TPG, as these settings name it.
pub fn tpg_path(settings: &config::Lio) -> TpgPath {
    TpgPath::new(format!("iscsi/{}/tpgt_{}", settings.iqn, settings.tpg))
}

impl LioAdapter {
    /// Nothing is read or connected before it is needed: LIO may come up after us.
    pub fn new(settings: &config::Lio) -> Result<Self, SettingError> {
        let target = Target::new(&settings.iqn, settings.tpg)
            .map_err(|source| SettingError::Iqn { iqn: settings.iqn.clone(), source })?;
        let token = |path: &PathBuf| {
            word(path).map_err(|source| SettingError::SaveFile { path: path.display().to_string(), source })
        };
        Ok(LioAdapter {
            configfs: Configfs::new(&settings.configfs),
            target,
            tpg_path: tpg_path(settings),
            save_file: settings.save_file.as_ref().map(token).transpose()?,
            session: Session::new(&settings.socket),
            lock: ShellLock::default(),
            writing: None,
            unsettled: None,
            command_timeout: settings.command_timeout,
            tree_timeout: settings.tree_timeout,
            hbas: None,
            mapped: BTreeMap::new(),
        })
    }

    /// The same, whose session others know by this.
    pub fn with_access(self, access: Access) -> Self {
        LioAdapter { session: self.session.with_access(access), ..self }
    }

    /// The same, which may write configfs and have the kernel open these files. What an agent before it was killed in
    /// the middle of is settled by [`LioAdapter::settled`], or at the end of a pass if somebody else is at it by then.
    pub fn with_files(self, files: Files, journal: Journal) -> Self {
        LioAdapter { writing: Some(Writing { files, journal }), ..self }
    }

    /// The same with another lock than plain targetcli's and another patience with the daemon: for tests.
    pub fn with(self, lock: ShellLock, patience: Patience) -> Self {
        LioAdapter { lock, session: self.session.with_patience(patience), ..self }
    }

    /// The configured one, or the one in the folder that the kernel's `dbroot` names.
    fn save_file(&self) -> Result<Word, LioError> {
        match &self.save_file {
            Some(configured) => Ok(configured.clone()),
            None => word(&self.configfs.dbroot()?.join(saveconfig::FILE_NAME)).map_err(|invalid| {
                LioError::Configfs {
                    path: self.configfs.dbroot_file().display().to_string(),
                    source: io::Error::new(io::ErrorKind::InvalidData, invalid),
                }
            }),
        }
    }

    /// Maps a LUN of our TPG to each node ACL that has not got it, write protected: what targetcli maps by itself when
    /// it creates a LUN can be written to (R10), and is nothing at all for a number above 255. Without the lock: no HBA is
    /// made, and the LUN is there already.
    fn map_to_acls(&mut self, lun: u16, name: &Word) -> Result<String, LioError> {
        let mut replies = String::new();
        if self.configfs.lun(&self.tpg_path, lun)?.is_none() {
            return Ok(replies);
        }
        let before = self.mapped.remove(&(lun, name.clone())).unwrap_or_default();
        for AclMapping { initiator, lun: number } in self.configfs.unmapped(&self.tpg_path, lun, &before)? {
            // One whose name is not a valid token stays without, which configfs shows.
            if let Some(command) = self.target.map_lun(&initiator, lun, number) {
                replies += &say(&mut self.session.turn()?, &command, self.command_timeout)?;
            }
        }
        Ok(replies)
    }

    /// How the ACLs see a LUN that is about to go, with its mappings. A second try finds none, and forgets nothing.
    fn remember_mappings(&mut self, step: &Step) -> Result<(), LioError> {
        if let Step::DeleteLun { lun, name } = step {
            let mapped = self.configfs.mapped(&self.tpg_path, *lun)?;
            if !mapped.is_empty() {
                self.mapped.insert((*lun, name.clone()), mapped);
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, with_lock: bool) -> Result<String, LioError> {
        self.remember_mappings(step)?;
        let effect = match step {
            Step::CreateBackstore { .. } => OnHbas::Makes,
            Step::DeleteBackstore { .. } | Step::DiscardBackstore { .. } => OnHbas::Removes,
            _ => OnHbas::Nothing,
        };
        let command = self.target.change(step)?;
        let mut reply = self.change(&command, self.command_timeout, with_lock, effect)?;
        if let Step::CreateLun { lun, name, map_to_acls: true } = step {
            reply += &self.map_to_acls(*lun, name)?;
        }
        Ok(reply)
    }

    /// Says a command that changes something: first our turn, then plain targetcli's lock, then the command. Whoever
    /// has the lock may itself be waiting for its turn at the daemon, so the session is ended while we wait for it.
    fn change(
        &mut self,
        command: &Command,
        limit: Duration,
        with_lock: bool,
        effect: OnHbas,
    ) -> Result<String, LioError> {
        loop {
            if with_lock && self.lock.is_given_up() {
                self.lock.look(command.as_str())?;
            }
            let mut turn = self.session.turn()?;
            let held = if with_lock { self.lock.try_take() } else { None };
            if with_lock && held.is_none() {
                turn.leave();
                self.lock.wait(command.as_str())?;
                continue;
            }
            if effect == OnHbas::Nothing {
                return say(&mut turn, command, limit);
            }
            // Under the lock nobody else makes one. Of those that were made before, the daemon has to be told.
            let hbas = held.as_ref().and_then(|_| self.configfs.hbas().ok());
            let mut knows_all = hbas.is_some() && hbas == self.hbas.take();
            if effect == OnHbas::Makes && hbas.is_some() && !knows_all {
                say(&mut turn, &Command::refresh(), self.tree_timeout)?;
                knows_all = true;
            }
            self.configfs.count_no_more();
            let reply = say(&mut turn, command, limit)?;
            self.hbas = if knows_all { self.configfs.hbas().ok() } else { None };
            drop(held);
            return Ok(reply);
        }
    }

    /// The daemon walks its whole tree for this, and for a save.
    fn refresh(&mut self) -> Result<String, LioError> {
        let hbas = self.configfs.hbas().ok();
        self.hbas = None;
        let reply = say(&mut self.session.turn()?, &Command::refresh(), self.tree_timeout)?;
        self.hbas = hbas;
        Ok(reply)
    }

    fn ask(&mut self, request: &Request, with_lock: bool) -> Result<String, LioError> {
        match request {
            Request::Unlocked(request) => self.ask(request, false),
            Request::Refresh => self.refresh(),
            Request::Save { backup } => {
                let command = Command::save(&self.save_file()?, *backup)?;
                self.change(&command, self.tree_timeout, with_lock, OnHbas::Nothing)
            }
            Request::Probe => {
                // While the lock is held the daemon is not even asked. Neither is held while the other is looked at.
                self.lock.look(&request.to_string())?;
                self.session.turn()?;
                Ok(String::new())
            }
            Request::SetAside => {
                // An operator who has the session may be editing it.
                self.session.check_released()?;
                let aside = saveconfig::set_aside(Path::new(self.save_file()?.as_str()))?;
                Ok(aside.display().to_string())
            }
            Request::Change(step) => self.step(step, with_lock),
            Request::Direct(step) => self.direct(step, with_lock),
        }
    }
}

fn say(turn: &mut Turn<'_>, command: &Command, limit: Duration) -> Result<String, LioError> {
    let reply = turn.say(command, limit)?;
    tracing::debug!(command = command.as_str(), reply = reply.trim_end(), "targetclid answered");
    Ok(reply)
}

impl LioPort for LioAdapter {
    fn observe(&mut self) -> Result<Actual, LioError> {
        let fabrics = self.configfs.fabrics()?;
        let luns = u32::try_from(fabrics.luns.len()).unwrap_or(u32::MAX);
        self.session.expect_tree(READS_A_LUN.saturating_mul(luns).min(self.tree_timeout));
        Ok(Actual {
            tpg_path: self.tpg_path.clone(),
            tpg: self.configfs.tpg(&self.tpg_path)?,
            backstores: self.configfs.backstores()?,
            luns: fabrics.luns,
            bare_luns: fabrics.bare_luns,
            others: fabrics.others,
            saved: saveconfig::read(Path::new(self.save_file()?.as_str())),
        })
    }

    fn backstore(&mut self, name: &Word) -> Result<Option<Backstore>, LioError> {
        self.configfs.fileio(name.as_str())
    }

    fn lun(&mut self, number: u16) -> Result<Option<LunEntry>, LioError> {
        self.configfs.lun(&self.tpg_path, number)
    }

    fn apply(&mut self, request: &Request) -> Result<String, LioError> {
        self.ask(request, true)
    }

    fn rest(&mut self, rest: Rest) {
        self.session.renew();
        self.lock.renew();
        self.settle();
        if rest == Rest::ForGood {
            self.session.end();
        }
    }
}

/// A path as a targetcli token. What is no Unicode becomes a character that no word has.
fn word(path: &Path) -> Result<Word, WordError> {
    Word::try_from(path.to_string_lossy().into_owned())
}
