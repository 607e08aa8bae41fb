//! R13: another client has the daemon, or a shell has plain targetcli's lock.

use super::watched::{Asked, Watched, pass, passes};
use crate::TAGGED;
use actors::decide::cadence::Cadence;
use actors::model::{Request, Step};
use actors::ports::Rest;
use actors::reconciler::Resync;
use actors::sim::Sim;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(60);

/// A site where a shell has the lock.
fn locked() -> Watched {
    let site = Watched::new(Sim::small_site());
    site.sim.site().faults.locked = true;
    site
}

/// The same with six LUNs, of which one should go.
async fn locked_with_a_removal() -> (Watched, actors::agent::Agent) {
    let site = Watched::new(Sim::small_site());
    let agent = site.start(None);
    pass(&agent).await;
    site.sim.tag(TAGGED, false);
    pass(&agent).await;
    site.sim.site().faults.locked = true;
    (site, agent)
}

fn questions(site: &Watched, answer: bool) -> usize {
    site.asked().iter().filter(|asked| **asked == Asked::Request(Request::Probe, answer)).count()
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.expect("it never comes");
}

#[actix::test]
async fn r14_a_daemon_that_takes_its_time_while_files_are_looked_into_costs_the_pass_nothing() {
    let site = Watched::new(Sim::small_site());
    site.sim.site().faults.late = 1;
    let status = pass(&site.start(None)).await;
    assert_eq!((status.summary.added, status.summary.failed, status.converged), (6, 0, true), "{status}");
    let refreshes =
        |answer| site.asked().iter().filter(|a| **a == Asked::Request(Request::Refresh, answer)).count();
    assert_eq!((refreshes(false), refreshes(true)), (1, 1));
}

#[actix::test]
async fn r13_without_the_lock_luns_come_each_after_a_refresh_and_are_saved() {
    let site = locked();
    let agent = site.start(None);
    let status = pass(&agent).await;
    assert_eq!((status.summary.added, status.summary.save.kind(), status.converged), (6, "written", true));
    let told = site.sim.site().told.clone();
    let creates = |request: &Request| matches!(request, Request::Change(Step::CreateBackstore { .. }));
    let after_a_refresh =
        told.windows(2).filter(|two| two[0] == Request::Refresh && creates(&two[1])).count();
    assert_eq!(after_a_refresh, 6);
    let asked = site.asked();
    let first = asked.iter().position(|asked| matches!(asked, Asked::Request(Request::Unlocked(_), true)));
    let with_lock = &asked[..first.unwrap()];
    assert!(
        with_lock.iter().any(|asked| matches!(asked, Asked::Request(Request::Change(_), false))),
        "the lock was asked for first: {asked:?}"
    );
}

#[actix::test]
async fn r13_without_the_lock_no_lun_goes_and_what_comes_beside_it_comes() {
    let (site, agent) = locked_with_a_removal().await;
    site.sim.put_squashfs("PE/new.squashfs", 4096);
    let status = pass(&agent).await;
    assert_eq!((status.summary.added, status.summary.removed, status.summary.failed), (1, 0, 1));
    assert!(!status.converged);
    site.sim.site().faults.locked = false;
    let status = pass(&agent).await;
    assert_eq!((status.summary.removed, status.converged), (1, true));
}

#[actix::test]
async fn r13_a_lun_whose_mount_is_gone_is_made_anew_without_the_lock() {
    let site = Watched::new(Sim::small_site());
    let agent = site.start(None);
    pass(&agent).await;
    site.sim.remount();
    site.sim.site().faults.locked = true;
    let status = pass(&agent).await;
    assert_eq!((status.summary.remade, site.sim.dead().len()), (6, 0));
}

#[actix::test]
async fn r13_a_lock_that_was_released_in_mid_pass_is_taken_again() {
    let site = locked();
    let sim = site.sim.clone();
    site.before(move |step| {
        if matches!(step, Request::Unlocked(_)) {
            sim.site().faults.locked = false;
        }
        Ok(())
    });
    let agent = site.start(None);
    assert_eq!(pass(&agent).await.summary.added, 6);
    let unlocked = |asked: &&Asked| matches!(asked, Asked::Request(Request::Unlocked(_), _));
    assert_eq!(site.asked().iter().filter(unlocked).count(), 1);
}

#[actix::test]
async fn r13_between_passes_the_session_rests_and_at_the_end_of_the_agent_it_is_ended() {
    let site = Watched::new(Sim::small_site());
    let agent = site.start(None);
    passes(&agent, 2).await;
    let rests =
        || site.asked().into_iter().filter(|asked| matches!(asked, Asked::Rest(_))).collect::<Vec<_>>();
    assert_eq!(rests(), [Asked::Rest(Rest::UntilNextPass), Asked::Rest(Rest::UntilNextPass)]);
    assert!(agent.stop(SOON).await);
    assert!(rests()[2..].contains(&Asked::Rest(Rest::ForGood)));
}

#[actix::test]
async fn r13_the_release_of_targetclis_lock_is_soon_noticed() {
    let (site, first) = locked_with_a_removal().await;
    first.stop(SOON).await;
    let agent = site.start(Some(Cadence { scan: LONG, tags: LONG }));
    until(|| questions(&site, false) > 0).await;
    site.sim.site().faults.locked = false;
    let mut status = agent.status.clone();
    tokio::time::timeout(SOON, status.wait_for(|status| status.converged)).await.unwrap().unwrap();
    assert!(questions(&site, true) > 0);
}

#[actix::test]
async fn r13_however_many_passes_find_the_daemon_held_it_is_asked_once_a_second() {
    let site = Watched::new(Sim::small_site());
    site.sim.site().faults.busy = true;
    let agent = site.start(Some(Cadence { scan: LONG, tags: LONG }));
    until(|| questions(&site, false) > 0).await;
    for _ in 0..10 {
        let passes = agent.status.borrow().scan_id;
        agent.reconciler.do_send(Resync { reason: "test" });
        until(|| agent.status.borrow().scan_id > passes).await;
    }
    let (before, begun) = (questions(&site, false), Instant::now());
    until(|| questions(&site, false) >= before + 3).await;
    // The first of the three may have been due at once.
    assert!(begun.elapsed() >= Duration::from_millis(1900), "three questions in {:?}", begun.elapsed());
}
