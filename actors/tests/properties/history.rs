//! Whatever happens to a site, in whatever order: the rules hold in every pass, and in the end all is as it should be.

use crate::common::{AT_ONCE, DEADLINES, Node, policy};
use crate::config;
use crate::event::{Event, IMAGES, event, happen, id, mend, name_rootfs, readable};
use crate::oracle::{self, Evidence, Memory};
use actors::decide::in_use::{UseRule, UsedBy};
use actors::decide::policy::Policy;
use actors::decide::status::Status;
use actors::model::{Engine, ObjectKey, Ours, Request, Saved, Step};
use actors::sim::{MOUNT, Sim, SimSite, tpg};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The agent, and what a witness of all its passes knows.
struct Witness {
    node: Node,
    percent: u8,
    engine: Engine,
    memory: Memory,
    /// What might go in the pass before, and on what evidence, if that pass saw everything.
    before: BTreeMap<String, Evidence>,
    /// Removals that an operator has confirmed.
    confirmed: BTreeSet<String>,
    /// Removals that were too many, and wait until they are confirmed or not due any more.
    waiting: BTreeSet<String>,
    /// What went without an operator's word; all of it within one window.
    went: BTreeSet<String>,
    /// Foreign LUNs and backstores that were live before a pass of this agent.
    seen: BTreeSet<String>,
    /// What could be projected in some pass.
    was_valid: BTreeSet<String>,
    /// Live LUNs that were read from: no quiet period passes here.
    read: BTreeSet<String>,
    /// Whose each number was when a pass ended.
    numbers: BTreeMap<u16, String>,
    /// Whose each number was that was freed. No quarantine ends here.
    freed: BTreeMap<u16, String>,
}

impl Witness {
    fn new(sim: Sim, percent: u8, engine: Engine) -> Self {
        Witness {
            node: node(sim, policy(AT_ONCE, percent), engine),
            percent,
            engine,
            memory: Memory::default(),
            before: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            waiting: BTreeSet::new(),
            went: BTreeSet::new(),
            seen: BTreeSet::new(),
            was_valid: BTreeSet::new(),
            read: BTreeSet::new(),
            numbers: BTreeMap::new(),
            freed: BTreeMap::new(),
        }
    }

    /// The agent is started anew; what it had to remember is on disk.
    fn restart(&mut self) {
        self.node = node(self.node.sim.clone(), policy(AT_ONCE, self.percent), self.engine);
        self.seen.clear();
        self.memory.read.clear();
    }

    /// The code that the agent asks for, as an operator would read it.
    async fn code(&self) -> Option<String> {
        let preview = self.node.agent.reconciler.send(actors::reconciler::Preview).await.unwrap();
        preview.ok()?.0.tripped.map(|tripped| tripped.code)
    }

    /// R2 and R3, by their words: which removals there is evidence for, and which of them may happen now.
    fn may_go(&mut self, before: &SimSite, blind: bool, confirms: bool) -> BTreeSet<String> {
        let all = oracle::ours_all(&before.actual);
        let mut due: BTreeMap<String, Evidence> = BTreeMap::new();
        for (name, (ours, is_live)) in all.iter().filter(|_| !blind) {
            due.extend(oracle::evidence(before, ours, *is_live, &self.memory).map(|why| (name.clone(), why)));
        }
        let other_tpg = |name: &str| before.actual.luns_of_fileio(name).any(|lun| lun.tpg != tpg());
        // R1 keeps them; what is seen of them is seen all the same.
        let kept: BTreeSet<String> = due.keys().filter(|name| other_tpg(name)).cloned().collect();
        if !blind {
            let going = |name: &String| due.contains_key(name) && !kept.contains(name);
            self.confirmed.retain(&going);
            self.waiting.retain(|name| going(name) && !self.confirmed.contains(name));
            let asked = |why: &Evidence| {
                matches!(why, Evidence::Escaped | Evidence::Replaced)
                    || (*why == Evidence::NotListed && before.images.is_empty())
            };
            let open: BTreeSet<String> =
                due.keys().filter(|name| going(name) && !self.confirmed.contains(*name)).cloned().collect();
            let special: BTreeSet<String> = open.iter().filter(|name| asked(&due[*name])).cloned().collect();
            let went = self.went.iter().filter(|name| !going(name)).count();
            let allowed = ((all.len() + went) * usize::from(self.percent) / 100).max(3);
            if !self.waiting.is_empty() || went + open.len() - special.len() > allowed {
                self.waiting = open.clone();
            }
            let held: BTreeSet<String> = self.waiting.union(&special).cloned().collect();
            if confirms {
                self.confirmed.extend(held);
                self.waiting.clear();
            } else {
                let same = |name: &String| self.before.get(name) == Some(&due[name]);
                let free = |name: &&String| !held.contains(*name) && !kept.contains(*name) && same(name);
                let may = due.keys().filter(free).cloned().collect();
                self.before = due;
                return may;
            }
        }
        let same = |name: &String| self.before.get(name) == Some(&due[name]);
        let may = due.keys().filter(|name| same(name) && !kept.contains(*name)).cloned().collect();
        self.before = due;
        may
    }

    /// R5: whose LUN is not there any more, whoever has taken it.
    fn free_numbers(&mut self, site: &SimSite) {
        let now: BTreeMap<u16, String> =
            oracle::numbers(&site.actual).into_iter().map(|(name, number)| (number, name)).collect();
        let gone = self.numbers.iter().filter(|(number, name)| now.get(*number) != Some(*name));
        self.freed.extend(gone.map(|(number, name)| (*number, name.clone())).collect::<Vec<_>>());
        self.freed.retain(|number, _| !now.contains_key(number));
        self.numbers = now;
    }

    /// One pass, and whether it kept the rules.
    async fn pass(&mut self, confirmed: Option<String>) -> Result<Status, TestCaseError> {
        let before = self.node.sim.site().clone();
        let dead_before = self.node.sim.dead();
        let confirms = confirmed.is_some();
        let status = self.node.pass_confirmed(confirmed).await;
        let after = self.node.sim.site().clone();
        let told = &after.told[before.told.len()..];

        let dead = dead_before;
        let (ours_before, ours_after) = (oracle::ours(&before.actual), oracle::ours(&after.actual));
        let removed: BTreeSet<String> =
            ours_before.keys().filter(|name| !ours_after.contains_key(*name)).cloned().collect();

        prop_assert_eq!(oracle::foreign(&before.actual), oracle::foreign(&after.actual), "R1");

        let faults = &before.faults;
        let nameless = before.images.iter().any(|image| !image["id"].is_string());
        let missed = |(ours, _): &(Ours, bool)| {
            before.objects.contains_key(&ours.key) && faults.unlisted.contains(&ours.key)
        };
        let short = oracle::ours_all(&before.actual).values().any(missed);
        let blind = faults.ims || faults.listing || faults.mount || faults.configfs || nameless || short;
        prop_assert!(!blind || !status.summary.unknown.is_empty(), "R2: {}", status);
        // Names can be learnt from records and manifests alone; that nothing else is named, only if all is seen.
        if !(faults.ims || faults.listing || faults.configfs) {
            self.memory.learn(&before, !blind);
        }
        if !(faults.listing || faults.configfs) {
            self.memory.learn_contents(&before);
        }
        let live_before = oracle::numbers(&before.actual);
        self.read.retain(|name| live_before.contains_key(name));
        self.free_numbers(&before);
        let earlier = self.before.clone();
        let may = self.may_go(&before, blind, confirms);
        let (luns, stores) = oracle::forgotten(&before, &after);
        let saved_before = oracle::ours_all(&before.actual);
        let dropped: BTreeSet<String> =
            stores.iter().filter(|n| saved_before.contains_key(*n)).cloned().collect();
        // A late command of an earlier pass may take effect in this one.
        let late: BTreeSet<String> = self.went.clone();
        // Taken down to be made anew, and not back yet: it was dead before.
        let had_lun = oracle::numbers(&before.actual);
        let down = removed.iter().filter(|name| dead.contains(name) && had_lun.contains_key(*name));
        let down = down.filter(|name| !may.contains(*name)).count();
        prop_assert!(down <= 1, "{} dead LUNs are down at once", down);
        for name in removed.union(&dropped).filter(|name| !dead.contains(name)) {
            prop_assert!(
                may.contains(name) || late.contains(name),
                "R2, R3: {} went, {:?} might; due {:?}, before {:?}; {}",
                name,
                may,
                self.before,
                earlier,
                status
            );
        }
        for name in removed.iter().filter(|name| !dead.contains(name) && !late.contains(*name)) {
            prop_assert!(!self.read.contains(name), "R4: {} went; {}", name, status);
        }
        let went = removed.union(&dropped).filter(|name| may.contains(*name) || !dead.contains(name));
        let unasked = went.filter(|name| !self.confirmed.contains(*name)).cloned();
        self.went.extend(unasked);

        let (old, new) = (oracle::numbers(&before.actual), oracle::numbers(&after.actual));
        for (name, number) in &old {
            prop_assert!(new.get(name).is_none_or(|now| now == number), "R5: {} moved", name);
        }
        for (name, number) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
            let saved = oracle::saved_number(&before, name) == Some(*number);
            let whose = self.freed.get(number);
            prop_assert!(saved || whose.is_none_or(|whose| whose == name), "R5: {} got {:?}'s", name, whose);
        }
        self.numbers = new.iter().map(|(name, number)| (*number, name.clone())).collect();
        self.memory.learn_contents(&after);
        self.free_numbers(&after);
        let in_tpg: Vec<u16> = after.actual.luns.iter().filter(|l| l.tpg == tpg()).map(|l| l.lun).collect();
        prop_assert_eq!(in_tpg.iter().collect::<BTreeSet<_>>().len(), in_tpg.len(), "R5: a number twice");

        for (name, (ours, live)) in ours_after.iter().filter(|(name, _)| !ours_before.contains_key(*name)) {
            // A command that came too late makes, before the next one, what was valid when it was given.
            let late = self.was_valid.contains(name);
            prop_assert!(late || oracle::valid(&before).contains(name), "R7..R9: {:?} came", live);
            prop_assert!(late || oracle::is_complete(&before, &ours.key), "R7: {:?} came", live);
        }
        let adds = told.iter().any(|step| {
            matches!(
                step,
                Request::Change(Step::CreateLun { .. }) | Request::Change(Step::CreateBackstore { .. })
            )
        });
        prop_assert!(!adds || before.actual.tpg.as_ref().unwrap().write_protected, "R10: {:?}", told);

        let valid = oracle::valid(&before);
        self.was_valid.extend(valid.iter().cloned());
        // What was replaced goes before it comes back (R6).
        let is_kept =
            |name: &String| valid.contains(name) && self.before.get(name) != Some(&Evidence::Replaced);
        prop_assert!(!stores.iter().any(is_kept), "R11: forgot {:?}", stores);
        for lun in luns {
            let replaced = new.contains_key(&lun.name) || in_tpg.contains(&lun.lun);
            let watched = self.seen.contains(&format!("{lun:?}"));
            prop_assert!(watched || lun.tpg == tpg(), "R11: forgot {:?}", lun);
            prop_assert!(replaced || watched || !is_kept(&lun.name), "R11: forgot {:?}", lun);
        }
        self.seen.extend(oracle::foreign(&before.actual).1.iter().map(|lun| format!("{lun:?}")));
        if status.converged {
            prop_assert!(self.node.sim.dead().is_empty(), "live means readable: {:?}", self.node.sim.dead());
            let unsaved = |name: &String| match &after.actual.saved {
                Saved::Readable(saved) => !saved.backstores.iter().any(|b| b.name == *name),
                _ => true,
            };
            prop_assert!(!ours_after.keys().any(unsaved), "R11: {:?}", after.actual.saved);
        }
        Ok(status)
    }
}

fn node(sim: Sim, policy: Policy, engine: Engine) -> Node {
    Node::watched(sim, Policy { engine, ..policy }, DEADLINES, |_| {})
}

async fn live(events: &[Event], percent: u8, engine: Engine) -> Result<(), TestCaseError> {
    let sim = Sim::default();
    (0..IMAGES).for_each(|n| drop(sim.add_image(&id(n), n % 4 != 3)));
    (0..3).for_each(|n| drop(sim.put_squashfs(&format!("PE/{n}"), 4096)));
    let mut witness = Witness::new(sim.clone(), percent, engine);
    for event in events {
        happen(&sim, event);
        match event {
            Event::Pass => {
                let told = sim.site().told.len();
                if witness.pass(None).await?.converged {
                    let first = sim.site().told.len();
                    prop_assert!(witness.pass(None).await?.converged, "not idempotent after {}", told);
                    // One that was not answered in time is asked for once more.
                    let again =
                        |request: &Request| engine == Engine::Configfs && *request == Request::Refresh;
                    let told = sim.site().told.iter().skip(first).filter(|request| !again(request)).count();
                    prop_assert_eq!(told, 0, "a second pass told targetclid something");
                }
            }
            Event::ConfirmedPass => {
                let code = witness.code().await;
                drop(witness.pass(code).await?);
            }
            Event::Read(n) => witness.read.extend(readable(&sim, *n).map(|lun| lun.name)),
            Event::Restart => witness.restart(),
            // Looks are of one boot.
            Event::Reboot => {
                witness.before.clear();
                witness.restart();
            }
            _ => {}
        }
    }
    settle(&mut witness).await
}

/// All faults end, an operator clears away what the agent must not touch: then passes, with the breaker confirmed, come
/// to an end in which our LUNs are exactly the valid images.
async fn settle(witness: &mut Witness) -> Result<(), TestCaseError> {
    let sim = witness.node.sim.clone();
    mend(&sim);
    // And the nodes have all been quiet for long enough.
    let in_use = UseRule { by: UsedBy::Nothing, ..policy(AT_ONCE, witness.percent).in_use };
    let policy = Policy { in_use, ..policy(AT_ONCE, witness.percent) };
    witness.node = node(sim.clone(), policy, witness.engine);
    witness.memory.read.clear();
    witness.read.clear();
    for n in 0..IMAGES {
        let known = sim.site().images.iter().any(|image| image["id"] == id(n));
        let named = oracle::named(&sim.site()).remove(&id(n));
        let good = named.is_none_or(|named| {
            named.is_some_and(|(_, key, etag)| oracle::projectable(&sim.site(), &key, &etag))
        });
        if known && !good {
            name_rootfs(&sim, &id(n), &format!("{}/rootfs", id(n)));
        }
    }
    let pe: Vec<ObjectKey> =
        sim.site().objects.keys().filter(|key| key.as_str().starts_with("PE/")).cloned().collect();
    for key in pe.iter().filter(|key| !oracle::is_complete(&sim.site(), key)) {
        sim.put_squashfs(key.as_str(), 4096);
    }
    {
        let mut site = sim.site();
        site.actual.tpg.as_mut().unwrap().write_protected = true;
        site.actual.luns.retain(|lun| lun.tpg == tpg());
        site.actual.bare_luns.clear();
        site.actual.backstores.retain(|b| b.enabled);
        let sizes: BTreeMap<String, u64> = site
            .objects
            .iter()
            .map(|(key, (_, bytes))| (format!("{MOUNT}/{key}"), bytes.len() as u64))
            .collect();
        let linked: BTreeSet<String> = site.actual.luns.iter().map(|lun| lun.name.clone()).collect();
        site.actual.backstores.retain(|b| linked.contains(&b.name) || sizes.get(&b.file) == Some(&b.size));
        // A file of somebody else's that is missing is somebody else's to mend.
        let theirs: Vec<String> = oracle::foreign(&site.actual).0.into_iter().map(|b| b.file).collect();
        for key in theirs.iter().filter_map(|file| file.strip_prefix(MOUNT)?.strip_prefix('/')) {
            let object = (actors::model::Etag::new("theirs"), vec![0; 4096]);
            site.objects.entry(ObjectKey::new(key)).or_insert(object);
        }
        let live = site.actual.inventory();
        let foreign_lost = match &site.actual.saved {
            Saved::Readable(saved) => {
                let ours: BTreeSet<String> =
                    actors::sim::site().ours_saved(saved).map(|(b, _)| b.name.clone()).collect();
                let is_foreign = |plugin: &str, name: &String| plugin != "fileio" || !ours.contains(name);
                saved.luns.difference(&live.luns).any(|l| l.tpg != tpg() || is_foreign(&l.plugin, &l.name))
                    || saved.backstores.difference(&live.backstores).any(|b| is_foreign(&b.plugin, &b.name))
            }
            _ => false,
        };
        if foreign_lost {
            site.actual.saved = Saved::Readable(site.actual.inventory());
        }
    }
    for _ in 0..8 {
        let code = witness.code().await;
        if witness.pass(code).await?.converged {
            let site = sim.site();
            let live: BTreeSet<String> = oracle::numbers(&site.actual).into_keys().collect();
            prop_assert_eq!(live, oracle::valid(&site));
            return Ok(());
        }
        // What is dead and was replaced is left to an operator (R6), who deletes it.
        for name in sim.dead() {
            let mut site = sim.site();
            site.actual.luns.retain(|lun| lun.name != name);
            site.actual.backstores.retain(|live| live.name != name);
        }
    }
    let preview = witness.node.agent.reconciler.send(actors::reconciler::Preview).await.unwrap();
    prop_assert!(false, "it does not converge: {:?}", preview);
    Ok(())
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn r1_to_r11_hold_in_every_pass_of_any_history_and_in_the_end_all_is_as_it_should_be(
        events in prop::collection::vec(event(), 0..40),
        percent in prop::sample::select(vec![10_u8, 25]),
        engine in prop::sample::select(vec![Engine::Targetclid, Engine::Configfs]),
    ) {
        actix::System::new().block_on(live(&events, percent, engine))?;
    }
}
