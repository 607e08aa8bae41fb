//! R1, R2 and R3: which removals may happen now.

use crate::decide::history::{Breaker, FirstLook, History};
use crate::decide::withdrawal::Withdrawal;
use crate::model::{Identity, ObjectKey, Ours, TpgPath};
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
}

impl Hold {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            Hold::ForeignLun(_) => "foreign_lun",
            Hold::SecondLook(_) => "second_look",
            Hold::Breaker => "breaker",
            Hold::Successor => "successor",
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::ForeignLun(tpg) => write!(f, "a LUN of {tpg} uses it too: delete that one, or keep both"),
            Hold::SecondLook(left) => write!(f, "a second look follows in {} s", left.as_secs_f32().ceil()),
            Hold::Breaker => f.write_str("an operator has to confirm it"),
            Hold::Successor => f.write_str("what its image names now cannot be projected yet"),
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
            Some(left) => write!(f, ", the history was lost: nothing goes for {} s more", left.as_secs())?,
            None => write!(f, "; {removed} went lately, {allowed} may")?,
        }
        write!(f, "; if that is meant: sbps-marshal confirm-removal {code}")
    }
}

/// What may be removed now, and what is to be remembered of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Every due removal, and whether it may happen now.
    pub removals: Vec<(Removal, Result<(), Hold>)>,
    /// Whether an operator has to confirm some.
    pub tripped: Option<Tripped>,
    /// See [`History::looks`].
    pub looks: BTreeMap<Identity, FirstLook>,
    /// See [`History::breaker`].
    pub breaker: Breaker,
    /// The code that was given is that of the removals that waited.
    pub confirmed: bool,
}

/// R1, R2 and R3: which of the due removals may happen now. `ours` counts our projections, live and saved; `confirmed`
/// is the code that an operator has just confirmed.
pub fn removals(
    due: Vec<Removal>,
    ours: usize,
    history: &History,
    limits: &Limits,
    look: LookTime,
    confirmed: Option<&str>,
) -> Judgement {
    let looks: BTreeMap<Identity, FirstLook> =
        due.iter().map(|removal| first_look(removal, history, look)).collect();
    let mut breaker = history.breaker.clone();
    breaker.removed.retain(|_, at| look.ended.saturating_sub(*at) < limits.window);
    breaker.shut_until = breaker.shut_until.filter(|until| *until > look.ended);

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
    let mut code = (!waiting.is_empty()).then(|| code_of(&waiting));
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
        shut_for: breaker.shut_until.map(|until| until.saturating_sub(look.ended)),
        code,
    });

    let judged = due.into_iter().map(|removal| {
        let verdict = match &removal.foreign_lun {
            Some(tpg) => Err(Hold::ForeignLun(tpg.clone())),
            None if waiting.contains(&removal.ours.identity) => Err(Hold::Breaker),
            None => second_look(&removal, history, limits, look),
        };
        (removal, verdict)
    });
    Judgement { removals: judged.collect(), tripped, looks, breaker, confirmed: matched }
}

/// R3: how many of so many projections may go within the window.
fn allowed(projections: usize, limits: &Limits) -> usize {
    (projections * usize::from(limits.max_removal_percent) / 100).max(usize::from(limits.max_removals))
}

/// The look that counts as the first: the earlier one if it saw the same, else this one (R2).
fn first_look(removal: &Removal, history: &History, look: LookTime) -> (Identity, FirstLook) {
    let Ours { identity, key, .. } = &removal.ours;
    let this = FirstLook { why: removal.why, key: key.clone(), at: look.ended };
    let before = history.looks.get(identity).filter(|before| before.why == this.why);
    (identity.clone(), before.cloned().unwrap_or(this))
}

fn second_look(removal: &Removal, history: &History, limits: &Limits, look: LookTime) -> Result<(), Hold> {
    let first = history.looks.get(&removal.ours.identity).filter(|first| first.why == removal.why);
    let waited = first.map(|first| look.began.saturating_sub(first.at));
    match waited {
        Some(waited) if waited >= limits.confirm_after => Ok(()),
        _ => Err(Hold::SecondLook(limits.confirm_after.saturating_sub(waited.unwrap_or_default()))),
    }
}

/// A code that names exactly this set of projections.
fn code_of(identities: &BTreeSet<Identity>) -> String {
    let all: Vec<String> = identities.iter().map(Identity::to_string).collect();
    Identity::of_pe("removals", &ObjectKey::new(all.join(" "))).wwn().as_str()[..8].to_owned()
}
