//! Whatever happens to a site, in whatever order: the rules hold in every pass, and in the end all is as it should be.

use crate::common::{AT_ONCE, Node, deletes};
use crate::event::{Event, IMAGES, event, happen, id, mend, name_rootfs};
use crate::oracle::{self, Memory};
use actors::guard::{Hold, saved_ours};
use actors::model::{Backstore, ObjectKey, Saved, Step};
use actors::sim::{MOUNT, Sim, TPG};
use actors::status::Status;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The agent, and what a witness of all its passes knows.
struct Witness {
    node: Node,
    percent: u8,
    memory: Memory,
    /// What was gone in the pass before, if that saw everything.
    gone_before: BTreeSet<String>,
    /// The set whose removal an operator has confirmed, as long as it stays the same.
    confirmed: Option<BTreeSet<String>>,
}

impl Witness {
    fn new(sim: Sim, percent: u8) -> Self {
        let node = Node::with_limits(sim, AT_ONCE, percent);
        Witness { node, percent, memory: Memory::new(), gone_before: BTreeSet::new(), confirmed: None }
    }

    /// The code that the agent asks for, as an operator would read it.
    async fn code(&self) -> Option<String> {
        let preview = self.node.cast.reconciler.send(actors::reconciler::Preview).await.unwrap();
        preview.ok()?.0.held.iter().find_map(|held| match &held.hold {
            Hold::Breaker { code, .. } => Some(code.clone()),
            _ => None,
        })
    }

    /// One pass, and whether it kept the rules.
    async fn pass(&mut self, confirmed: Option<String>) -> Result<Status, TestCaseError> {
        let before = self.node.sim.site().clone();
        let confirms = confirmed.is_some();
        let status = self.node.pass_confirmed(confirmed).await;
        let after = self.node.sim.site().clone();
        let told = &after.told[before.told.len()..];

        let (ours_before, ours_after) = (oracle::ours(&before.actual), oracle::ours(&after.actual));
        let removed: BTreeSet<String> =
            ours_before.keys().filter(|name| !ours_after.contains_key(*name)).cloned().collect();

        prop_assert_eq!(oracle::foreign(&before.actual), oracle::foreign(&after.actual), "R1");

        let faults = &before.faults;
        let nameless = before.images.iter().any(|image| !image["id"].is_string());
        let blind = faults.ims || faults.listing || faults.mount || faults.configfs || nameless;
        prop_assert!(!blind || !status.summary.unknown.is_empty(), "R2: {}", status);
        let unknown = !status.summary.unknown.is_empty();
        prop_assert!(!unknown || !told.iter().any(|step| deletes(&step)), "R2: {:?}", told);
        // What cannot be read later was known to this agent, if it was read now.
        let tagged = oracle::named(&before);
        if !(faults.ims || faults.listing || faults.configfs) && faults.unreadable.is_empty() {
            let read = tagged.iter().filter_map(|(image, named)| Some((image, named.as_ref()?)));
            self.memory.extend(read.map(|(image, (identity, ..))| (image.clone(), identity.clone())));
        }
        if !unknown {
            self.memory.retain(|image, _| tagged.contains_key(image));
        }
        let gone = |(_, (ours, _)): &(&String, &(_, Backstore))| oracle::is_gone(&before, ours, &self.memory);
        let gone: BTreeSet<String> = match unknown {
            true => BTreeSet::new(),
            false => ours_before.iter().filter(gone).map(|(name, _)| name.clone()).collect(),
        };
        prop_assert!(removed.is_subset(&gone), "R2: {:?} removed, {:?} gone", removed, gone);
        prop_assert!(removed.is_subset(&self.gone_before), "R2: {:?} removed at the first look", removed);
        let still = self.confirmed.as_ref() == Some(&gone);
        self.confirmed = (!unknown && (confirms || still)).then(|| gone.clone());
        self.gone_before = gone;

        let allowed = (ours_before.len() * usize::from(self.percent) / 100).max(1);
        prop_assert!(self.confirmed.is_some() || removed.len() <= allowed, "R3: {:?}", removed);

        let (old, new) = (oracle::numbers(&before.actual), oracle::numbers(&after.actual));
        for (name, number) in &old {
            prop_assert!(new.get(name).is_none_or(|now| now == number), "R5: {} moved", name);
        }
        let in_tpg: Vec<u16> = after.actual.luns.iter().filter(|l| l.tpg == TPG).map(|l| l.lun).collect();
        prop_assert_eq!(in_tpg.iter().collect::<BTreeSet<_>>().len(), in_tpg.len(), "R5: a number twice");

        for (name, (ours, live)) in ours_after.iter().filter(|(name, _)| !ours_before.contains_key(*name)) {
            prop_assert!(oracle::valid(&before).contains(name), "R7..R9: {:?} came", live);
            prop_assert!(oracle::is_complete(&before, &ours.key), "R7: {:?} came", live);
        }
        let adds =
            told.iter().any(|step| matches!(step, Step::CreateLun { .. } | Step::CreateBackstore { .. }));
        prop_assert!(!adds || before.actual.tpg.as_ref().unwrap().write_protected, "R10: {:?}", told);

        let (luns, stores) = oracle::forgotten(&before, &after);
        let valid = oracle::valid(&before);
        prop_assert!(!stores.iter().any(|name| valid.contains(name)), "R11: forgot {:?}", stores);
        for lun in luns {
            let replaced = new.contains_key(&lun.name) || in_tpg.contains(&lun.lun);
            prop_assert!(lun.tpg == TPG, "R11: forgot {:?}", lun);
            prop_assert!(replaced || !valid.contains(&lun.name), "R11: forgot {:?}", lun);
        }
        let nothing_to_save =
            after.actual.luns.is_empty() && !matches!(after.actual.saved, Saved::Readable(_));
        if status.converged && !nothing_to_save {
            prop_assert_eq!(&after.actual.saved, &Saved::Readable(after.actual.inventory()), "R11");
        }
        Ok(status)
    }
}

async fn live(events: &[Event], percent: u8) -> Result<(), TestCaseError> {
    let sim = Sim::default();
    (0..IMAGES).for_each(|n| drop(sim.add_image(&id(n), n % 4 != 3)));
    (0..3).for_each(|n| drop(sim.put_squashfs(&format!("PE/{n}"), 4096)));
    let mut witness = Witness::new(sim.clone(), percent);
    for event in events {
        happen(&sim, event);
        match event {
            Event::Pass => {
                let told = sim.site().told.len();
                if witness.pass(None).await?.converged {
                    let first = sim.site().told.len();
                    prop_assert!(witness.pass(None).await?.converged, "not idempotent after {}", told);
                    prop_assert_eq!(first, sim.site().told.len(), "a second pass told targetclid something");
                }
            }
            Event::ConfirmedPass => {
                let code = witness.code().await;
                drop(witness.pass(code).await?);
            }
            Event::Restart => witness = Witness::new(sim.clone(), percent),
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
    for n in 0..IMAGES {
        let known = sim.site().images.iter().any(|image| image["id"] == id(n));
        let readable = oracle::named(&sim.site()).get(&id(n)).is_none_or(Option::is_some);
        if known && !readable {
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
        site.actual.luns.retain(|lun| lun.tpg == TPG);
        let sizes: BTreeMap<String, u64> = site
            .objects
            .iter()
            .map(|(key, (_, bytes))| (format!("{MOUNT}/{key}"), bytes.len() as u64))
            .collect();
        let linked: BTreeSet<String> = site.actual.luns.iter().map(|lun| lun.name.clone()).collect();
        site.actual.backstores.retain(|b| linked.contains(&b.name) || sizes.get(&b.file) == Some(&b.size));
        let live = site.actual.inventory();
        let foreign_lost = match &site.actual.saved {
            Saved::Readable(saved) => {
                let ours: BTreeSet<String> = saved_ours(saved, MOUNT).map(|(b, _)| b.1.clone()).collect();
                let is_foreign = |plugin: &str, name: &String| plugin != "fileio" || !ours.contains(name);
                saved.luns.difference(&live.luns).any(|l| l.tpg != TPG || is_foreign(&l.plugin, &l.name))
                    || saved.backstores.difference(&live.backstores).any(|b| is_foreign(&b.0, &b.1))
            }
            _ => false,
        };
        if foreign_lost {
            site.actual.saved = Saved::Readable(site.actual.inventory());
        }
    }
    for _ in 0..6 {
        let code = witness.code().await;
        if witness.pass(code).await?.converged {
            let site = sim.site();
            let live: BTreeSet<String> = oracle::numbers(&site.actual).into_keys().collect();
            prop_assert_eq!(live, oracle::valid(&site));
            return Ok(());
        }
    }
    let preview = witness.node.cast.reconciler.send(actors::reconciler::Preview).await.unwrap();
    prop_assert!(false, "it does not converge: {:?}", preview);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn r1_to_r11_hold_in_every_pass_of_any_history_and_in_the_end_all_is_as_it_should_be(
        events in prop::collection::vec(event(), 0..40),
        percent in prop::sample::select(vec![10_u8, 25]),
    ) {
        actix::System::new().block_on(live(&events, percent))?;
    }
}
