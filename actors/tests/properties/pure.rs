//! What holds for every plan, whatever the world.

use crate::config;
use crate::world::{LOOK, SIZE, World, world};
use actors::decide::desired::{FileVerdict, Verdict};
use actors::decide::plan::Confirmation;
use actors::decide::plan::Plan;
use actors::decide::plan::change::{Action, Change};
use actors::decide::plan::numbers::allocate;
use actors::decide::removals::LookTime;
use actors::decide::save::{self, Save};
use actors::decide::squashfs;
use actors::model::{Actual, FileFacts, Identity, ObjectKey, Ours, RootfsLink, Saved, Snapshot, Step};
use actors::sim::{BUCKET, MOUNT, site, tpg};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn steps(plan: &Plan) -> impl Iterator<Item = &Step> {
    plan.changes.iter().flat_map(|change| &change.steps)
}

fn withdrawn(plan: &Plan) -> Vec<&Change> {
    plan.changes.iter().filter(|change| matches!(change.action, Action::Withdraw(_))).collect()
}

fn is_ours(actual: &Actual, name: &str) -> bool {
    actual.backstores.iter().any(|b| b.name == name && site().recognise(&b.entry()).is_some())
}

/// All that may be seen in any order.
fn shuffled(world: &World) -> World {
    let mut world = world.clone();
    if let Snapshot::Known(list) = &mut world.images {
        list.records.reverse();
    }
    world.actual.backstores.reverse();
    world.actual.luns.reverse();
    world
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn r1_no_step_names_what_is_not_ours(world in world()) {
        let (plan, actual) = (world.plan(None), &world.actual);
        let names_of = |name: &str| actual.backstores.iter().any(|b| b.plugin == "fileio" && b.name == name);
        for change in &plan.changes {
            let created = change.steps.iter().any(|step| matches!(step, Step::CreateBackstore { .. }));
            for step in &change.steps {
                match step {
                    Step::DeleteLun { lun, name } => {
                        let leads = |l: &&actors::model::LunEntry| l.tpg == tpg() && l.lun == *lun;
                        let live = actual.luns.iter().find(leads).unwrap();
                        prop_assert_eq!((live.plugin.as_str(), live.name.as_str()), ("fileio", name.as_str()));
                        prop_assert!(is_ours(actual, name.as_str()));
                    }
                    Step::DeleteBackstore { name, .. } => {
                        prop_assert!(is_ours(actual, name.as_str()));
                        prop_assert!(actual.luns_of_fileio(name.as_str()).all(|lun| lun.tpg == tpg()));
                    }
                    Step::CreateBackstore { name, .. } => {
                        let deleted = |step: &Step| matches!(step, Step::DeleteBackstore { name: old, .. } if old == name);
                        prop_assert!(!names_of(name.as_str()) || change.steps.iter().any(deleted));
                    }
                    Step::EnableModelAlias { name } | Step::CreateLun { name, .. } => {
                        prop_assert!(created || is_ours(actual, name.as_str()));
                    }
                    Step::DiscardBackstore { .. } | Step::DiscardLun { .. } => {}
                }
            }
        }
    }

    #[test]
    fn r2_nothing_is_removed_while_anything_is_unknown_nor_before_its_second_look(world in world()) {
        let code = world.plan(None).tripped.map(|tripped| tripped.code);
        let plan = world.plan(code.as_deref());
        if !plan.unknown.is_empty() {
            prop_assert_eq!(withdrawn(&plan), Vec::<&Change>::new());
            prop_assert!(plan.history.looks.is_empty() && plan.held.is_empty() && plan.forgotten.is_empty());
        }
        let wait = Duration::from_secs(world.confirm_after);
        for change in withdrawn(&plan) {
            let first = world.history.looks.get(&change.identity);
            prop_assert!(first.is_some_and(|first| LOOK.began - first.at >= wait), "{:?}", change);
            prop_assert_eq!(&change.action, &Action::Withdraw(first.unwrap().why));
        }
        prop_assert!(plan.history.looks.values().all(|first| first.at <= LOOK.ended));
    }

    #[test]
    fn r2_what_an_image_names_or_may_name_is_not_removed_while_its_object_is_there(world in world()) {
        let plan = world.plan(None);
        for change in withdrawn(&plan) {
            let key = change.file.strip_prefix(MOUNT).and_then(|key| key.strip_prefix('/')).unwrap();
            if !world.objects.known().unwrap().contains_key(&actors::model::ObjectKey::new(key)) {
                continue;
            }
            for candidate in world.candidates() {
                let remembered = candidate.image.id().and_then(|id| world.history.claims.get(id));
                let (named, projects) = match &candidate.verdict {
                    Verdict::Project(projection) => (Some(&projection.identity), true),
                    Verdict::Pending { claims, .. } | Verdict::Unknown { claims, .. } => (claims.as_ref(), false),
                };
                prop_assert_ne!(named, Some(&change.identity));
                let is_its = key.starts_with(&format!("{}/", candidate.image))
                    || remembered.is_some_and(|meant| meant.contains(&change.identity));
                prop_assert!(projects || !is_its, "{:?} may mean {:?}", candidate, change);
            }
        }
    }

    #[test]
    fn r3_no_pass_removes_more_than_the_breaker_allows_without_the_code_of_that_set(world in world()) {
        let live = world.actual.backstores.iter().filter_map(|b| site().recognise(&b.entry()));
        let mut ours: BTreeSet<Identity> = live.map(|ours| ours.identity).collect();
        if let Saved::Readable(saved) = &world.actual.saved {
            ours.extend(site().ours_saved(saved).map(|(_, ours)| ours.identity));
        }
        let allowed = (ours.len() * usize::from(world.percent) / 100).max(3);
        for wrong in [None, Some("00000000"), Some("")] {
            let plan = world.plan(wrong);
            prop_assert!(withdrawn(&plan).len() + plan.forgotten.len() <= allowed);
        }
        // A code is good for its set, and for no other.
        if let Some(tripped) = world.plan(None).tripped {
            let confirmed = world.plan(Some(&tripped.code));
            prop_assert_eq!((confirmed.confirmation, confirmed.tripped), (Confirmation::Matched, None));
            prop_assert_eq!(confirmed.history.breaker.confirmed.len(), tripped.held);
            let mut other = world.clone();
            other.actual.backstores.pop();
            let plan = other.plan(Some(&tripped.code));
            let same = other.plan(None).tripped.is_some_and(|now| now.code == tripped.code);
            prop_assert_eq!(plan.confirmation == Confirmation::Matched, same);
        }
    }

    #[test]
    fn r5_new_numbers_are_free_and_live_ones_stay(world in world()) {
        let (plan, actual) = (world.plan(None), &world.actual);
        let mut numbers = actual.numbers();
        let saved = match &actual.saved { Saved::Readable(saved) => saved.luns.clone(), _ => BTreeSet::new() };
        for step in steps(&plan) {
            let Step::CreateLun { lun, name, .. } = step else { continue };
            prop_assert!(numbers.insert(*lun), "{} is taken", lun);
            let mut holders = saved.iter().filter(|l| l.tpg == tpg() && l.lun == *lun).peekable();
            let its_own = holders.peek().is_none() || holders.any(|l| l.name == name.as_str());
            prop_assert!(its_own, "{} is saved for another", lun);
            prop_assert!(actual.luns_of_fileio(name.as_str()).all(|l| l.tpg != tpg()), "renumbered");
        }
    }

    #[test]
    fn r5_the_order_of_what_is_seen_does_not_matter(world in world()) {
        let told = |world: &World| -> BTreeMap<Identity, Vec<String>> {
            let plan = world.plan(None);
            plan.changes.iter().map(|c| (c.identity.clone(), c.steps.iter().map(Step::to_string).collect())).collect()
        };
        let sorted = |told: BTreeMap<Identity, Vec<String>>| -> BTreeMap<Identity, BTreeSet<String>> {
            told.into_iter().map(|(identity, steps)| (identity, steps.into_iter().collect())).collect()
        };
        prop_assert_eq!(sorted(told(&world)), sorted(told(&shuffled(&world))));
    }

    #[test]
    fn r5_numbers_are_given_once_from_the_range_and_never_refused_while_one_is_free(
        images in prop::collection::btree_set(0_u32..1000, 0..24),
        taken in prop::collection::btree_set(0_u16..20, 0..12),
        (first, count) in (0_u16..5, 1_u16..20),
    ) {
        let images: Vec<Identity> = images.iter().map(|n| Identity::of_pe(BUCKET, &ObjectKey::new(format!("PE/{n}")))).collect();
        let range = first..=first + count - 1;
        let given = allocate(&images, &taken, range.clone());
        let numbers: Vec<u16> = given.values().flatten().copied().collect();
        let distinct: BTreeSet<u16> = numbers.iter().copied().collect();
        prop_assert_eq!(numbers.len(), distinct.len());
        prop_assert!(distinct.is_disjoint(&taken) && distinct.iter().all(|n| range.contains(n)));
        let free = range.filter(|n| !taken.contains(n)).count();
        prop_assert_eq!(numbers.len(), images.len().min(free));
    }

    #[test]
    fn r7_r8_r9_only_complete_files_beneath_the_mount_are_planned(world in world()) {
        for change in world.plan(None).changes {
            let Action::Project(size) = change.action else { continue };
            let key = change.file.strip_prefix(MOUNT).and_then(|key| key.strip_prefix('/')).unwrap();
            prop_assert!(key.split('/').all(|segment| !matches!(segment, "" | "." | "..")), "{}", key);
            prop_assert!(change.file.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./:+@~-".contains(&b)));
            prop_assert_eq!(size, SIZE);
            let key = actors::model::ObjectKey::new(key);
            prop_assert_eq!(world.checks.files.get(&key), Some(&FileVerdict::Complete));
            let etag = &world.objects.known().unwrap()[&key].etag;
            let of_etag = crate::world::identity(key.as_str(), etag.as_str());
            let of_rootfs = Identity::of_rootfs(RootfsLink { path: &format!("s3://{BUCKET}/{key}"), etag: etag.as_str() });
            prop_assert!([of_etag, of_rootfs].contains(&change.identity), "its ETag is not the manifest's");
        }
    }

    #[test]
    fn r7_a_file_is_complete_exactly_if_size_sectors_magic_and_superblock_say_so(
        (listed, size, used) in (0_u64..6, 0_u64..6, 0_u64..3000),
        (odd, magic, short) in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let (listed, size) = (listed * 512 + u64::from(odd), size * 512 + u64::from(odd));
        let mut head = vec![0; if short { 47 } else { 96 }];
        head[..4].copy_from_slice(if magic { b"hsqs" } else { b"sqsh" });
        if !short {
            head[40..48].copy_from_slice(&used.to_le_bytes());
        }
        let whole = listed == size && size > 0 && !odd && magic && !short && used <= size;
        prop_assert_eq!(squashfs::check(&FileFacts { size, head, mode: 0o640 }, listed).is_ok(), whole);
    }

    #[test]
    fn r10_nothing_is_added_to_a_tpg_that_is_missing_or_could_be_written_to(world in world()) {
        let safe = world.actual.tpg.as_ref().is_some_and(|tpg| tpg.write_protected);
        let adds = world.plan(None).changes.iter().any(|change| matches!(change.action, Action::Project(..)));
        prop_assert!(safe || !adds);
    }

    #[test]
    fn r11_a_save_forgets_only_what_is_ours_and_not_wanted(world in world()) {
        let (plan, Saved::Readable(saved)) = (world.plan(None), &world.actual.saved) else { return Ok(()) };
        prop_assert!(plan.unknown.is_empty() || plan.may_drop == Default::default());
        let wanted: BTreeSet<String> = world.candidates().iter().filter_map(|c| match &c.verdict {
            Verdict::Project(projection) => Some(projection.identity.name().to_string()),
            _ => None,
        }).collect();
        for backstore in &plan.may_drop.backstores {
            let name = &backstore.name;
            let Ours { identity, .. } = site().recognise(backstore).expect("R1: it is ours");
            prop_assert!(!wanted.contains(name));
            let withdrawn = withdrawn(&plan).iter().any(|change| change.identity == identity);
            prop_assert!(withdrawn || plan.forgotten.contains(&identity), "{} goes by no rule", name);
        }
        if save::save(&world.actual, &plan.may_drop, &site()) == Save::Due {
            let live = world.actual.inventory();
            for lun in saved.luns.difference(&live.luns) {
                prop_assert!(lun.tpg == tpg() && lun.plugin == "fileio");
                let replaced = live.luns.iter().any(|l| l.tpg == tpg() && (l.lun == lun.lun || l.name == lun.name));
                prop_assert!(replaced || !wanted.contains(&lun.name), "{:?} would be lost", lun);
            }
            let mut lost = saved.backstores.difference(&live.backstores);
            prop_assert!(lost.all(|b| plan.may_drop.backstores.contains(b)));
        }
    }

    #[test]
    fn what_is_planned_is_remembered_so_that_the_next_look_can_only_be_later(world in world()) {
        let first = world.plan(None);
        let mut next = world.clone();
        next.history = first.history.clone();
        let time = LookTime { began: LOOK.ended, ended: LOOK.ended };
        let second = next.plan_at(time, None);
        for (identity, look) in &second.history.looks {
            prop_assert_eq!(first.history.looks.get(identity), Some(look));
        }
    }
}
