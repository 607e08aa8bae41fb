//! What is logged: the events of whole passes, as a subscriber gets them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use actors::model::{ObjectKey, RootfsLink, Saved};
use actors::sim::{BUCKET, Sim};
use common::{Node, id, untag};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

const TAGGED: &str = "00000000-0000-4000-8000-000000000001";
const UNTAGGED: &str = "00000000-0000-4000-8000-000000000004";
const PE: &str = "PE/CPE-amd.x86_64-26.11.squashfs";

/// An event: its level, and its fields as text.
type Line = (Level, BTreeMap<String, String>);

static LOG: Mutex<Vec<Line>> = Mutex::new(Vec::new());
static ONE_BY_ONE: Mutex<()> = Mutex::new(());

struct Recorder;

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("actors") && *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        log().push((*event.metadata().level(), fields));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn log() -> MutexGuard<'static, Vec<Line>> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The log is everybody's: one test after the other.
fn alone() -> MutexGuard<'static, ()> {
    let turn = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Whoever is first sets it for all.
    let _ = tracing::subscriber::set_global_default(Recorder);
    log().clear();
    turn
}

fn take() -> Vec<Line> {
    std::mem::take(&mut *log())
}

fn named<'a>(lines: &'a [Line], event: &str) -> Vec<&'a Line> {
    lines.iter().filter(|(_, fields)| fields.get("event").is_some_and(|name| name == event)).collect()
}

fn field<'a>(line: &'a Line, name: &str) -> &'a str {
    line.1.get(name).map_or("", String::as_str)
}

/// All that a line says of an image or of a party; of a pass its message, which is not the event's meaning.
fn text(line: &Line) -> String {
    let mut named = vec!["event", "image_id", "subject", "reason", "was", "detail"];
    named.extend((field(line, "event") == "pass_summary").then_some("message"));
    let said = named.iter().map(|name| field(line, name)).filter(|said| !said.is_empty());
    said.collect::<Vec<_>>().join(" ")
}

fn run(story: impl Future<Output = ()>) {
    let _turn = alone();
    actix::System::new().block_on(story);
}

#[test]
fn an_added_and_a_removed_lun_are_told_under_the_same_image_id() {
    run(async {
        let node = Node::new(Sim::small_site());
        node.pass().await;
        let lines = take();
        let added: Vec<&str> =
            named(&lines, "lun_added").iter().map(|line| field(line, "image_id")).collect();
        assert!(added.contains(&TAGGED) && added.contains(&PE), "{added:?}");
        node.sim.tag(TAGGED, false);
        node.passes(2).await;
        let lines = take();
        let removed = named(&lines, "lun_removed");
        assert_eq!((field(removed[0], "image_id"), field(removed[0], "reason")), (TAGGED, "untagged"));
        let held = named(&lines, "removal_held");
        assert_eq!((field(held[0], "image_id"), field(held[0], "reason")), (TAGGED, "second_look"));
        let resolved = named(&lines, "resolved");
        assert_eq!(field(resolved[0], "image_id"), TAGGED);
    });
}

#[test]
fn of_two_images_with_one_root_file_system_the_same_one_is_told_of_when_its_lun_comes_and_goes() {
    run(async {
        for order in [[1, 2], [2, 1]] {
            let sim = Sim::default();
            sim.put_squashfs("shared/rootfs", 4096);
            let etag = sim.site().objects[&ObjectKey::new("shared/rootfs")].0.clone();
            let path = format!("s3://{BUCKET}/shared/rootfs");
            for n in order {
                sim.add_image(&id(n), true);
                sim.put_manifest(&id(n), RootfsLink { path: &path, etag: etag.as_str() });
            }
            let node = Node::new(sim);
            node.pass().await;
            untag(&node, 1..3);
            node.passes(2).await;
            let lines = take();
            let [added, removed] = ["lun_added", "lun_removed"]
                .map(|event| field(named(&lines, event)[0], "image_id").to_owned());
            assert_eq!((added, removed), (id(1), id(1)), "{order:?}");
        }
    });
}

#[test]
fn an_outage_over_a_thousand_images_is_a_handful_of_lines_and_none_says_what_nobody_saw() {
    run(async {
        let sim = Sim::default();
        (0..1000).for_each(|n| drop(sim.add_image(&id(n), true)));
        let node = Node::new(sim);
        node.pass().await;
        take();
        type Fail = fn(&Sim);
        let outages: [(Fail, &str, &str, &str); 3] = [
            (|sim| sim.site().faults.ims = true, "ims", "status", "sim://ims answered 503"),
            (
                |sim| sim.site().faults.listing = true,
                "s3",
                "timeout",
                "sim listing did not end within its deadline",
            ),
            (
                |sim| sim.site().faults.mount = true,
                "mount",
                "hung",
                "the mount did not answer within its deadline: sim mount",
            ),
        ];
        for (fail, source, reason, detail) in outages {
            fail(&node.sim);
            let first = node.passes(5).await.scan_id - 4;
            node.sim.site().faults = Default::default();
            node.pass().await;
            let summary =
                |n| format!("pass_summary pass {n}: 1000 live, +0 -0, no answer: {source}:{reason}");
            let mut expected = vec![format!("source_unknown {source} {reason} {detail}")];
            expected.extend((first..first + 5).map(summary));
            expected.push(format!("resolved {source} {reason} source_unknown"));
            expected.push(format!("pass_summary pass {}: 1000 live, +0 -0", first + 5));
            assert_eq!(take().iter().map(text).collect::<Vec<_>>(), expected);
        }
        // All of them really gone, in one listing: one line for all, with the code.
        node.sim.site().images.clear();
        node.passes(2).await;
        let lines = take();
        let held = named(&lines, "removals_held");
        assert_eq!((held.len(), held[0].0), (1, Level::ERROR));
        assert!(field(held[0], "detail").contains(&format!("confirm-removal {}", field(held[0], "subject"))));
        assert!(lines.len() < 10, "{}", lines.len());
    });
}

#[test]
fn a_breaker_whose_set_has_changed_is_told_anew_with_its_new_code() {
    run(async {
        let sim = Sim::default();
        (0..12).for_each(|n| drop(sim.add_image(&id(n), true)));
        let node = Node::new(sim);
        node.pass().await;
        (0..5).for_each(|n| node.sim.tag(&id(n), false));
        node.passes(2).await;
        node.sim.tag(&id(0), true);
        node.passes(2).await;
        let lines = take();
        let codes: Vec<&str> =
            named(&lines, "removals_held").iter().map(|line| field(line, "subject")).collect();
        assert_eq!(codes.len(), 2);
        assert_ne!(codes[0], codes[1]);
        let wrong = node.pass_confirmed(Some("00000000".into())).await;
        assert_eq!(wrong.summary.removed, 0);
        let lines = take();
        assert_eq!(field(named(&lines, "confirmation_unmatched")[0], "held_codes"), codes[1]);
    });
}

#[test]
fn a_save_that_goes_from_failed_to_refused_is_told_as_that() {
    run(async {
        let node = Node::new(Sim::small_site());
        node.pass().await;
        node.sim.another_hand(|actual| {
            let mut half = actual.backstores[0].clone();
            (half.name, half.file, half.serial, half.enabled) =
                ("half".into(), "/srv/half.img".into(), String::new(), false);
            actual.backstores.push(half);
        });
        node.sim.tag(UNTAGGED, true);
        node.pass().await;
        let lines = take();
        assert_eq!(field(named(&lines, "save_problem")[0], "reason"), "failed");
        assert_eq!(named(&lines, "half_made")[0].0, Level::ERROR);
        if let Saved::Readable(saved) = &mut node.sim.site().actual.saved {
            saved.others.insert("iscsi/iqn.2023-06.csm.iscsi:sim/tpgt_1/np/10.0.0.1:3260".into());
        }
        node.pass().await;
        let lines = take();
        let problem = named(&lines, "save_problem");
        assert_eq!((field(problem[0], "reason"), problem[0].0), ("refused", Level::ERROR));
    });
}

#[test]
fn a_save_problem_holds_while_no_save_is_tried_and_clears_with_one_that_helps() {
    run(async {
        let node = Node::new(Sim::small_site());
        node.pass().await;
        let portal = "iscsi/iqn.2023-06.csm.iscsi:sim/tpgt_1/np/10.0.0.1:3260";
        let saved_portal = |there: bool| {
            if let Saved::Readable(saved) = &mut node.sim.site().actual.saved {
                let _ = if there { saved.others.insert(portal.into()) } else { saved.others.remove(portal) };
            }
        };
        saved_portal(true);
        node.sim.tag(UNTAGGED, true);
        node.pass().await;
        assert_eq!(named(&take(), "save_problem").len(), 1);
        // Another client holds the daemon before the next change: no save is tried.
        node.sim.site().faults.busy = true;
        node.sim.another_hand(|actual| drop(actual.luns.pop()));
        node.pass().await;
        let lines = take();
        assert!(
            named(&lines, "resolved").is_empty() && named(&lines, "save_problem").is_empty(),
            "{lines:?}"
        );
        node.sim.site().faults.busy = false;
        saved_portal(false);
        node.pass().await;
        let lines = take();
        let cleared: Vec<&str> = named(&lines, "resolved").iter().map(|line| field(line, "was")).collect();
        assert!(cleared.contains(&"save_problem"), "{lines:?}");
    });
}

#[test]
fn what_looks_wrong_and_is_not_touched_is_told_once_and_when_it_is_right_again() {
    run(async {
        let node = Node::new(Sim::small_site());
        node.pass().await;
        take();
        node.sim.put_squashfs(PE, 512);
        node.passes(3).await;
        let lines = take();
        let odd = named(&lines, "projection_drifted");
        assert_eq!(odd.len(), 1);
        assert_eq!((field(odd[0], "image_id"), field(odd[0], "reason")), (PE, "content_changed"));
        node.sim.put_squashfs(PE, 16384);
        node.pass().await;
        assert_eq!(named(&take(), "resolved").len(), 2, "the drift, and the code of its removal");
    });
}

#[test]
fn a_thousand_objects_that_are_no_images_are_twenty_lines_and_their_number() {
    run(async {
        let sim = Sim::default();
        (0..1000).for_each(|n| drop(sim.put(&format!("PE/{n}.txt"), vec![b'x'; 512])));
        let node = Node::new(sim);
        node.passes(2).await;
        let lines = take();
        assert_eq!(named(&lines, "image_pending").len(), 20);
        assert_eq!(field(named(&lines, "more")[0], "count"), "1000");
        node.sim.site().objects.clear();
        node.pass().await;
        assert_eq!(named(&take(), "resolved").len(), 20);
    });
}

#[test]
fn a_lun_that_is_not_at_its_own_number_is_told_once() {
    run(async {
        let node = Node::with_numbers(Sim::small_site(), 1..=6);
        node.passes(2).await;
        let lines = take();
        let added = named(&lines, "lun_added");
        let displaced = named(&lines, "number_displaced");
        assert_eq!(added.len(), 6);
        let different = displaced.iter().all(|line| field(line, "lun") != field(line, "own_lun"));
        assert!((1..6).contains(&displaced.len()) && different, "{displaced:?}");
    });
}

#[test]
fn r13_whoever_has_targetclis_lock_is_told_once_and_as_long_as_he_has_it() {
    run(async {
        let node = Node::new(Sim::small_site());
        node.sim.site().faults.locked = true;
        node.pass().await;
        let lines = take();
        let locked = named(&lines, "lio_busy");
        let detail = field(locked[0], "detail");
        assert!(
            detail.contains("pid 4711 (targetcli)") && detail.contains("6 LUNs were made without"),
            "{detail}"
        );
        assert_eq!(field(locked[0], "reason"), "locked");
        // Nothing is to be done.
        node.pass().await;
        let lines = take();
        assert!(named(&lines, "lio_busy").is_empty() && named(&lines, "resolved").is_empty(), "{lines:?}");
        node.sim.site().faults.locked = false;
        node.pass().await;
        let lines = take();
        assert!(named(&lines, "resolved").iter().any(|line| field(line, "was") == "lio_busy"), "{lines:?}");
    });
}

#[test]
fn luns_that_were_made_anew_and_a_held_daemon_are_told_with_their_names() {
    run(async {
        let node = Node::new(Sim::small_site());
        node.pass().await;
        take();
        node.sim.remount();
        node.sim.site().faults.busy = true;
        node.pass().await;
        let lines = take();
        let busy = named(&lines, "lio_busy");
        assert!(field(busy[0], "detail").contains("pid 4711"), "{busy:?}");
        node.sim.site().faults.busy = false;
        node.pass().await;
        let lines = take();
        assert_eq!(named(&lines, "lun_remade").len(), 6);
        assert!(named(&lines, "resolved").iter().any(|line| field(line, "was") == "lio_busy"));
        node.sim.site().faults.symlinks.insert(ObjectKey::new(PE));
        node.pass().await;
        let lines = take();
        let escapes = named(&lines, "export_escapes")[0];
        assert_eq!((escapes.0, field(escapes, "image_id")), (Level::ERROR, PE));
    });
}

#[test]
fn an_outage_neither_repeats_nor_ends_what_was_being_told() {
    run(async {
        let node = Node::new(Sim::small_site());
        node.pass().await;
        node.sim.tag(TAGGED, false);
        node.sim.put_manifest(UNTAGGED, RootfsLink { path: "s3://elsewhere/rootfs", etag: "" });
        node.sim.tag(UNTAGGED, true);
        node.pass().await;
        take();
        node.sim.site().faults.ims = true;
        node.passes(3).await;
        let told: Vec<String> = take().iter().map(text).filter(|line| !line.starts_with("pass_")).collect();
        assert_eq!(told, ["source_unknown ims status sim://ims answered 503"]);
        node.sim.site().faults.ims = false;
        // Its two looks begin anew, and that is the same condition.
        node.pass().await;
        let told: Vec<String> = take().iter().map(text).filter(|line| !line.starts_with("pass_")).collect();
        assert_eq!(told, ["resolved ims status source_unknown"]);
        node.pass().await;
        let lines = take();
        assert_eq!(named(&lines, "lun_removed").len(), 1);
        assert_eq!(text(named(&lines, "resolved")[0]), format!("resolved {TAGGED} second_look removal_held"));
    });
}
