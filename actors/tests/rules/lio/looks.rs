//! R1, R7, R8: what is looked at once more, and how.

use super::watched::{Watched, pass};
use crate::PE;
use crate::common::Node;
use actors::model::{LunEntry, ObjectKey, Request, Step, TpgPath};
use actors::sim::Sim;

/// A LUN of another target on the backstore that was made last.
fn use_what_was_made_last(sim: &Sim) {
    let mut site = sim.site();
    let made = site.actual.backstores.last().unwrap();
    let (plugin, name) = (made.plugin.clone(), made.name.clone());
    site.actual.luns.push(LunEntry { tpg: TpgPath::new("iscsi/iqn.other/tpgt_1"), lun: 7, plugin, name });
}

fn their_luns(sim: &Sim) -> usize {
    sim.site().actual.luns.iter().filter(|lun| lun.tpg.target() == "iqn.other").count()
}

/// What is done to the site when all that the PE image still needs is its LUN.
fn before_the_lun(sim: &Sim, change: impl Fn(&Sim) + Send + 'static) -> Node {
    let site = sim.clone();
    let is_pe = move |sim: &Sim| sim.site().actual.backstores.last().is_some_and(|b| b.file.ends_with(PE));
    Node::with_hook(sim.clone(), move |step| {
        if matches!(step, Request::Change(Step::EnableModelAlias { .. })) && is_pe(&site) {
            change(&site);
        }
    })
}

fn has_backstore(sim: &Sim) -> bool {
    sim.site().actual.backstores.iter().any(|live| live.file.ends_with(PE))
}

#[actix::test]
async fn r1_a_backstore_that_another_hand_uses_by_now_is_not_taken_away_when_its_change_is_undone() {
    let sim = Sim::small_site();
    let node = before_the_lun(&sim, |sim| {
        use_what_was_made_last(sim);
        sim.site().faults.symlinks.insert(ObjectKey::new(PE));
    });
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.failed), (5, 1));
    assert_eq!((their_luns(&sim), has_backstore(&sim)), (1, true));
}

#[actix::test]
async fn r1_a_backstore_that_came_out_wrong_and_is_used_by_another_hand_is_not_taken_away() {
    let sim = Sim::small_site();
    let mut left = 1;
    let site = sim.clone();
    let node = Node::with_hook(sim.clone(), move |step| {
        if matches!(step, Request::Change(Step::CreateBackstore { .. })) && left > 0 {
            left -= 1;
            site.site().actual.backstores.last_mut().unwrap().file.pop();
            use_what_was_made_last(&site);
        }
    });
    node.pass().await;
    assert_eq!(their_luns(&sim), 1);
}

#[actix::test]
async fn r6_r8_no_file_is_opened_while_lio_has_it_open_on_this_mount() {
    let site = Watched::new(Sim::small_site());
    let agent = site.start(None);
    assert_eq!(pass(&agent).await.summary.added, 6);
    assert_eq!(site.opened_beside_lio(), []);
    site.sim.remount();
    assert_eq!(pass(&agent).await.summary.remade, 6);
    assert_eq!(site.opened_beside_lio(), []);
}

#[actix::test]
async fn r7_a_file_that_has_another_size_by_now_gets_no_lun() {
    let sim = Sim::small_site();
    let node = before_the_lun(&sim, |sim| drop(sim.put_squashfs(PE, 32768)));
    let status = node.pass().await;
    assert_eq!((status.summary.added, status.summary.failed), (5, 1));
    assert!(!has_backstore(&sim));
}

#[actix::test]
async fn r14_a_mount_that_does_not_answer_before_the_lun_keeps_the_backstore_and_its_next_look_adds_the_lun()
{
    let sim = Sim::small_site();
    let node = before_the_lun(&sim, |sim| sim.site().faults.mount = true);
    let status = node.pass().await;
    assert!(status.summary.failed > 0 && !node.is_live(PE), "{status}");
    // To delete it would close its file, on a mount that hangs.
    assert!(has_backstore(&sim));
    sim.site().faults.mount = false;
    node.passes(2).await;
    assert!(node.is_live(PE));
}
