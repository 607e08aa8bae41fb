//! R13: another client has the daemon, or a shell has plain targetcli's lock.

use super::watched::{Asked, Watched};
use actors::decide::cadence::Cadence;
use actors::model::Request;
use actors::ports::LioError;
use actors::reconciler::Resync;
use actors::sim::Sim;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(60);

/// A site where a shell has the lock until this says false: to look is possible, to change is not.
fn locked() -> (Watched, Arc<AtomicBool>) {
    let (site, held) = (Watched::new(Sim::small_site()), Arc::new(AtomicBool::new(true)));
    let lock = held.clone();
    site.before(move |step| match step {
        Request::Refresh => Ok(()),
        _ if !lock.load(Ordering::Relaxed) => Ok(()),
        _ => {
            let (command, holder) = (step.to_string(), "pid 4711 (targetcli)".to_owned());
            Err(LioError::Busy { command, holder, seconds: 10 })
        }
    });
    (site, held)
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
async fn r13_the_release_of_targetclis_lock_is_soon_noticed_and_no_session_stays_open_after_the_question() {
    let (site, held) = locked();
    let agent = site.start(Some(Cadence { scan: LONG, tags: LONG }));
    until(|| questions(&site, false) > 0).await;
    held.store(false, Ordering::Relaxed);
    let mut status = agent.status.clone();
    tokio::time::timeout(SOON, status.wait_for(|status| status.converged)).await.unwrap().unwrap();
    until(|| questions(&site, true) > 0).await;
    let asked = site.asked();
    let free = asked.iter().position(|asked| *asked == Asked::Request(Request::Probe, true)).unwrap();
    assert_eq!(asked[free + 1], Asked::EndSession, "the next pass may wait a minute for IMS and S3");
}

#[actix::test]
async fn r13_however_many_passes_find_the_daemon_held_it_is_asked_once_a_second() {
    let (site, _held) = locked();
    let agent = site.start(Some(Cadence { scan: LONG, tags: LONG }));
    until(|| questions(&site, false) > 0).await;
    for _ in 0..10 {
        let passes = agent.status.borrow().scan_id;
        agent.reconciler.do_send(Resync { reason: "test", confirmed: None });
        until(|| agent.status.borrow().scan_id > passes).await;
    }
    let (before, begun) = (questions(&site, false), Instant::now());
    until(|| questions(&site, false) >= before + 3).await;
    // The first of the three may have been due at once.
    assert!(begun.elapsed() >= Duration::from_millis(1900), "three questions in {:?}", begun.elapsed());
}
