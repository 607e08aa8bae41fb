//! R4: which LUNs nodes read from. Pure.
//!
//! The kernel counts what initiators ask of each LUN. Each pass remembers the counts and when they were last seen to have
//! moved; what has moved within the quiet period is in use. What cannot be found out is in use as well.

use crate::decide::code::code_of;
use crate::model::{Actual, Identity, Ours, Traffic};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// How many initiators a text names.
const MOST_NAMED: usize = 5;

/// What counts as use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// A node has read from it. The kernel counts whole MiB.
    Reads,
    /// A node has sent it any command: a path checker does so as long as the node is logged in.
    Commands,
    /// Nothing: R4 holds no removal.
    Nothing,
}

/// When a LUN is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UseRule {
    /// What counts.
    pub by: UsedBy,
    /// How long after it the LUN is in use.
    pub quiet_period: Duration,
}

/// What is remembered of one of the kernel's counts. Times are since the node's boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// As it was last seen.
    value: u64,
    /// While it moved, without a quiet period in between.
    moved: Option<Span>,
}

/// From when to when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    since: Duration,
    last: Duration,
}

/// How one live projection of ours has been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    reads: Count,
    commands: Count,
}

impl Usage {
    /// Over a reboot: whoever used it before may be on its way back.
    pub fn reboot(&mut self) {
        for count in [&mut self.reads, &mut self.commands] {
            *count = Count { value: 0, moved: count.moved.map(|_| Span::default()) };
        }
    }

    fn by(&self, by: UsedBy) -> Option<Span> {
        match by {
            UsedBy::Reads => self.reads.moved,
            UsedBy::Commands => self.commands.moved,
            UsedBy::Nothing => None,
        }
    }
}

impl Count {
    /// Seen once more. A value that is new, other, or unknown has moved at some moment before this one.
    fn seen(before: Option<Count>, value: Option<u64>, now: Duration, quiet_period: Duration) -> Count {
        let was = before.and_then(|before| before.moved);
        let stands = match (before, value) {
            (Some(before), Some(value)) => before.value == value,
            (None, value) => value == Some(0),
            (Some(_), None) => false,
        };
        if stands {
            return before.unwrap_or_default();
        }
        let goes_on = was.filter(|was| now.saturating_sub(was.last) < quiet_period);
        let since = goes_on.map_or(now, |was| was.since);
        let value = value.or(before.map(|before| before.value)).unwrap_or_default();
        Count { value, moved: Some(Span { since, last: now }) }
    }
}

/// How each live projection of ours has been used, `now` since boot.
pub fn usage<'a>(
    ours: impl Iterator<Item = &'a Ours>,
    actual: &Actual,
    before: &BTreeMap<Identity, Usage>,
    rule: UseRule,
    now: Duration,
) -> BTreeMap<Identity, Usage> {
    let projected = actual.projected_names();
    let of = |ours: &Ours| {
        let (was, traffic) = (before.get(&ours.identity), traffic(actual, &ours.identity));
        let seen = |was: Option<Count>, value| Count::seen(was, value, now, rule.quiet_period);
        Usage {
            reads: seen(was.map(|was| was.reads), traffic.map(|traffic| traffic.read_mib)),
            commands: seen(was.map(|was| was.commands), traffic.map(|traffic| traffic.commands)),
        }
    };
    let live = ours.filter(|ours| projected.contains(ours.identity.name_str()));
    live.map(|ours| (ours.identity.clone(), of(ours))).collect()
}

/// Of all its LUNs in our TPG; `None` if it has none, or that of one cannot be found out.
fn traffic(actual: &Actual, identity: &Identity) -> Option<Traffic> {
    let counted = &actual.tpg.as_ref()?.traffic;
    let luns = actual.luns_of_fileio(identity.name_str()).filter(|lun| lun.tpg == actual.tpg_path);
    let each = luns.map(|lun| counted.get(&lun.lun).copied()).collect::<Option<Vec<Traffic>>>()?;
    each.into_iter().reduce(|a, b| Traffic {
        commands: a.commands.saturating_add(b.commands),
        read_mib: a.read_mib.saturating_add(b.read_mib),
    })
}

/// A removal that waits because nodes use the LUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// With this code an operator removes it all the same; the same on every worker.
    pub code: String,
    /// How long it has been used.
    pub since: Duration,
    /// How long ago it was seen to be used.
    pub last: Duration,
    /// How long it has to be left alone.
    pub quiet_period: Duration,
    /// Who is logged in to our TPG now, and so may use it.
    pub sessions: BTreeSet<String>,
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InUse { code, since, last, quiet_period, sessions } = self;
        write!(f, "nodes have used it for {} s, last seen {} s ago; ", since.as_secs(), last.as_secs())?;
        let named: Vec<&str> = sessions.iter().take(MOST_NAMED).map(String::as_str).collect();
        match sessions.len() {
            0 => f.write_str("no initiator is logged in now")?,
            1 => write!(f, "1 initiator is logged in: {}", named.join(", "))?,
            count => {
                let more = if count > MOST_NAMED { ", ..." } else { "" };
                write!(f, "{count} initiators are logged in: {}{more}", named.join(", "))?;
            }
        }
        write!(f, "; it goes when it has not been used for {} s", quiet_period.as_secs())?;
        write!(f, ", or at once: sbps-marshal confirm-removal {code}")
    }
}

/// Whether the LUNs of a projection are in use, `now` since boot; `None`: not so, or it does not matter.
pub fn in_use(
    identity: &Identity,
    usage: &BTreeMap<Identity, Usage>,
    actual: &Actual,
    rule: UseRule,
    now: Duration,
) -> Option<InUse> {
    let Span { since, last } = usage.get(identity)?.by(rule.by)?;
    let last = now.saturating_sub(last);
    (last < rule.quiet_period).then(|| InUse {
        code: code(identity),
        since: now.saturating_sub(since),
        last,
        quiet_period: rule.quiet_period,
        sessions: actual.tpg.as_ref().map(|tpg| tpg.sessions.clone()).unwrap_or_default(),
    })
}

/// What confirms the removal of this LUN although it is in use. Another one than the breaker's, which says nothing of use.
pub fn code(identity: &Identity) -> String {
    code_of("in use", [identity])
}

/// What a plan that removes a LUN has seen of its use: nothing may have moved until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unused {
    by: UsedBy,
    traffic: Option<Traffic>,
}

impl Unused {
    /// As it is now.
    pub fn seen(identity: &Identity, actual: &Actual, by: UsedBy) -> Self {
        Unused { by, traffic: traffic(actual, identity) }
    }

    /// Whether that is still so. What has no LUN any more is used by nobody.
    pub fn holds(&self, identity: &Identity, now: &Actual) -> bool {
        let (before, now_seen) = (self.traffic, traffic(now, identity));
        match self.by {
            _ if !now.is_projected(identity) => true,
            UsedBy::Reads => before.map(|seen| seen.read_mib) == now_seen.map(|seen| seen.read_mib),
            UsedBy::Commands => before.map(|seen| seen.commands) == now_seen.map(|seen| seen.commands),
            UsedBy::Nothing => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::sample::{actual, backstore, identity, lun, site};
    use crate::model::Tpg;

    const RULE: UseRule = UseRule { by: UsedBy::Reads, quiet_period: Duration::from_secs(900) };

    /// A node whose one LUN has been asked this, if that can be found out.
    fn node(traffic: Option<Traffic>) -> Actual {
        let sessions = BTreeSet::from(["iqn.x:nid1".to_owned()]);
        let traffic = traffic.into_iter().map(|traffic| (7, traffic)).collect();
        let tpg = Tpg { enabled: true, write_protected: true, sessions, traffic, ..Tpg::default() };
        Actual { tpg: Some(tpg), ..actual(vec![backstore()], vec![lun(7)]) }
    }

    fn read(read_mib: u64) -> Option<Traffic> {
        Some(Traffic { commands: 100, read_mib })
    }

    /// What is remembered after looks at these seconds, at which so much had been read.
    fn after(looks: &[(u64, Option<Traffic>)]) -> BTreeMap<Identity, Usage> {
        looks.iter().fold(BTreeMap::new(), |before, (seconds, traffic)| {
            let actual = node(*traffic);
            let ours: Vec<Ours> = site().ours_live(&actual).into_iter().map(|(_, ours)| ours).collect();
            usage(ours.iter(), &actual, &before, RULE, Duration::from_secs(*seconds))
        })
    }

    /// For how long it has been used, and how long ago that was, at this second, s.
    fn used(looks: &[(u64, Option<Traffic>)], by: UsedBy, seconds: u64) -> Option<(u64, u64)> {
        let rule = UseRule { by, ..RULE };
        let now = Duration::from_secs(seconds);
        let in_use = in_use(&identity(), &after(looks), &node(None), rule, now)?;
        Some((in_use.since.as_secs(), in_use.last.as_secs()))
    }

    #[test]
    fn r4_a_lun_that_was_never_read_is_not_in_use_and_one_whose_past_is_unknown_is() {
        assert_eq!(used(&[(100, read(0))], UsedBy::Reads, 100), None);
        assert_eq!(used(&[(100, read(5))], UsedBy::Reads, 100), Some((0, 0)));
        assert_eq!(used(&[(100, None)], UsedBy::Reads, 100), Some((0, 0)), "nobody knows");
        assert_eq!(used(&[(100, read(0)), (200, None)], UsedBy::Reads, 200), Some((0, 0)));
        assert_eq!(used(&[], UsedBy::Reads, 100), None, "it is not live");
    }

    #[test]
    fn r4_a_lun_is_in_use_until_the_quiet_period_after_it_was_last_seen_to_be_read_is_over() {
        let looks = [(0, read(0)), (100, read(1)), (200, read(4)), (300, read(4))];
        assert_eq!(used(&looks, UsedBy::Reads, 300), Some((200, 100)), "since 100 s, until 200 s");
        assert_eq!(used(&looks, UsedBy::Reads, 1099), Some((999, 899)));
        assert_eq!(used(&looks, UsedBy::Reads, 1100), None);
        let again = [&looks[..], &[(1200, read(5))]].concat();
        assert_eq!(used(&again, UsedBy::Reads, 1200), Some((0, 0)), "another time of use has begun");
    }

    #[test]
    fn r4_a_lun_that_was_made_anew_has_been_used_by_whoever_read_the_old_one() {
        let looks = [(0, read(0)), (100, read(9)), (200, read(0))];
        assert_eq!(used(&looks, UsedBy::Reads, 300), Some((200, 100)));
        let mut remembered = after(&looks[..2]);
        remembered.values_mut().for_each(Usage::reboot);
        let now = Duration::from_secs(60);
        let back = in_use(&identity(), &remembered, &node(read(0)), RULE, now).unwrap();
        assert_eq!((back.since, back.last), (now, now), "a reboot ends no use: it counts from the boot on");
    }

    #[test]
    fn r4_what_counts_as_use_is_configured() {
        let only_checked = [(0, Some(Traffic::default())), (100, Some(Traffic { commands: 3, read_mib: 0 }))];
        assert_eq!(used(&only_checked, UsedBy::Reads, 100), None);
        assert_eq!(used(&only_checked, UsedBy::Commands, 100), Some((0, 0)));
        assert_eq!(used(&[(100, read(5))], UsedBy::Nothing, 100), None);
    }

    #[test]
    fn r4_a_removal_is_not_begun_once_its_lun_has_been_used_after_it_was_planned() {
        let holds =
            |by, before, now| Unused::seen(&identity(), &node(before), by).holds(&identity(), &node(now));
        let checked = Some(Traffic { commands: 101, read_mib: 5 });
        assert!(holds(UsedBy::Reads, read(5), read(5)) && holds(UsedBy::Reads, read(5), checked));
        assert!(!holds(UsedBy::Reads, read(5), read(6)) && !holds(UsedBy::Reads, read(5), None));
        assert!(!holds(UsedBy::Commands, read(5), checked) && holds(UsedBy::Nothing, read(5), read(6)));
        let gone = actual(vec![backstore()], vec![]);
        assert!(Unused::seen(&identity(), &node(read(5)), UsedBy::Reads).holds(&identity(), &gone));
    }

    #[test]
    fn r4_who_uses_it_since_when_and_what_to_do_is_told() {
        let sessions: BTreeSet<String> = (1..8).map(|n| format!("iqn.x:nid{n}")).collect();
        let seconds = Duration::from_secs;
        let told = InUse {
            code: "1a2b3c4d".into(),
            since: seconds(300),
            last: seconds(20),
            quiet_period: seconds(900),
            sessions,
        };
        assert_eq!(
            told.to_string(),
            "nodes have used it for 300 s, last seen 20 s ago; 7 initiators are logged in: iqn.x:nid1, iqn.x:nid2, \
             iqn.x:nid3, iqn.x:nid4, iqn.x:nid5, ...; it goes when it has not been used for 900 s, or at once: \
             sbps-marshal confirm-removal 1a2b3c4d"
        );
        let one = InUse { sessions: BTreeSet::from(["iqn.x:a".into()]), ..told.clone() };
        assert!(one.to_string().contains("; 1 initiator is logged in: iqn.x:a; "), "{one}");
        let nobody = InUse { sessions: BTreeSet::new(), ..told };
        assert!(nobody.to_string().contains("no initiator is logged in now"), "{nobody}");
    }
}
