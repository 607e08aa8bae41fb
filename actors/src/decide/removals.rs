//! R1 to R4: which removals may happen now.

use crate::decide::code::code_of;
use crate::decide::history::{Breaker, FirstLook, HeldInUse, History};
use crate::decide::in_use::InUse;
use crate::decide::withdrawal::Withdrawal;
use crate::model::{Identity, Ours, TpgPath};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// How removals are limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first look to the second (R2).
    pub confirm_after: Duration,
    /// Percent of our projections that may go within the window (R3).
    pub max_removal_percent: u8,
    /// So many may go in any case (R3).
    pub max_removals: u16,
    /// The breaker counts removals over this time.
    pub window: Duration,
}

/// When a look was taken, since boot. What it saw was so at some moment in between: so from one look
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
    pub foreign_lun: Option<TpgPath>,
    /// Never without an operator: IMS lists no image at all, or the file leads out of the mount.
    pub needs_confirmation: bool,
}

/// Why a removal has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// R1: a LUN outside our TPG uses it.
    ForeignLun(TpgPath),
    /// R2: this was the first look; the second may come in this time.
    SecondLook(Duration),
    /// R3: an operator confirms with the code of [`Tripped`].
    Breaker,
    /// R2: what supersedes it cannot be a LUN now: without it the image would have none at all.
    Successor,
    /// R4: nodes read from it.
    InUse(Box<InUse>),
}

impl Hold {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            Hold::ForeignLun(_) => "foreign_lun",
            Hold::SecondLook(_) => "second_look",
            Hold::Breaker => "breaker",
            Hold::Successor => "successor",
            Hold::InUse(_) => "in_use",
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::ForeignLun(tpg) => write!(f, "a LUN of {tpg} uses it too: delete that one, or keep both"),
            Hold::SecondLook(left) => {
                write!(f, "a second observation is due in {} s", left.as_secs_f32().ceil())
            }
            Hold::Breaker => f.write_str("an operator has to confirm it"),
            Hold::Successor => f.write_str("its replacement cannot be projected yet"),
            Hold::InUse(in_use) => in_use.fmt(f),
        }
    }
}

/// R3: removals wait for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tripped {
    /// How many wait.
    pub held: usize,
    /// How many went within the window.
    pub removed: usize,
    /// How many may go within the window.
    pub allowed: usize,
    /// What was held before is not known: nothing goes for this time.
    pub shut_for: Option<Duration>,
    /// Names exactly the removals that wait; the same on every worker that holds the same.
    pub code: String,
}

impl fmt::Display for Tripped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tripped { held, removed, allowed, shut_for, code } = self;
        write!(f, "{held} removals wait")?;
        match shut_for {
            Some(left) => {
                write!(f, ", the history was lost: no removal is allowed for another {} s", left.as_secs())?
            }
            None => write!(f, "; {removed} removed within the window, {allowed} allowed")?,
        }
        write!(f, "; to approve them, run: sbps-marshal confirm-removal {code}")
    }
}

/// A removal that is due, and why it has to wait, if it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Which.
    pub removal: Removal,
    /// `None`: it happens now.
    pub hold: Option<Hold>,
}

/// What the due removals are judged by.
#[derive(Clone, Copy, Debug)]
pub struct RemovalContext<'a> {
    /// How many projections are ours, live and saved.
    pub ours: usize,
    /// What was before.
    pub history: &'a History,
    /// How many may go, and when.
    pub limits: &'a Limits,
    /// When this pass looked.
    pub time: LookTime,
    /// Those of our projections that nodes use (R4).
    pub in_use: &'a BTreeMap<Identity, InUse>,
    /// The code that an operator has just confirmed.
    pub confirmed: Option<&'a str>,
}

/// What may be removed now, and what is to be remembered of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Every due removal.
    pub removals: Vec<Judged>,
    /// Whether an operator has to confirm some.
    pub tripped: Option<Tripped>,
    /// See [`History::looks`].
    pub looks: BTreeMap<Identity, FirstLook>,
    /// See [`History::breaker`].
    pub breaker: Breaker,
    /// See [`History::in_use`].
    pub in_use: HeldInUse,
    /// The code that was given is that of the removals that waited.
    pub confirmed: bool,
}

/// R1 to R4: which of the due removals may happen now.
pub fn removals(due: Vec<Removal>, context: RemovalContext<'_>) -> Judgement {
    let RemovalContext { ours, history, limits, time, confirmed, .. } = context;
    let looks: BTreeMap<Identity, FirstLook> =
        due.iter().map(|removal| first_look(removal, history, time)).collect();
    let mut breaker = history.breaker.clone();
    breaker.removed.retain(|_, at| time.ended.saturating_sub(*at) < limits.window);
    breaker.shut_until = breaker.shut_until.filter(|until| *until > time.ended);

    // What a LUN of another target holds does not go, and so does not count.
    let going = due.iter().filter(|removal| removal.foreign_lun.is_none());
    let ids = |removals: &mut dyn Iterator<Item = &Removal>| -> BTreeSet<Identity> {
        removals.map(|removal| removal.ours.identity.clone()).collect()
    };
    let all = ids(&mut going.clone());
    breaker.confirmed.retain(|identity| all.contains(identity));
    breaker.held.retain(|identity| all.contains(identity) && !breaker.confirmed.contains(identity));
    let open: BTreeSet<Identity> = all.difference(&breaker.confirmed).cloned().collect();
    let special = ids(&mut going.filter(|removal| removal.needs_confirmation));
    let removed = breaker.removed.keys().filter(|identity| !all.contains(*identity)).count();
    let allowed = allowed(ours + removed, limits);
    let many = !breaker.held.is_empty()
        || removed + open.difference(&special).count() > allowed
        || breaker.shut_until.is_some();
    breaker.held = if many && !open.is_empty() { open.clone() } else { BTreeSet::new() };
    let mut waiting: BTreeSet<Identity> =
        breaker.held.iter().chain(special.intersection(&open)).cloned().collect();
    let mut code = (!waiting.is_empty()).then(|| code_of("", &waiting));
    let matched = code.is_some() && code.as_deref() == confirmed;
    if matched {
        breaker.confirmed.append(&mut waiting);
        breaker.held.clear();
        code = None;
    }
    breaker.code.clone_from(&code);
    let tripped = code.map(|code| Tripped {
        held: waiting.len(),
        removed,
        allowed,
        shut_for: breaker.shut_until.map(|until| until.saturating_sub(time.ended)),
        code,
    });

    let in_use = held_in_use(&all, context);
    let matched = matched || in_use.confirmed.len() > history.in_use.confirmed.intersection(&all).count();
    let judged = due.into_iter().map(|removal| {
        let hold = match &removal.foreign_lun {
            Some(tpg) => Some(Hold::ForeignLun(tpg.clone())),
            None if waiting.contains(&removal.ours.identity) => Some(Hold::Breaker),
            None => second_look(&removal, context).or_else(|| use_of(&removal, &in_use, context)),
        };
        Judged { removal, hold }
    });
    Judgement { removals: judged.collect(), tripped, looks, breaker, in_use, confirmed: matched }
}

/// R4: which of all that is due is in use, and which of it goes all the same, because an operator says so.
fn held_in_use(due: &BTreeSet<Identity>, context: RemovalContext<'_>) -> HeldInUse {
    let RemovalContext { history, in_use, confirmed, .. } = context;
    let named = |identity: &&Identity| {
        let code = in_use.get(*identity).map(|in_use| in_use.code.as_str());
        history.in_use.confirmed.contains(*identity) || (code.is_some() && code == confirmed)
    };
    let confirmed: BTreeSet<Identity> = due.iter().filter(named).cloned().collect();
    let is_held = |identity: &&Identity| in_use.contains_key(*identity) && !confirmed.contains(*identity);
    HeldInUse { held: due.iter().filter(is_held).cloned().collect(), confirmed }
}

fn use_of(removal: &Removal, in_use: &HeldInUse, context: RemovalContext<'_>) -> Option<Hold> {
    let used = context.in_use.get(&removal.ours.identity);
    used.filter(|_| in_use.held.contains(&removal.ours.identity))
        .map(|used| Hold::InUse(Box::new(used.clone())))
}

/// R3: how many of so many projections may go within the window.
fn allowed(projections: usize, limits: &Limits) -> usize {
    (projections * usize::from(limits.max_removal_percent) / 100).max(usize::from(limits.max_removals))
}

/// The look that counts as the first: the earlier one if it saw the same, else this one (R2).
fn first_look(removal: &Removal, history: &History, time: LookTime) -> (Identity, FirstLook) {
    let Ours { identity, key, .. } = &removal.ours;
    let this = FirstLook { why: removal.why, key: key.clone(), at: time.ended };
    let before = history.looks.get(identity).filter(|before| before.why == this.why);
    (identity.clone(), before.cloned().unwrap_or(this))
}

/// What is left of the wait for the second look (R2); `None`: this is it.
fn second_look(removal: &Removal, context: RemovalContext<'_>) -> Option<Hold> {
    let RemovalContext { history, limits, time, .. } = context;
    let first = history.looks.get(&removal.ours.identity).filter(|first| first.why == removal.why);
    let waited = first.map(|first| time.began.saturating_sub(first.at));
    match waited {
        Some(waited) if waited >= limits.confirm_after => None,
        _ => Some(Hold::SecondLook(limits.confirm_after.saturating_sub(waited.unwrap_or_default()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BackstoreEntry, FILEIO, ObjectKey, Site};

    const HOUR: Duration = Duration::from_secs(3600);

    fn identity(n: usize) -> Identity {
        Identity::of_pe("b", &ObjectKey::new(format!("PE/{n}")))
    }

    fn removal(n: usize) -> Removal {
        let site = Site { bucket: "b".into(), mount: "/m".into() };
        let (name, serial) = (identity(n).name().to_string(), identity(n).wwn().to_string());
        let backstore = BackstoreEntry { plugin: FILEIO.into(), name, file: format!("/m/PE/{n}"), serial };
        let ours = site.recognise(&backstore).unwrap();
        Removal { ours, why: Withdrawal::ObjectGone, foreign_lun: None, needs_confirmation: false }
    }

    /// With a breaker that remembers this.
    fn judge(due: Vec<Removal>, ours: usize, breaker: Breaker) -> Judgement {
        let history = History { breaker, ..History::default() };
        let limits = Limits { confirm_after: HOUR, max_removal_percent: 10, max_removals: 3, window: HOUR };
        let time = LookTime { began: HOUR, ended: HOUR };
        removals(
            due,
            RemovalContext {
                ours,
                history: &history,
                limits: &limits,
                time,
                in_use: &BTreeMap::new(),
                confirmed: None,
            },
        )
    }

    #[test]
    fn r3_what_was_held_and_is_due_no_more_holds_up_nothing_else() {
        let held = BTreeSet::from([identity(1)]);
        assert_eq!(judge(vec![removal(2)], 10, Breaker { held, ..Breaker::default() }).tripped, None);
    }

    #[test]
    fn r3_what_went_lately_counts_among_those_of_which_a_tenth_may_go() {
        let removed: BTreeMap<_, _> = (0..4).map(|n| (identity(n), HOUR)).collect();
        let breaker = || Breaker { removed: removed.clone(), ..Breaker::default() };
        assert_eq!(judge(vec![removal(9)], 46, breaker()).tripped, None, "the fifth of fifty");
        assert!(judge(vec![removal(9)], 45, breaker()).tripped.is_some(), "the fifth of forty-nine");
    }

    #[test]
    fn every_hold_says_what_is_waited_for() {
        for (hold, text) in [
            (Hold::ForeignLun(TpgPath::new("iscsi/a/tpgt_1")), "a LUN of iscsi/a/tpgt_1 uses it too"),
            (Hold::SecondLook(Duration::from_secs(7)), "a second observation is due in 7 s"),
            (Hold::Breaker, "confirm"),
            (Hold::Successor, "its replacement cannot be projected yet"),
        ] {
            assert!(hold.to_string().contains(text), "{hold}");
        }
    }
}
