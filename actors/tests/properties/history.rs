//! Whatever happens to a site, in whatever order: the rules hold in every pass, and in the end all is as it should be.

use crate::common::{AT_ONCE, Node, deletes};
use crate::oracle::{self, Memory};
use actors::guard::{Hold, saved_ours};
use actors::model::{Backstore, LunEntry, ObjectKey, Saved, Step};
use actors::sim::{BUCKET, Faults, MOUNT, Sim, TPG};
use actors::status::Status;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What happens between passes, or is one.
#[derive(Clone, Debug)]
enum Event {
    Pass,
    ConfirmedPass,
    Restart,
    Tag(u8, bool),
    DeleteImage(u8),
    DeleteObject(u8),
    ReplaceRootfs(u8),
    BadManifest(u8),
    GoodManifest(u8),
    NameShared(u8),
    NameNasty(u8),
    PutPe(u8, u16),
    CutPe(u8),
    NastyPe(u8),
    Break(u8),
    Mend,
    Unprotect(bool),
    LoseLun(u8),
    LoseBackstore(u8),
    ForeignLun(u8),
    TwinInOtherPlugin(u8),
    TearSave,
    SaveByHand,
}

fn event() -> impl Strategy<Value = Event> {
    let n = || 0_u8..16;
    prop_oneof![
        16 => Just(Event::Pass),
        2 => Just(Event::ConfirmedPass),
        1 => Just(Event::Restart),
        6 => (n(), any::<bool>()).prop_map(|(n, tagged)| Event::Tag(n, tagged)),
        1 => n().prop_map(Event::DeleteImage),
        2 => n().prop_map(Event::DeleteObject),
        2 => n().prop_map(Event::ReplaceRootfs),
        3 => n().prop_map(Event::BadManifest),
        1 => n().prop_map(Event::GoodManifest),
        2 => n().prop_map(Event::NameShared),
        1 => n().prop_map(Event::NameNasty),
        2 => (n(), 1_u16..8).prop_map(|(n, sectors)| Event::PutPe(n, sectors)),
        1 => n().prop_map(Event::CutPe),
        1 => n().prop_map(Event::NastyPe),
        3 => (0_u8..7).prop_map(Event::Break),
        3 => Just(Event::Mend),
        1 => any::<bool>().prop_map(Event::Unprotect),
        2 => n().prop_map(Event::LoseLun),
        1 => n().prop_map(Event::LoseBackstore),
        1 => n().prop_map(Event::ForeignLun),
        1 => n().prop_map(Event::TwinInOtherPlugin),
        1 => Just(Event::TearSave),
        1 => Just(Event::SaveByHand),
    ]
}

const IMAGES: u8 = 12;

fn id(n: u8) -> String {
    format!("img{:02}", n % IMAGES)
}

fn some<T: Clone>(all: &[T], n: u8) -> Option<T> {
    all.get(usize::from(n) % all.len().max(1)).cloned()
}

fn name_rootfs(sim: &Sim, image: &str, key: &str) {
    let etag = sim.put_squashfs(key, 4096);
    sim.put_manifest(image, &format!("s3://{BUCKET}/{key}"), etag.as_str());
}

fn happen(sim: &Sim, event: &Event) {
    match event {
        Event::Pass | Event::ConfirmedPass | Event::Restart => {}
        Event::Tag(n, tagged) => sim.tag(&id(*n), *tagged),
        Event::DeleteImage(n) => sim.site().images.retain(|image| image["id"] != id(*n)),
        Event::DeleteObject(n) => {
            let mut site = sim.site();
            let keys: Vec<ObjectKey> = site.objects.keys().cloned().collect();
            some(&keys, n.wrapping_mul(5)).map(|key| site.objects.remove(&key));
        }
        Event::ReplaceRootfs(n) => {
            let key = format!("{}/rootfs", id(*n));
            let etag = sim.put_squashfs(&key, 4096 + 512 * usize::from(*n));
            sim.put_manifest(&id(*n), &format!("s3://{BUCKET}/{key}"), etag.as_str());
        }
        Event::BadManifest(n) => drop(sim.put(&format!("{}/manifest.json", id(*n)), b"{".to_vec())),
        Event::GoodManifest(n) => name_rootfs(sim, &id(*n), &format!("{}/rootfs", id(*n))),
        Event::NameShared(n) => name_rootfs(sim, &id(*n), &format!("shared/{}", n % 3)),
        Event::NameNasty(n) => {
            name_rootfs(sim, &id(*n), ["../../etc/shadow", "a b/c", "x%/y"][usize::from(n % 3)])
        }
        Event::PutPe(n, sectors) => {
            drop(sim.put_squashfs(&format!("PE/{}", n % 5), usize::from(*sectors) * 512))
        }
        Event::CutPe(n) => drop(sim.put(&format!("PE/{}", n % 5), b"hsqs".to_vec())),
        Event::NastyPe(n) => {
            drop(sim.put_squashfs(["PE/../x", "PE/a%b", "PE//c", "PE/d e"][usize::from(n % 4)], 512));
        }
        Event::Break(what) => fail(sim, *what),
        Event::Mend => mend(sim),
        Event::Unprotect(yes) => sim.site().actual.tpg.as_mut().unwrap().write_protected = !yes,
        Event::LoseLun(n) => {
            let mut site = sim.site();
            let luns: Vec<LunEntry> = site.actual.luns.clone();
            let lost = some(&luns, *n);
            site.actual.luns.retain(|lun| Some(lun) != lost.as_ref());
        }
        Event::LoseBackstore(n) => {
            // As after a boot with the mount not there yet.
            let mut site = sim.site();
            let Some(lost) = some(&site.actual.backstores, *n) else { return };
            site.actual.luns.retain(|lun| (&lun.plugin, &lun.name) != (&lost.plugin, &lost.name));
            site.actual.backstores.retain(|live| *live != lost);
        }
        Event::ForeignLun(n) => {
            let mut site = sim.site();
            let lun = u16::from(*n);
            let free = |tpg: &str| !site.actual.luns.iter().any(|l| l.tpg == tpg && l.lun == lun);
            let tpg = if n % 2 == 0 { TPG } else { "iscsi/iqn.other/tpgt_1" };
            let target = if n % 2 == 0 {
                foreign("scratch")
            } else {
                some(&site.actual.backstores, *n).unwrap_or(foreign("scratch"))
            };
            if free(tpg) {
                let entry = LunEntry {
                    tpg: tpg.into(),
                    lun,
                    plugin: target.plugin.clone(),
                    name: target.name.clone(),
                };
                site.actual.luns.push(entry);
                if !site.actual.backstores.contains(&target) {
                    site.actual.backstores.push(target);
                }
            }
        }
        Event::TwinInOtherPlugin(n) => {
            let mut site = sim.site();
            let Some(original) = some(&site.actual.backstores, *n) else { return };
            let twin = Backstore { plugin: "block".into(), file: "/dev/sdx".into(), ..original };
            if !site.actual.backstores.iter().any(|b| (&b.plugin, &b.name) == (&twin.plugin, &twin.name)) {
                site.actual.backstores.push(twin);
            }
        }
        Event::TearSave => sim.site().actual.saved = Saved::Unreadable("EOF".into()),
        Event::SaveByHand => {
            let mut site = sim.site();
            site.actual.saved = Saved::Readable(site.actual.inventory());
        }
    }
}

fn foreign(name: &str) -> Backstore {
    let (file, serial) = (format!("{MOUNT}/{name}.img"), "1111-2222".into());
    Backstore { plugin: "fileio".into(), name: name.into(), file, serial, size: 4096, model_alias: true }
}

fn fail(sim: &Sim, what: u8) {
    let mut site = sim.site();
    match what {
        0 => site.faults.ims = true,
        1 => site.faults.listing = true,
        2 => site.faults.mount = true,
        3 => site.faults.configfs = true,
        4 => site.faults.targetclid = true,
        5 => site.images.push(serde_json::json!({"name": "who?"})),
        _ => site.faults.unreadable = site.objects.keys().cloned().collect(),
    }
}

fn mend(sim: &Sim) {
    let mut site = sim.site();
    site.faults = Faults::default();
    site.images.retain(|image| image["id"].is_string());
}

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
