//! One node of a simulated site, with all five actors alive.

#![allow(dead_code, reason = "each test program uses its part")]

mod agent;
pub mod clock;
pub mod lio;

#[allow(unused_imports, reason = "each test program uses its part")]
pub use agent::{Party, Scripted};

use actors::agent::{Agent, Kept, Ports};
use actors::decide::cadence::Deadlines;
use actors::decide::in_use::{UseRule, UsedBy};
use actors::decide::plan::Plan;
use actors::decide::policy::{OnChange, PeRules, Policy};
use actors::decide::removals::Limits;
use actors::decide::status::Status;
use actors::model::{Backstore, Engine, Request, Step};
use actors::reconciler::{Preview, Tick};
use actors::sim::{MOUNT, Sim, site};
use lio::{Moment, WatchedLio};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The second look may come at once: what counts is that there is one.
pub const AT_ONCE: Duration = Duration::from_nanos(1);

/// What a simulated site goes by.
pub fn policy(confirm_after: Duration, max_removal_percent: u8) -> Policy {
    Policy {
        engine: Engine::Targetclid,
        site: site(),
        tagging: true,
        pe: PeRules { prefix: "PE/".into(), suffix: String::new(), on_change: OnChange::Hold },
        limits: Limits {
            confirm_after,
            max_removal_percent,
            max_removals: 3,
            window: Duration::from_secs(3600),
        },
        in_use: UseRule { by: UsedBy::Reads, quiet_period: Duration::from_secs(900) },
        luns: 1..=16383,
        quarantine: Duration::from_secs(86400),
        verify_md5: true,
    }
}

/// Id of the nth image of a generated site.
pub fn id(n: usize) -> String {
    format!("11111111-0000-4000-8000-{n:012}")
}

/// Takes the tag from images of a generated site.
pub fn untag(node: &Node, images: std::ops::Range<usize>) {
    images.for_each(|n| node.sim.tag(&id(n), false));
}

const MINUTE: Duration = Duration::from_secs(60);

/// What a simulated site has time for.
pub const DEADLINES: Deadlines = Deadlines { step: MINUTE, objects: MINUTE, upstream: MINUTE };

/// A fileio backstore that somebody else made.
pub fn foreign(name: &str, file: &str) -> Backstore {
    Backstore {
        plugin: "fileio".into(),
        name: name.into(),
        file: file.into(),
        serial: "11111111-2222-3333-4444-555555555555".into(),
        size: 4096,
        model_alias: true,
        enabled: true,
        inode: 0,
        opened: None,
    }
}

/// Whether a step takes something away.
pub fn deletes(step: &&Request) -> bool {
    matches!(step, Request::Change(Step::DeleteLun { .. }) | Request::Change(Step::DeleteBackstore { .. }))
}

/// A node; passes happen when they are asked for.
pub struct Node {
    pub sim: Sim,
    pub agent: Agent,
}

impl Node {
    pub fn new(sim: Sim) -> Self {
        Node::with_limits(sim, AT_ONCE, 10)
    }

    pub fn with_limits(sim: Sim, confirm_after: Duration, max_removal_percent: u8) -> Self {
        Node::watched(sim, policy(confirm_after, max_removal_percent), DEADLINES, |_| {})
    }

    pub fn with_numbers(sim: Sim, luns: RangeInclusive<u16>) -> Self {
        Node::watched(sim, Policy { luns, ..policy(AT_ONCE, 10) }, DEADLINES, |_| {})
    }

    /// A site whose IMS tags mean nothing.
    pub fn without_tagging(sim: Sim) -> Self {
        Node::watched(sim, Policy { tagging: false, ..policy(AT_ONCE, 10) }, DEADLINES, |_| {})
    }

    /// After each step of targetclid this happens.
    pub fn with_hook(sim: Sim, mut hook: impl FnMut(&Request) + Send + 'static) -> Self {
        Node::watched(sim, policy(AT_ONCE, 10), DEADLINES, move |moment| {
            if let Moment::After(step, _) = moment {
                hook(step);
            }
        })
    }

    /// Somebody hears all that LIO is asked.
    pub fn watched(
        sim: Sim,
        policy: Policy,
        deadlines: Deadlines,
        hook: impl FnMut(Moment<'_>) + Send + 'static,
    ) -> Self {
        let lio = WatchedLio::new(&sim, hook);
        let ports = Ports {
            ims: sim.clone(),
            tokens: sim.clone(),
            s3: sim.clone(),
            mount: sim.clone(),
            history: sim.clone(),
            lio: move || lio.clone(),
        };
        Node { sim, agent: Agent::start(ports, policy, deadlines, None, &Kept::default()) }
    }

    pub async fn pass(&self) -> Status {
        self.pass_confirmed(None).await
    }

    /// So many passes; the status of the last one.
    pub async fn passes(&self, count: usize) -> Status {
        let mut status = Status::default();
        for _ in 0..count {
            status = self.pass().await;
        }
        status
    }

    /// The code by which an operator would confirm what is held.
    pub async fn code(&self) -> Option<String> {
        self.plan().await.tripped.map(|tripped| tripped.code)
    }

    /// Whether an initiator finds a LUN whose file is this key.
    pub fn is_live(&self, key: &str) -> bool {
        let site = self.sim.site();
        let file = format!("{MOUNT}/{key}");
        let names: Vec<&str> =
            site.actual.backstores.iter().filter(|b| b.file == file).map(|b| b.name.as_str()).collect();
        site.actual.luns.iter().any(|lun| names.contains(&lun.name.as_str()))
    }

    /// The events and subjects of what is wrong with the node.
    pub async fn findings(&self) -> Vec<(&'static str, &'static str)> {
        self.plan().await.findings.iter().map(|finding| (finding.condition.event(), finding.kind)).collect()
    }

    pub async fn pass_confirmed(&self, confirmed: Option<String>) -> Status {
        self.agent.reconciler.send(Tick { confirmed }).await.unwrap()
    }

    pub async fn plan(&self) -> Plan {
        self.agent.reconciler.send(Preview).await.unwrap().unwrap().0
    }

    pub fn luns(&self) -> BTreeSet<(u16, String)> {
        self.sim.site().actual.luns.iter().map(|lun| (lun.lun, lun.name.clone())).collect()
    }

    pub fn deletions(&self) -> usize {
        self.sim.site().told.iter().filter(deletes).count()
    }

    /// Commands to targetclid, and objects read.
    pub fn traffic(&self) -> (usize, usize) {
        let site = self.sim.site();
        (site.told.len(), site.got.len())
    }

    pub fn reasons(plan: &Plan) -> Vec<(String, &'static str)> {
        plan.pending.iter().map(|p| (p.image.to_string(), p.reason.kind())).collect()
    }
}
