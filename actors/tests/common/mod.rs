//! One node of a simulated site, with all five actors alive.

#![allow(dead_code, reason = "each test program uses its part")]

use actors::cast::{Cast, Kept, Ports};
use actors::guard::Limits;
use actors::model::Step;
use actors::pass::Rules;
use actors::plan::{Plan, Policy};
use actors::reconciler::{Preview, Tick};
use actors::sim::{BUCKET, MOUNT, Sim};
use actors::status::Status;
use std::collections::BTreeSet;
use std::time::Duration;

/// The second look may come at once: what counts is that there is one.
pub const AT_ONCE: Duration = Duration::from_nanos(1);

/// What a simulated site goes by.
pub fn rules(confirm_after: Duration, max_removal_percent: u8) -> Rules {
    Rules {
        tagging: true,
        pe_prefix: "PE/".into(),
        policy: Policy {
            bucket: BUCKET.into(),
            mount: MOUNT.into(),
            limits: Limits {
                confirm_after,
                max_removal_percent,
                max_removals: 3,
                window: Duration::from_secs(3600),
            },
            luns: 1..=16383,
            verify_md5: true,
        },
        patience: Duration::from_secs(60),
    }
}

/// Whether a step takes something away.
pub fn deletes(step: &&Step) -> bool {
    matches!(step, Step::DeleteLun { .. } | Step::DeleteBackstore { .. })
}

/// A node; passes happen when they are asked for.
pub struct Node {
    pub sim: Sim,
    pub cast: Cast,
}

impl Node {
    pub fn new(sim: Sim) -> Self {
        Node::with_limits(sim, AT_ONCE, 10)
    }

    pub fn with_limits(sim: Sim, confirm_after: Duration, max_removal_percent: u8) -> Self {
        let lio = sim.clone();
        let ports = Ports {
            ims: sim.clone(),
            tokens: sim.clone(),
            s3: sim.clone(),
            mount: sim.clone(),
            history: sim.clone(),
            lio: move || lio.clone(),
        };
        let cast = Cast::start(
            ports,
            rules(confirm_after, max_removal_percent),
            String::new(),
            None,
            &Kept::default(),
        );
        Node { sim, cast }
    }

    pub async fn pass(&self) -> Status {
        self.pass_confirmed(None).await
    }

    pub async fn pass_confirmed(&self, confirmed: Option<String>) -> Status {
        self.cast.reconciler.send(Tick { confirmed }).await.unwrap()
    }

    pub async fn plan(&self) -> Plan {
        self.cast.reconciler.send(Preview).await.unwrap().unwrap().0
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
        plan.pending.iter().map(|p| (p.label.clone(), p.reason.kind())).collect()
    }
}
