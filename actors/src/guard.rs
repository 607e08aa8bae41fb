//! What may be removed, added and saved now: the rules, one function each. Pure.

use crate::desired::Withdrawal;
use crate::identity::Identity;
use crate::model::{Actual, Backstore, Cause, Inventory, LunEntry, ObjectKey, Saved};
use crate::reason::Reason;
use std::collections::BTreeMap;
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

/// A saved backstore: plugin, name, file and serial.
pub type SavedBackstore = (String, String, String, String);

/// R1, for what is saved: our backstores.
pub fn saved_ours<'a>(
    saved: &'a Inventory,
    mount: &'a str,
) -> impl Iterator<Item = (&'a SavedBackstore, Ours)> {
    saved.backstores.iter().filter_map(move |backstore| {
        let (plugin, name, file, serial) = backstore;
        Some((backstore, recognise(plugin, name, file, serial, mount)?))
    })
}

/// R1, for what is saved: the LUNs that our TPG has on a backstore of ours.
pub fn saved_luns<'a>(
    saved: &'a Inventory,
    ours: &Ours,
    tpg: &'a str,
) -> impl Iterator<Item = &'a LunEntry> + use<'a> {
    let name = ours.identity.name();
    let ours = move |lun: &&LunEntry| lun.tpg == tpg && lun.plugin == "fileio" && lun.name == name.as_str();
    saved.luns.iter().filter(ours)
}

/// How removals are limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first look to the second (R2).
    pub confirm_after: Duration,
    /// Percent of our projections that one pass may remove (R3); one may always go.
    pub max_removal_percent: u8,
    /// So many may go in any case (R3).
    pub max_removals: u16,
    /// The breaker counts removals over this time.
    pub window: Duration,
}

/// What the reconciler remembers from pass to pass. Times are since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When the look ended in which each projection that is gone was first seen to be gone.
    pub first_missed: BTreeMap<Identity, Duration>,
    /// The code of the removals that are due and confirmed, but may have to wait for their second look.
    pub confirmed: Option<String>,
    /// Which projection each image named when last it could be read.
    pub claims: BTreeMap<String, Identity>,
}

impl History {
    /// After a pass that saw nothing: the row of looks is broken (R2).
    pub fn break_row(&mut self) {
        self.first_missed.clear();
        self.confirmed = None;
    }
}

/// When a look was taken, since the reconciler started. What it saw was so at some moment in between: so from one look
/// to the next is from the end of the one to the beginning of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookTime {
    /// Before the first source was asked.
    pub began: Duration,
    /// After the last one answered.
    pub ended: Duration,
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

/// What may be removed now, and what is to be remembered of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Every due removal.
    pub removals: Vec<Judged>,
    /// See [`History::first_missed`].
    pub first_missed: BTreeMap<Identity, Duration>,
    /// See [`History::confirmed`].
    pub confirmed: Option<String>,
}

/// R1, R2 and R3: which of the due removals may happen now. `ours` counts our projections; `confirmed` is what an
/// operator has just confirmed.
pub fn removals(
    due: Vec<Removal>,
    ours: usize,
    unknown: Option<&Cause>,
    history: &History,
    limits: &Limits,
    look: LookTime,
    confirmed: Option<&str>,
) -> Judgement {
    if let Some(cause) = unknown {
        // What is not known breaks the row of looks: the first look has to be taken again.
        let held = due.into_iter().map(|removal| (removal, Err(Hold::Unknown(cause.clone()))));
        return Judgement { removals: held.collect(), first_missed: BTreeMap::new(), confirmed: None };
    }
    let missed_since = |identity: &Identity| history.first_missed.get(identity).copied();
    let first_missed: BTreeMap<Identity, Duration> = due
        .iter()
        .map(|removal| &removal.ours.identity)
        .map(|identity| (identity.clone(), missed_since(identity).unwrap_or(look.ended)))
        .collect();
    let count = due.len();
    let allowed = (ours * usize::from(limits.max_removal_percent) / 100).max(1);
    let code = code_of(first_missed.keys());
    let confirmed = [confirmed, history.confirmed.as_deref()].contains(&Some(code.as_str()));
    let judged = due.into_iter().map(|removal| {
        let waited = missed_since(&removal.ours.identity).map(|since| look.began.saturating_sub(since));
        let verdict = match (&removal.foreign_lun, waited) {
            (Some(tpg), _) => Err(Hold::ForeignLun(tpg.clone())),
            _ if count > allowed && !confirmed => {
                Err(Hold::Breaker { due: count, allowed, code: code.clone() })
            }
            (None, Some(waited)) if waited >= limits.confirm_after => Ok(()),
            (None, waited) => {
                Err(Hold::SecondLook(limits.confirm_after.saturating_sub(waited.unwrap_or_default())))
            }
        };
        (removal, verdict)
    });
    Judgement { removals: judged.collect(), first_missed, confirmed: confirmed.then_some(code.clone()) }
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

/// R11: whether what is live may replace what is saved. `may_drop` are the saved entries known to be unwanted.
pub fn save(saved: &Saved, live: &Inventory, may_drop: &Inventory) -> Save {
    let saved = match saved {
        Saved::Readable(saved) if saved == live => return Save::Equal,
        Saved::Readable(saved) => saved,
        // Nothing can be lost; with nothing live there is nothing to save either.
        Saved::Missing | Saved::Unreadable { .. } if live.luns.is_empty() => return Save::Equal,
        Saved::Missing | Saved::Unreadable { .. } => return Save::Due,
    };
    let lost_luns = saved.luns.difference(&live.luns).filter(|lun| !may_drop.luns.contains(lun));
    let lost_stores =
        saved.backstores.difference(&live.backstores).filter(|b| !may_drop.backstores.contains(b));
    let lost: Vec<String> = lost_luns
        .map(|lun| format!("{}/lun_{} {}", lun.tpg, lun.lun, lun.name))
        .chain(lost_stores.map(|(plugin, name, file, _)| format!("{plugin} {name} {file}")))
        .collect();
    if lost.is_empty() { Save::Due } else { Save::Refused(lost) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Source;
    use std::collections::BTreeSet;

    const LIMITS: Limits = Limits {
        confirm_after: Duration::from_secs(20),
        max_removal_percent: 10,
        max_removals: 1,
        window: Duration::from_secs(3600),
    };

    fn removal(n: u8) -> Removal {
        let key = format!("PE/{n}");
        let identity = Identity::of_pe("boot-images", &key);
        Removal {
            ours: Ours { identity, key: ObjectKey::new(key) },
            why: Withdrawal::ObjectGone,
            foreign_lun: None,
        }
    }

    fn look(began: u64, ended: u64) -> LookTime {
        LookTime { began: Duration::from_secs(began), ended: Duration::from_secs(ended) }
    }

    fn remember(judgement: &Judgement) -> History {
        let Judgement { first_missed, confirmed, .. } = judgement.clone();
        History { first_missed, confirmed, ..History::default() }
    }

    fn allowed(judgement: &Judgement) -> usize {
        judgement.removals.iter().filter(|(_, verdict)| verdict.is_ok()).count()
    }

    #[test]
    fn r2_the_second_look_begins_confirm_after_the_first_one_ended() {
        // The first look took 50 s; the next pass comes right after it.
        let one = || vec![removal(1)];
        let first = removals(one(), 10, None, &History::default(), &LIMITS, look(0, 50), None);
        let soon = removals(one(), 10, None, &remember(&first), &LIMITS, look(60, 61), None);
        assert_eq!((allowed(&first), allowed(&soon)), (0, 0));
        assert_eq!(soon.removals[0].1, Err(Hold::SecondLook(Duration::from_secs(10))));
        let later = removals(one(), 10, None, &remember(&soon), &LIMITS, look(70, 71), None);
        assert_eq!(allowed(&later), 1);
    }

    #[test]
    fn r2_even_without_a_waiting_time_there_are_two_looks() {
        let limits = Limits { confirm_after: Duration::ZERO, ..LIMITS };
        let first = removals(vec![removal(1)], 10, None, &History::default(), &limits, look(0, 0), None);
        assert_eq!(allowed(&first), 0);
        let second = removals(vec![removal(1)], 10, None, &remember(&first), &limits, look(0, 0), None);
        assert_eq!(allowed(&second), 1);
    }

    #[test]
    fn r3_a_confirmation_outlasts_the_wait_for_the_second_look_and_not_another_set() {
        let two = || vec![removal(1), removal(2)];
        let first = removals(two(), 10, None, &History::default(), &LIMITS, look(0, 1), None);
        let Err(Hold::Breaker { code, .. }) = &first.removals[0].1 else { panic!("{first:?}") };
        let confirmed = removals(two(), 10, None, &remember(&first), &LIMITS, look(5, 6), Some(code));
        assert_eq!(allowed(&confirmed), 0);
        let other = removals(
            vec![removal(1), removal(3)],
            10,
            None,
            &remember(&confirmed),
            &LIMITS,
            look(30, 31),
            None,
        );
        assert_eq!((allowed(&other), other.confirmed), (0, None));
        let later = removals(two(), 10, None, &remember(&confirmed), &LIMITS, look(30, 31), None);
        assert_eq!(allowed(&later), 2);
    }

    #[test]
    fn r2_what_is_not_known_breaks_the_row_of_looks_and_drops_the_confirmation() {
        let cause = Cause { source_name: Source::Ims, kind: "timeout", detail: String::new() };
        let history = History {
            first_missed: [(removal(1).ours.identity, Duration::ZERO)].into(),
            ..History::default()
        };
        let blind = removals(vec![removal(1)], 10, Some(&cause), &history, &LIMITS, look(60, 61), None);
        assert_eq!((allowed(&blind), remember(&blind)), (0, History::default()));
    }

    fn inventory(plugin: &str, number: u16) -> Inventory {
        let (tpg, plugin, name) = ("iscsi/iqn/tpgt_1".to_owned(), plugin.to_owned(), "n".to_owned());
        let backstore = (plugin.clone(), name.clone(), "/m/f".to_owned(), "s".to_owned());
        let luns = BTreeSet::from([LunEntry { tpg, lun: number, plugin, name }]);
        Inventory { backstores: BTreeSet::from([backstore]), luns, ..Inventory::default() }
    }

    #[test]
    fn r11_a_save_is_due_if_nothing_is_lost_or_all_that_is_lost_may_be() {
        let (live, none) = (inventory("fileio", 1), Inventory::default());
        assert_eq!(save(&Saved::Readable(live.clone()), &live, &none), Save::Equal);
        assert_eq!(save(&Saved::Readable(none.clone()), &live, &none), Save::Due);
        assert_eq!(save(&Saved::Missing, &live, &none), Save::Due);
        assert_eq!(
            save(
                &Saved::Unreadable { why: "EOF".into(), torn: true, backup: Inventory::default() },
                &none,
                &none
            ),
            Save::Equal
        );
        assert_eq!(save(&Saved::Readable(live.clone()), &none, &live), Save::Due);
    }

    #[test]
    fn r11_another_plugins_backstore_of_the_same_name_is_not_forgotten() {
        let saved = Saved::Readable(inventory("block", 1));
        let Save::Refused(lost) = save(&saved, &Inventory::default(), &inventory("fileio", 1)) else {
            panic!("it is foreign");
        };
        assert_eq!(lost.len(), 2);
    }
}
