//! One pass: gather, plan, apply.

use crate::decide::history::History;
use crate::decide::images::ImageList;
use crate::decide::plan::change::Seen;
use crate::decide::plan::{Plan, plan};
use crate::decide::policy::Rules;
use crate::decide::removals::LookTime;
use crate::lio::Apply;
use crate::model::{Cause, ObjectKey, Report, Source};
use crate::reconciler::gather;
use crate::reconciler::gather::{Look, Sources};
use actix::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What a pass came to.
pub(super) struct Outcome {
    pub(super) look: Look,
    pub(super) plan: Arc<Plan>,
    pub(super) report: Report,
}

/// What a look goes by that was before it: the history, what manifests named, and the clock.
pub(super) type Memory = (History, BTreeSet<ObjectKey>, Clock);

/// What a pass and its preview have in common: all that changes nothing.
pub(super) async fn look_and_plan(
    sources: &Sources,
    rules: &Rules,
    (history, named, clock): Memory,
    confirmed: Option<&str>,
) -> Result<(Look, Plan), Cause> {
    let began = clock.now();
    let look = gather::look(sources, rules, named, &history).await?;
    let time = LookTime { began, ended: clock.now() };
    let seen = Seen { desired: &look.desired, actual: &look.actual, live: &look.live, time };
    let mut plan = plan(seen, &history, &rules.policy, confirmed);
    plan.history.proven.clone_from(&look.proven);
    Ok((look, plan))
}

/// One pass: look, plan, apply.
pub(super) async fn run_pass(
    sources: Sources,
    rules: Rules,
    memory: Memory,
    confirmed: Option<String>,
    scan_id: u64,
    progress: Arc<AtomicU64>,
) -> Result<Outcome, Cause> {
    let (look, plan) = look_and_plan(&sources, &rules, memory, confirmed.as_deref()).await?;
    let plan = Arc::new(plan);
    let apply = Apply { plan: plan.clone(), before: look.actual.clone(), scan_id };
    let report = tokio::select! {
        report = sources.apply.send(apply) => report.map_err(gather::gone(Source::Lio))?,
        () = stalled(&progress, rules.patience) => {
            return Err(gather::hung("no step has ended", rules.patience));
        }
    };
    Ok(Outcome { look, plan, report })
}

/// Ends when no step has ended for so long: however many there are, each has its deadline (R14).
async fn stalled(progress: &AtomicU64, patience: Duration) {
    let mut before = progress.load(Ordering::Relaxed);
    loop {
        sleep(patience).await;
        let now = progress.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

/// Id, link and ETag of each image that IMS wants to be projected: a change of this calls for a pass.
pub(super) type WantedImages = BTreeSet<(String, Option<String>, Option<String>)>;

/// Time since boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) base: Duration,
    pub(super) since: Instant,
}

impl Clock {
    pub(super) fn at(base: Duration) -> Self {
        Clock { base, since: Instant::now() }
    }

    pub(super) fn now(&self) -> Duration {
        self.base + self.since.elapsed()
    }
}

/// What IMS wants: a change of this calls for a pass.
pub(super) fn wanted(list: &ImageList, tagging: bool) -> WantedImages {
    let chosen = list.records.iter().filter(|record| record.is_wanted(tagging));
    chosen.map(|record| (record.id.clone(), record.link.clone(), record.link_etag.clone())).collect()
}
