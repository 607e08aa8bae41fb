//! `lio.engine = "configfs"`: the agent writes configfs itself, and tells targetclid afterwards. H4: it does so as well
//! where targetclid is kept from creating anything.

use super::watched::{Asked, Watched, pass, passes};
use crate::common::foreign;
use crate::{TAGGED, UNTAGGED, rootfs};
use actors::decide::cadence::Cadence;
use actors::model::{Engine, ObjectKey, Request, Step};
use actors::ports::Rest;
use actors::sim::{MOUNT, Sim};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

/// The same site, empty, and an agent that has not passed yet.
fn by(engine: Engine) -> (Watched, actors::agent::Agent) {
    let site = Watched::new(Sim::small_site());
    let agent = site.start_by(engine, None);
    (site, agent)
}

fn asked(site: &Watched, is_it: impl Fn(&Request) -> bool) -> Vec<usize> {
    let asked = site.asked().into_iter().enumerate();
    asked
        .filter(|(_, a)| matches!(a, Asked::Request(request, true) if is_it(request)))
        .map(|(n, _)| n)
        .collect()
}

#[actix::test]
async fn by_either_engine_the_same_comes_and_goes_and_is_reported_the_same() {
    let (told, direct) = (by(Engine::Targetclid), by(Engine::Configfs));
    for untagged in [false, true, true] {
        let mut seen = Vec::new();
        for (site, agent) in [&told, &direct] {
            site.sim.tag(TAGGED, !untagged);
            let mut status = pass(agent).await;
            status.summary.apply_ms = 0;
            let mut actual = site.sim.site().actual.clone();
            actual.backstores.iter_mut().for_each(|backstore| backstore.inode = 0);
            seen.push((format!("{:?}", status.summary), actual));
        }
        assert_eq!(seen[0], seen[1]);
    }
    assert!(asked(&told.0, |request| matches!(request, Request::Direct(_))).is_empty());
    assert!(asked(&direct.0, |request| matches!(request, Request::Change(_))).is_empty());
}

#[actix::test]
async fn targetclid_is_told_once_after_all_changes_and_before_the_save_and_not_in_a_pass_without_any() {
    let (site, agent) = by(Engine::Configfs);
    assert!(pass(&agent).await.converged);
    let changes = asked(&site, |request| matches!(request, Request::Direct(_)));
    let refreshes = asked(&site, |request| *request == Request::Refresh);
    let saves = asked(&site, |request| matches!(request, Request::Save { .. }));
    assert_eq!((changes.len(), refreshes.len(), saves.len()), (18, 1, 1));
    assert!(changes[17] < refreshes[0] && refreshes[0] < saves[0]);
    passes(&agent, 2).await;
    assert_eq!(asked(&site, |request| *request == Request::Refresh).len(), 1);
    // Nobody knows whether the agent before this one came to it.
    pass(&site.start_by(Engine::Configfs, None)).await;
    assert_eq!(asked(&site, |request| *request == Request::Refresh).len(), 2);
}

#[actix::test]
async fn by_either_engine_a_pass_that_changes_nothing_reads_configfs_once_and_asks_for_nothing() {
    for engine in [Engine::Targetclid, Engine::Configfs] {
        let (site, agent) = by(engine);
        passes(&agent, 2).await;
        let before = site.asked().len();
        assert!(pass(&agent).await.converged);
        assert_eq!(site.asked()[before..], [Asked::Observe, Asked::Rest(Rest::UntilNextPass)]);
    }
}

#[actix::test]
async fn r13_luns_come_while_another_client_holds_targetclid_which_is_told_once_it_is_free() {
    let site = Watched::new(Sim::small_site());
    site.sim.site().faults.busy = true;
    let agent = site.start_by(Engine::Configfs, Some(Cadence { scan: LONG, tags: LONG }));
    let mut status = agent.status.clone();
    status.changed().await.unwrap();
    let seen = status.borrow_and_update().clone();
    assert_eq!((seen.summary.added, seen.summary.save.kind(), seen.converged), (6, "untried", false));
    assert_eq!(seen.summary.unknown, ["lio:busy"]);
    site.sim.site().faults.busy = false;
    tokio::time::timeout(Duration::from_secs(60), status.changed()).await.unwrap().unwrap();
    assert_eq!(status.borrow().summary.save.kind(), "written");
    assert_eq!(asked(&site, |request| *request == Request::Refresh).len(), 1);
}

#[actix::test]
async fn r13_without_the_lock_luns_are_written_and_none_goes() {
    let site = Watched::new(Sim::small_site());
    site.sim.site().faults.locked = true;
    let agent = site.start_by(Engine::Configfs, None);
    assert_eq!(pass(&agent).await.summary.added, 6);
    site.sim.tag(TAGGED, false);
    assert_eq!(passes(&agent, 3).await.summary.removed, 0);
    site.sim.site().faults.locked = false;
    assert_eq!(pass(&agent).await.summary.removed, 1);
}

#[actix::test]
async fn h4_a_create_that_a_missing_file_keeps_targetclid_from_is_written_into_configfs_and_so_is_the_rest() {
    let (site, agent) = by(Engine::Targetclid);
    pass(&agent).await;
    // Somebody else's, which no plan knows of.
    let missing = ObjectKey::new("theirs/gone");
    let file = format!("{MOUNT}/{missing}");
    site.sim.another_hand(|actual| actual.backstores.push(foreign("theirs", &file)));
    site.sim.tag(UNTAGGED, true);
    site.sim.put_squashfs("PE/one-more", 4096);
    let before = site.asked().len();
    let status = pass(&agent).await;
    assert_eq!((status.summary.added, status.converged), (2, true), "{status}");
    let later =
        |is_it: &dyn Fn(&Request) -> bool| asked(&site, is_it).iter().filter(|n| **n > before).count();
    assert_eq!(
        later(&|request| matches!(request, Request::Change(Step::CreateBackstore { .. }))),
        1,
        "it was tried"
    );
    assert_eq!(later(&|request| matches!(request, Request::Direct(Step::CreateBackstore { .. }))), 2);
    assert_eq!(later(&|request| matches!(request, Request::Direct(_))), 6);
    let last = asked(&site, |request| *request == Request::Refresh).pop().unwrap();
    assert!(
        last > asked(&site, |request| matches!(request, Request::Direct(_))).pop().unwrap(),
        "it was told"
    );
    let live = site.sim.site().actual.clone();
    assert!(live.backstores.iter().any(|backstore| backstore.file.ends_with(&rootfs(UNTAGGED))));
}

#[actix::test]
async fn h4_where_configfs_may_not_be_written_each_create_is_tried_there_and_by_targetclid_once_more() {
    let (site, agent) = by(Engine::Targetclid);
    site.sim.site().faults.sandboxed = true;
    let file = format!("{MOUNT}/theirs/gone");
    site.sim.another_hand(|actual| actual.backstores.push(foreign("theirs", &file)));
    assert_eq!(pass(&agent).await.summary.failed, 6);
    let asked = site.asked();
    let count = |is_it: &dyn Fn(&Asked) -> bool| asked.iter().filter(|asked| is_it(asked)).count();
    assert_eq!(count(&|asked| matches!(asked, Asked::Request(Request::Direct(_), false))), 6);
    assert_eq!(count(&|asked| matches!(asked, Asked::Request(Request::Direct(_), true))), 0);
    let creates =
        |asked: &Asked| matches!(asked, Asked::Request(Request::Change(Step::CreateBackstore { .. }), true));
    assert_eq!(count(&creates), 12);
}
