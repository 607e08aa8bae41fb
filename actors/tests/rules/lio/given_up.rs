//! R3, R14: LIO hangs, and the pass is given up.

use super::watched::{Asked, Watched, pass, passes};
use crate::{OTHER, TAGGED, rootfs};
use actors::agent::{Agent, Kept};
use actors::model::{Request, Step};
use actors::sim::Sim;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// Steps of the simulated LIO take no time.
const HUNG_AFTER: Duration = Duration::from_secs(1);

/// Hangs at the first step until it is dropped.
struct Release {
    hangs: Arc<AtomicBool>,
    _until: Sender<()>,
}

/// A node whose next pass would remove two images, and hangs at the first step until it is released.
async fn hanging(kept: &Kept) -> (Watched, Agent, Release) {
    let site = Watched::new(Sim::small_site());
    let agent = site.start_within(HUNG_AFTER, None, kept);
    pass(&agent).await;
    tag_both(&site, false);
    assert_eq!(pass(&agent).await.summary.waiting_for_second_look, 2);
    let (_until, released) = channel::<()>();
    let hangs = Arc::new(AtomicBool::new(false));
    let begun = hangs.clone();
    site.before(move |step| {
        if let Request::Change(Step::DeleteLun { .. }) = step {
            begun.store(true, Ordering::Relaxed);
            let _ = released.recv();
        }
        Ok(())
    });
    (site, agent, Release { hangs, _until })
}

fn tag_both(site: &Watched, tagged: bool) {
    site.sim.tag(TAGGED, tagged);
    site.sim.tag(OTHER, tagged);
}

fn removed_luns(site: &Watched) -> usize {
    site.asked()
        .iter()
        .filter(|asked| matches!(asked, Asked::Request(Request::Change(Step::DeleteLun { .. }), true)))
        .count()
}

fn is_live(site: &Watched, id: &str) -> bool {
    let actual = &site.sim.site().actual;
    let of = |file: &str| file.ends_with(&rootfs(id));
    let name = actual.backstores.iter().find(|live| of(&live.file)).map(|live| live.name.clone());
    actual.luns.iter().any(|lun| Some(&lun.name) == name.as_ref())
}

#[actix::test]
async fn r14_a_plan_that_was_given_up_is_carried_no_further() {
    let (site, agent, release) = hanging(&Kept::default()).await;
    assert_eq!(pass(&agent).await.summary.unknown, ["lio:hung"]);
    tag_both(&site, true);
    drop(release);
    passes(&agent, 2).await;
    assert_eq!(removed_luns(&site), 1, "the step that hung, and none of those behind it");
    assert!(is_live(&site, TAGGED) && is_live(&site, OTHER));
    let saves = |asked: &Asked| matches!(asked, Asked::Request(Request::Save { backup: true }, _));
    assert_eq!(site.asked().into_iter().filter(saves).count(), 1, "the LUN is back, as it was saved");
}

#[actix::test]
async fn r3_what_a_plan_that_was_given_up_has_removed_counts_and_what_is_still_there_does_not() {
    let (site, agent, release) = hanging(&Kept::default()).await;
    pass(&agent).await;
    assert_eq!(site.history().breaker.removed.len(), 2, "nobody knows yet which of them have gone");
    tag_both(&site, true);
    drop(release);
    pass(&agent).await;
    assert_eq!(site.history().breaker.removed.len(), 1);
}

#[actix::test]
async fn r3_what_a_pass_may_have_removed_that_a_reload_has_ended_counts() {
    let kept = Kept::default();
    let (site, agent, release) = hanging(&kept).await;
    let under_way = agent.reconciler.send(actors::reconciler::Tick { confirmed: None });
    let under_way = actix::spawn(under_way);
    while !release.hangs.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let stopped = actix::spawn(agent.stop(Duration::from_secs(60)));
    under_way.await.unwrap().unwrap();
    drop(release);
    assert!(stopped.await.unwrap());
    tag_both(&site, true);
    let agent = site.start_within(HUNG_AFTER, None, &kept);
    pass(&agent).await;
    assert!(!site.history().breaker.removed.is_empty());
}
