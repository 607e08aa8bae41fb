//! R11: what becomes of saveconfig.json.

use super::watched::{Watched, pass, passes};
use crate::UNTAGGED;
use actors::model::{Actual, Request};
use actors::ports::{LioError, PortError};
use actors::sim::{Sim, TPG};
use std::io::ErrorKind;

#[actix::test]
async fn r11_a_save_that_the_daemon_did_not_answer_is_tried_again_in_the_next_pass() {
    let command = || "saveconfig".to_owned();
    let failures: [fn(String) -> LioError; 4] = [
        |command| LioError::Busy { command, holder: "pid 4711 (targetcli)".into(), seconds: 10 },
        |command| LioError::Timeout { command, seconds: 60 },
        |path| LioError::Connect { path, source: ErrorKind::ConnectionRefused.into() },
        |command| LioError::Session { command, problem: "the daemon hung up".into() },
    ];
    for failure in failures {
        let site = Watched::new(Sim::small_site());
        let agent = site.start(None);
        let mut first = true;
        site.before(move |step| {
            let fails = matches!(step, Request::Save { backup: true }) && std::mem::take(&mut first);
            if fails { Err(failure(command())) } else { Ok(()) }
        });
        let kind = failure(command()).kind();
        let status = pass(&agent).await;
        assert_eq!((status.summary.added, status.summary.save.kind()), (6, "failed"), "{kind}");
        assert!(status.summary.is_troubled(), "{kind}: the next boot would bring back an old state");
        let status = pass(&agent).await;
        assert_eq!((status.summary.save.kind(), status.converged), ("written", true), "{kind}");
    }
}

#[actix::test]
async fn l5_whoever_is_in_the_way_of_a_save_is_told() {
    let site = Watched::new(Sim::small_site());
    let agent = site.start(None);
    site.before(|step| match step {
        Request::Save { backup: true } => {
            let (command, holder) = (step.to_string(), "pid 4711 (targetcli)".to_owned());
            Err(LioError::Busy { command, holder, seconds: 10 })
        }
        _ => Ok(()),
    });
    let status = pass(&agent).await;
    assert_eq!((status.summary.added, status.summary.unknown), (6, vec!["lio:busy".to_owned()]));
}

fn acl() -> String {
    format!("{TPG}/acls/iqn.2001-01.com.other:a")
}

fn portal() -> String {
    format!("{TPG}/np/10.0.0.1:3260")
}

#[actix::test]
async fn r11_m1_portals_and_acls_that_another_hand_made_and_took_away_again_block_no_save() {
    let site = Watched::new(Sim::small_site());
    let agent = site.start(None);
    pass(&agent).await;
    site.sim.another_hand(|actual| actual.others.extend([acl(), portal()]));
    site.sim.tag(UNTAGGED, true);
    assert_eq!(pass(&agent).await.summary.save.kind(), "written", "theirs are saved along with ours");
    site.sim.another_hand(|actual| actual.others.clear());
    pass(&agent).await;
    site.sim.tag(UNTAGGED, false);
    let status = passes(&agent, 2).await;
    assert_eq!((status.summary.removed, status.summary.save.kind()), (1, "written"));
}

/// What `targetctl restore` has made so far when portals and ACLs are still to come: everything else, by new folders.
fn tail_of_a_restore(actual: &mut Actual, whole: &Actual) {
    *actual = Actual { saved: actual.saved.clone(), ..whole.clone() };
    actual.others.clear();
    actual.backstores.iter_mut().for_each(|live| live.inode += 1000);
}

/// A node with a portal and an ACL, everything saved and seen by the agent that runs.
async fn settled() -> (Watched, actors::agent::Agent, Actual) {
    let site = Watched::new(Sim::small_site());
    site.sim.another_hand(|actual| actual.others.extend([acl(), portal()]));
    let agent = site.start(None);
    assert!(passes(&agent, 2).await.converged);
    let whole = site.sim.site().actual.clone();
    (site, agent, whole)
}

#[actix::test]
async fn r11_m1_what_a_stop_of_the_target_took_along_is_not_forgotten_in_the_tail_of_its_restore() {
    let (site, agent, whole) = settled().await;
    site.sim.another_hand(|actual| {
        actual.tpg = None;
        actual.backstores.clear();
        actual.luns.clear();
        actual.others.clear();
    });
    // Whatever is added then is not made: there is no target.
    site.sim.tag(UNTAGGED, true);
    pass(&agent).await;
    site.sim.another_hand(|actual| tail_of_a_restore(actual, &whole));
    for _ in 0..3 {
        assert_eq!(pass(&agent).await.summary.save.kind(), "refused");
    }
    site.sim.another_hand(|actual| actual.others.extend([acl(), portal()]));
    assert_eq!(pass(&agent).await.summary.save.kind(), "written");
}

#[actix::test]
async fn r11_m1_nor_is_it_if_the_stop_was_seen_only_when_portals_and_acls_had_gone() {
    let (site, agent, whole) = settled().await;
    site.sim.another_hand(|actual| actual.others.clear());
    pass(&agent).await;
    site.sim.another_hand(|actual| tail_of_a_restore(actual, &whole));
    site.sim.tag(UNTAGGED, true);
    for _ in 0..3 {
        assert_eq!(pass(&agent).await.summary.save.kind(), "refused");
    }
    site.sim.another_hand(|actual| actual.others.extend([acl(), portal()]));
    assert_eq!(pass(&agent).await.summary.save.kind(), "written");
}
