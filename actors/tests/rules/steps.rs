//! Each step is judged by configfs, before and after: what somebody else does in between is seen.

use crate::common::{AT_ONCE, Node, Scripted};
use crate::{PE, TAGGED, rootfs};
use actors::decide::cadence::Cadence;
use actors::model::{BareLun, ObjectKey, Request, Saved, Step};
use actors::reconciler::{Resync, Tick};
use actors::sim::{Sim, TPG};
use std::time::Duration;

/// What is done to the site right after the first step of this kind.
fn after(sim: &Sim, of: fn(&Request) -> bool, change: impl Fn(&Sim) + Send + 'static) -> Node {
    after_each_of(1, sim, of, change)
}

/// The same after the first few; two: at the first try, and at the one after a refresh.
fn after_each_of(
    count: u32,
    sim: &Sim,
    of: fn(&Request) -> bool,
    change: impl Fn(&Sim) + Send + 'static,
) -> Node {
    let (site, mut left) = (sim.clone(), count);
    Node::with_hook(sim.clone(), move |step| {
        if of(step) && left > 0 {
            left -= 1;
            change(&site);
        }
    })
}

fn last_made(sim: &Sim, change: impl Fn(&mut actors::model::Backstore)) {
    sim.site().actual.backstores.last_mut().map(change).unwrap();
}

#[actix::test]
async fn r9_a_backstore_whose_path_the_kernel_has_cut_is_taken_away_again() {
    let sim = Sim::small_site();
    let node = after_each_of(
        2,
        &sim,
        |step| matches!(step, Request::Change(Step::CreateBackstore { .. })),
        |sim| {
            last_made(sim, |made| made.file.truncate(made.file.len() - 3));
        },
    );
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.failed), (5, 1));
    let site = sim.site();
    assert_eq!(site.actual.backstores.len(), 5, "what came out wrong is not left behind");
}

#[actix::test]
async fn r7_a_backstore_of_another_size_than_the_file_gets_no_lun() {
    let sim = Sim::small_site();
    let node = after_each_of(
        2,
        &sim,
        |step| matches!(step, Request::Change(Step::CreateBackstore { .. })),
        |sim| {
            last_made(sim, |made| made.size = 512);
        },
    );
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.failed, node.luns().len()), (5, 1, 5));
}

#[actix::test]
async fn a_product_name_that_was_not_set_gets_no_lun() {
    let sim = Sim::small_site();
    let mut tries = 0;
    let site = sim.clone();
    let node = Node::with_hook(sim, move |step| {
        // Not at the first try, and not after the refresh.
        if matches!(step, Request::Change(Step::EnableModelAlias { .. })) && tries < 2 {
            tries += 1;
            last_made(&site, |made| made.model_alias = false);
        }
    });
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.failed, node.luns().len()), (5, 1, 5));
}

#[actix::test]
async fn r1_a_backstore_that_another_hand_has_put_in_place_of_ours_is_not_deleted() {
    let sim = Sim::small_site();
    Node::new(sim.clone()).pass().await;
    sim.tag(TAGGED, false);
    let node = after(
        &sim,
        |step| matches!(step, Request::Change(Step::DeleteLun { .. })),
        |sim| {
            let mut site = sim.site();
            let ours = site.actual.backstores.iter_mut().find(|b| b.file.ends_with(&rootfs(TAGGED))).unwrap();
            ours.file = "/srv/theirs.img".into();
        },
    );
    let status = node.passes(2).await;
    assert_eq!((status.summary.removed, status.summary.failed), (0, 1));
    assert!(sim.site().actual.backstores.iter().any(|b| b.file == "/srv/theirs.img"));
}

#[actix::test]
async fn r1_a_lun_that_leads_elsewhere_by_now_is_not_deleted() {
    let sim = Sim::small_site();
    Node::new(sim.clone()).pass().await;
    sim.tag(TAGGED, false);
    sim.site().objects.remove(&ObjectKey::new(PE));
    // After the first removal, the number of the second one leads to what somebody else has made.
    let node = after(
        &sim,
        |step| matches!(step, Request::Change(Step::DeleteBackstore { .. })),
        |sim| {
            let mut site = sim.site();
            let gone =
                |b: &&actors::model::Backstore| b.file.ends_with(PE) || b.file.ends_with(&rootfs(TAGGED));
            let name = site.actual.backstores.iter().find(gone).unwrap().name.clone();
            site.actual
                .luns
                .iter_mut()
                .filter(|lun| lun.name == name)
                .for_each(|lun| lun.name = "theirs".into());
        },
    );
    let status = node.passes(2).await;
    assert_eq!((status.summary.removed, status.summary.failed), (1, 1));
    assert!(sim.site().actual.luns.iter().any(|lun| lun.name == "theirs"));
}

#[actix::test]
async fn a_manifest_that_is_larger_than_any_manifest_is_not_even_read() {
    let sim = Sim::small_site();
    sim.put(&format!("{TAGGED}/manifest.json"), vec![b' '; (1 << 20) + 1]);
    let node = Node::new(sim);
    node.pass().await;
    assert_eq!(Node::reasons(&node.plan().await), [(TAGGED.to_owned(), "manifest_too_large")]);
    assert!(!node.sim.site().got.iter().any(|key| key.folder() == TAGGED));
}

#[actix::test]
async fn r11_a_saved_number_that_another_lun_has_by_now_may_be_forgotten() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    {
        // Ours was deleted, and somebody took its number.
        let mut site = node.sim.site();
        let lost = site.actual.luns.iter().find(|lun| lun.name.len() == 15).unwrap().clone();
        let other = site.actual.luns.iter().rev().find(|lun| lun.name.len() == 15).unwrap().clone();
        site.actual.luns.retain(|lun| *lun != lost && *lun != other);
        site.actual.luns.push(actors::model::LunEntry { lun: lost.lun, ..other });
        let renumbered = site.actual.luns.last().unwrap().clone();
        assert_eq!((renumbered.tpg.as_str(), renumbered.lun), (TPG, lost.lun));
    }
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.save.kind(), status.converged), (1, "written", true));
    assert!(matches!(&node.sim.site().actual.saved, Saved::Readable(saved) if saved.luns.len() == 6));
}

#[actix::test]
async fn r2_the_second_look_comes_by_itself_when_its_time_has_come() {
    let sim = Sim::small_site();
    let agent = Scripted::new(sim.clone());
    let long = Duration::from_secs(3600);
    let cast = agent.start(Some(Cadence { scan: long, tags: long }), Duration::from_millis(20));
    let mut status = cast.status.clone();
    let within = Duration::from_secs(60);
    tokio::time::timeout(within, status.wait_for(|s| s.converged)).await.unwrap().unwrap();
    sim.tag(TAGGED, false);
    cast.reconciler.do_send(Resync { reason: "test" });
    tokio::time::timeout(within, status.wait_for(|s| s.summary.removed == 1)).await.unwrap().unwrap();
}

#[actix::test]
async fn r3_a_confirmation_comes_with_the_pass_that_an_operator_asks_for() {
    let sim = Sim::small_site();
    let agent = Scripted::new(sim.clone());
    let cast = agent.start(None, AT_ONCE);
    agent.pass(&cast).await;
    (0..4).for_each(|n| sim.tag(&format!("00000000-0000-4000-8000-00000000000{n}"), false));
    agent.pass(&cast).await;
    agent.pass(&cast).await;
    let plan = cast.reconciler.send(actors::reconciler::Preview).await.unwrap().unwrap().0;
    let code = plan.tripped.map(|tripped| tripped.code);
    let status = cast.reconciler.send(Tick { confirmed: code }).await.unwrap();
    assert_eq!(status.summary.removed, 4);
}

#[actix::test]
async fn m10_a_removal_that_was_cut_short_between_the_link_of_its_lun_and_the_folder_is_finished() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node.sim.tag(TAGGED, false);
    node.pass().await;
    {
        let mut site = node.sim.site();
        let backstore = site.actual.backstores.iter().find(|live| live.file.ends_with(&rootfs(TAGGED)));
        let name = backstore.unwrap().name.clone();
        let gone = site.actual.luns.extract_if(.., |lun| lun.name == name).next().unwrap();
        site.actual.bare_luns.insert(BareLun { folder: gone.tpg.to_string(), lun: gone.lun });
    }
    let status = node.passes(3).await;
    let actual = node.sim.site().actual.clone();
    assert_eq!((actual.luns.len(), actual.backstores.len(), actual.bare_luns.len()), (5, 5, 0), "{status}");
    assert!(status.converged, "{status}");
}
