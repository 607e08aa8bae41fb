//! What may be removed, added and saved now: the rules, one function each. Pure.

use crate::desired::Withdrawal;
use crate::identity::Identity;
use crate::model::{Actual, Backstore, Cause, Inventory, ObjectKey, Saved};
use crate::reason::Reason;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A backstore of ours, recognised by its form and its file (R1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// Who it is.
    pub identity: Identity,
    /// The object its file is.
    pub key: ObjectKey,
}

/// R1: whether a backstore is ours: a fileio of our form of name and serial, with its file under our mount.
pub fn recognise(plugin: &str, name: &str, file: &str, serial: &str, mount: &str) -> Option<Ours> {
    let key = file.strip_prefix(mount)?.strip_prefix('/')?;
    let identity = Identity::recognise(name, serial).filter(|_| plugin == "fileio")?;
    Some(Ours { identity, key: ObjectKey::new(key) })
}

/// R1, for a backstore as configfs shows it.
pub fn recognise_live(backstore: &Backstore, mount: &str) -> Option<Ours> {
    recognise(&backstore.plugin, &backstore.name, &backstore.file, &backstore.serial, mount)
}

/// How removals are limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first look to the second (R2).
    pub confirm_after: Duration,
    /// Percent of our projections that one pass may remove (R3); one may always go.
    pub max_removal_percent: u8,
}

/// What the reconciler remembers from pass to pass. Times are since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When each projection that is gone was first seen to be gone.
    pub first_missed: BTreeMap<Identity, Duration>,
    /// Which projection each image named when last it could be read.
    pub claims: BTreeMap<String, Identity>,
}

/// A projection that nothing wants any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Which.
    pub ours: Ours,
    /// The evidence.
    pub why: Withdrawal,
    /// A LUN of another target leads to it as well.
    pub foreign_lun: Option<String>,
}

/// Why a removal has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// R1: a LUN outside our TPG uses it.
    ForeignLun(String),
    /// R2: something did not answer in this pass.
    Unknown(Cause),
    /// R2: this was the first look; the second may come in this time.
    SecondLook(Duration),
    /// R3: too many at once; an operator confirms with this code.
    Breaker {
        /// How many are due.
        due: usize,
        /// How many may go in one pass.
        allowed: usize,
        /// Names exactly this set of removals.
        code: String,
    },
}

impl Hold {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            Hold::ForeignLun(_) => "foreign_lun",
            Hold::Unknown(_) => "unknown",
            Hold::SecondLook(_) => "second_look",
            Hold::Breaker { .. } => "breaker",
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::ForeignLun(tpg) => write!(f, "a LUN of {tpg} uses it too"),
            Hold::Unknown(cause) => write!(f, "not everything answered: {cause}"),
            Hold::SecondLook(left) => write!(f, "a second look follows in {} s", left.as_secs_f32().ceil()),
            Hold::Breaker { due, allowed, code } => write!(
                f,
                "{due} removals are due and one pass may do {allowed}; if that is meant: sbps-marshal confirm-removal {code}"
            ),
        }
    }
}

/// A removal, and whether it may happen now.
pub type Judged = (Removal, Result<(), Hold>);

/// R1, R2 and R3: which of the due removals may happen now. `ours` counts our projections, `now` is since start.
/// The second value says when each was first missed, to be remembered.
pub fn removals(
    due: Vec<Removal>,
    ours: usize,
    unknown: Option<&Cause>,
    first_missed: &BTreeMap<Identity, Duration>,
    limits: &Limits,
    now: Duration,
    confirmed: Option<&str>,
) -> (Vec<Judged>, BTreeMap<Identity, Duration>) {
    if let Some(cause) = unknown {
        // What is not known breaks the row of looks: the first look has to be taken again.
        let held = due.into_iter().map(|removal| (removal, Err(Hold::Unknown(cause.clone()))));
        return (held.collect(), BTreeMap::new());
    }
    let missed: BTreeMap<Identity, Duration> = due
        .iter()
        .map(|removal| &removal.ours.identity)
        .map(|identity| (identity.clone(), first_missed.get(identity).copied().unwrap_or(now)))
        .collect();
    let allowed = (ours * usize::from(limits.max_removal_percent) / 100).max(1);
    let code = code_of(missed.keys());
    let tripped = due.len() > allowed && confirmed != Some(code.as_str());
    let count = due.len();
    let judged = due.into_iter().map(|removal| {
        let looked_for = now.saturating_sub(missed.get(&removal.ours.identity).copied().unwrap_or(now));
        let verdict = if let Some(tpg) = &removal.foreign_lun {
            Err(Hold::ForeignLun(tpg.clone()))
        } else if tripped {
            Err(Hold::Breaker { due: count, allowed, code: code.clone() })
        } else if looked_for < limits.confirm_after || looked_for.is_zero() {
            Err(Hold::SecondLook(limits.confirm_after - looked_for))
        } else {
            Ok(())
        };
        (removal, verdict)
    });
    (judged.collect(), missed)
}

/// A code that names exactly this set of projections.
fn code_of<'a>(identities: impl Iterator<Item = &'a Identity>) -> String {
    let all: Vec<String> = identities.map(Identity::to_string).collect();
    Identity::of_pe("removals", &all.join(" ")).wwn().as_str()[..8].to_owned()
}

/// R10: whether LUNs may be added to our TPG.
pub fn may_add(actual: &Actual) -> Result<(), Reason> {
    match &actual.tpg {
        None => Err(Reason::TargetMissing(actual.tpg_path.clone())),
        Some(tpg) if !tpg.write_protected => Err(Reason::NotWriteProtected(actual.tpg_path.clone())),
        Some(_) => Ok(()),
    }
}

/// R11: what to do about saveconfig.json.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Save {
    /// It says what is live.
    Equal,
    /// It should be written.
    Due,
    /// It must not be written: these are saved, are not live, and nobody has said that they should go.
    Refused(Vec<String>),
}

/// R11: whether what is live may replace what is saved. `may_drop` names the backstores known to be unwanted.
pub fn save(saved: &Saved, live: &Inventory, may_drop: &BTreeSet<String>) -> Save {
    let saved = match saved {
        Saved::Readable(saved) if saved == live => return Save::Equal,
        Saved::Readable(saved) => saved,
        // Nothing can be lost; with nothing live there is nothing to save either.
        Saved::Missing | Saved::Unreadable(_) if live.luns.is_empty() => return Save::Equal,
        Saved::Missing | Saved::Unreadable(_) => return Save::Due,
    };
    let lost_luns = saved.luns.difference(&live.luns).filter(|lun| !may_drop.contains(&lun.name));
    let lost_stores = saved.backstores.difference(&live.backstores).filter(|b| !may_drop.contains(&b.1));
    let lost: Vec<String> = lost_luns
        .map(|lun| format!("{}/lun_{} {}", lun.tpg, lun.lun, lun.name))
        .chain(lost_stores.map(|(plugin, name, file, _)| format!("{plugin} {name} {file}")))
        .collect();
    if lost.is_empty() { Save::Due } else { Save::Refused(lost) }
}
