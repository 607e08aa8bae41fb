//! R3: too many removals wait for an operator, and go on waiting.

use crate::common::{Node, id, untag};
use crate::{OTHER, PE, TAGGED, rootfs};
use actors::decide::plan::Confirmation;
use actors::model::{LunEntry, ObjectKey, TpgPath};
use actors::sim::Sim;

async fn site_of(images: usize) -> Node {
    let sim = Sim::default();
    (0..images).for_each(|n| drop(sim.add_image(&id(n), true)));
    let node = Node::new(sim);
    node.pass().await;
    node
}

#[actix::test]
async fn r3_three_removals_may_go_and_four_wait_for_an_operator() {
    let node = site_of(12).await;
    untag(&node, 0..3);
    assert_eq!(node.passes(2).await.summary.removed, 3);
    let node = site_of(12).await;
    untag(&node, 0..4);
    let status = node.passes(4).await;
    assert_eq!((node.deletions(), status.summary.held, status.converged), (0, 4, false));
    assert_eq!(node.pass_confirmed(Some("00000000".into())).await.summary.removed, 0);
    assert_eq!(node.plan().await.confirmation, Confirmation::NotJudged);
    let code = node.code().await;
    assert_eq!(node.pass_confirmed(code).await.summary.removed, 4);
    assert!(node.pass().await.converged);
}

#[actix::test]
async fn r3_what_was_held_stays_held_when_it_becomes_few() {
    let node = site_of(12).await;
    let images = node.sim.site().images.clone();
    node.sim.site().images.retain(|image| (8..12).any(|n| image["id"] == id(n)));
    node.passes(3).await;
    assert_eq!(node.deletions(), 0);
    // An admin gives them back one by one.
    for n in 0..8 {
        let image = images.iter().find(|image| image["id"] == id(n)).unwrap().clone();
        node.sim.site().images.push(image);
        node.passes(2).await;
        assert_eq!(node.deletions(), 0, "{} are still away", 7 - n);
    }
    let status = node.pass().await;
    assert!(status.converged, "{status}");
    // It is empty, so it is forgotten: a single removal goes again.
    untag(&node, 0..1);
    assert_eq!(node.passes(2).await.summary.removed, 1);
}

#[actix::test]
async fn r3_removals_count_over_the_window_and_not_per_pass() {
    let node = site_of(12).await;
    for n in 0..6 {
        untag(&node, n..n + 1);
        node.passes(2).await;
    }
    assert_eq!(node.luns().len(), 9, "three have gone within the hour; the others wait");
}

#[actix::test]
async fn r3_a_restart_neither_forgets_what_is_held_nor_what_has_gone() {
    let node = site_of(12).await;
    untag(&node, 0..8);
    node.passes(2).await;
    (0..7).for_each(|n| node.sim.tag(&id(n), true));
    let restarted = Node::new(node.sim.clone());
    restarted.passes(3).await;
    assert_eq!(restarted.deletions(), 0);
    restarted.sim.tag(&id(7), true);
    restarted.pass().await;
    untag(&restarted, 0..3);
    restarted.passes(2).await;
    assert_eq!(restarted.luns().len(), 9);
    let again = Node::new(restarted.sim.clone());
    untag(&again, 3..4);
    again.passes(3).await;
    assert_eq!(again.luns().len(), 9, "three have gone within the hour");
}

#[actix::test]
async fn r3_the_code_is_the_same_on_every_worker_and_a_confirmed_set_goes_although_it_shrinks() {
    let (one, other) = (site_of(12).await, site_of(12).await);
    for node in [&one, &other] {
        untag(node, 0..5);
        node.passes(2).await;
    }
    let code = one.code().await;
    assert!(code.is_some() && code == other.code().await);
    // One of them cannot go at once.
    let name =
        one.sim.site().actual.backstores.iter().find(|b| b.file.contains(&id(0))).unwrap().name.clone();
    one.sim.site().faults.targetclid = true;
    assert_eq!(one.pass_confirmed(code).await.summary.removed, 0);
    one.sim.site().faults.targetclid = false;
    assert_eq!(one.pass().await.summary.removed, 5, "{name} is confirmed too");
}

#[actix::test]
async fn r3_a_confirmation_that_meets_a_source_without_an_answer_does_not_count_now_or_later() {
    let node = site_of(12).await;
    untag(&node, 0..5);
    node.passes(2).await;
    let code = node.code().await;
    node.sim.site().faults.listing = true;
    let status = node.pass_confirmed(code.clone()).await;
    assert_eq!((status.summary.removed, status.confirmation), (0, Some(Confirmation::NotJudged)));
    node.sim.site().faults.listing = false;
    node.passes(2).await;
    assert_eq!(node.luns().len(), 12, "what was confirmed is not what an operator sees now");
    assert_eq!(node.pass_confirmed(code).await.confirmation, Some(Confirmation::Matched));
    assert_eq!(node.luns().len(), 7);
}

#[actix::test]
async fn r3_what_a_foreign_lun_holds_does_not_count() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    for id in [TAGGED, OTHER] {
        let mut site = node.sim.site();
        let of = |b: &&actors::model::Backstore| b.file.ends_with(&rootfs(id));
        let name = site.actual.backstores.iter().find(of).unwrap().name.clone();
        let tpg = TpgPath::new("iscsi/iqn.other/tpgt_1");
        site.actual.luns.push(LunEntry { tpg, lun: 1, plugin: "fileio".into(), name });
    }
    let ids: Vec<String> = (0..4).map(|n| format!("00000000-0000-4000-8000-00000000000{n}")).collect();
    ids.iter().for_each(|id| node.sim.tag(id, false));
    node.sim.site().objects.remove(&ObjectKey::new(PE));
    node.passes(3).await;
    assert!(!node.is_live(PE) && !node.is_live(&rootfs(&ids[0])) && !node.is_live(&rootfs(&ids[3])));
    assert!(node.is_live(&rootfs(TAGGED)) && node.is_live(&rootfs(OTHER)));
}

#[actix::test]
async fn r3_after_a_torn_history_nothing_goes_without_an_operator() {
    let node = site_of(12).await;
    node.sim.site().history = Some(b"{\"version\": 1, \"boo".to_vec());
    let restarted = Node::new(node.sim.clone());
    untag(&restarted, 0..1);
    let status = restarted.passes(4).await;
    assert_eq!((restarted.deletions(), status.summary.held), (0, 1));
    let code = restarted.code().await;
    assert_eq!(restarted.pass_confirmed(code).await.summary.removed, 1);
}

#[actix::test]
async fn r2_r3_after_a_history_that_could_not_be_stored_nothing_goes_without_an_operator() {
    let node = site_of(12).await;
    untag(&node, 0..1);
    assert_eq!(node.pass().await.summary.waiting_for_second_look, 1);
    // The look that is stored is not the last one: the image was wanted again, and is not once more.
    node.sim.site().faults.history = true;
    node.sim.tag(&id(0), true);
    node.pass().await;
    untag(&node, 0..1);
    let restarted = Node::new(node.sim.clone());
    let status = restarted.passes(4).await;
    assert_eq!((restarted.deletions(), status.summary.held), (0, 1), "{status}");
    let code = restarted.code().await;
    assert_eq!(restarted.pass_confirmed(code).await.summary.removed, 1);
}

#[actix::test]
async fn r2_a_restart_in_the_middle_of_the_second_look_does_not_shorten_it_and_does_not_start_it_anew() {
    let node = site_of(12).await;
    untag(&node, 0..1);
    assert_eq!(node.pass().await.summary.waiting_for_second_look, 1);
    let restarted = Node::new(node.sim.clone());
    assert_eq!(restarted.pass().await.summary.removed, 1, "the first look was before the restart");
    untag(&restarted, 1..2);
    restarted.pass().await;
    restarted.sim.reboot();
    let booted = Node::new(restarted.sim.clone());
    let status = booted.pass().await;
    assert_eq!(status.summary.waiting_for_second_look, 1, "of another boot: taken anew");
}

#[actix::test]
async fn r3_what_the_breaker_holds_is_not_let_go_by_a_restart_although_it_could_not_be_stored() {
    let node = site_of(12).await;
    node.sim.site().faults.history = true;
    untag(&node, 0..6);
    assert_eq!(node.passes(3).await.summary.held, 6);
    let before = node.luns();
    // Most are given back, and two are not: few enough to go by themselves, had nothing been held.
    (2..6).for_each(|n| node.sim.tag(&id(n), true));
    let restarted = Node::new(node.sim.clone());
    let status = restarted.passes(4).await;
    assert_eq!((restarted.luns(), status.summary.removed), (before, 0), "{status}");
}
