//! A site where a test has a say before each step, and where nobody may open what LIO has open.

use crate::common::lio::{Moment, WatchedLio};
use crate::common::{AT_ONCE, DEADLINES, policy};
use actors::agent::{Agent, Kept, Ports};
use actors::decide::cadence::{Cadence, Deadlines};
use actors::decide::history::History;
use actors::decide::policy::Policy;
use actors::decide::status::Status;
use actors::model::{Backstore, Engine, FileFacts, MountFacts, ObjectKey, Request};
use actors::ports::{Examined, HistoryPort, LioError, MountError, MountPort, Rest};
use actors::reconciler::Tick;
use actors::sim::{Sim, site};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Before = dyn FnMut(&Request) -> Result<(), LioError> + Send;

#[derive(Clone)]
pub struct Watched {
    pub sim: Sim,
    before: Arc<Mutex<Box<Before>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    beside_lio: Arc<Mutex<Vec<ObjectKey>>>,
}

/// What LIO was asked, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    Observe,
    /// And whether it was done.
    Request(Request, bool),
    Rest(Rest),
}

impl Watched {
    pub fn new(sim: Sim) -> Self {
        let nothing: Box<Before> = Box::new(|_| Ok(()));
        Watched {
            sim,
            before: Arc::new(Mutex::new(nothing)),
            asked: Arc::default(),
            beside_lio: Arc::default(),
        }
    }

    /// From now on this happens before each step; an error is the step's.
    pub fn before(&self, before: impl FnMut(&Request) -> Result<(), LioError> + Send + 'static) {
        *self.before.lock().unwrap() = Box::new(before);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The files that were opened while LIO had them open on the same mount.
    pub fn opened_beside_lio(&self) -> Vec<ObjectKey> {
        self.beside_lio.lock().unwrap().clone()
    }

    pub fn start(&self, cadence: Option<Cadence>) -> Agent {
        self.start_within(DEADLINES.step, cadence, &Kept::default())
    }

    /// An agent whose changes this one carries out.
    pub fn start_by(&self, engine: Engine, cadence: Option<Cadence>) -> Agent {
        let policy = Policy { engine, ..policy(AT_ONCE, 10) };
        self.start_as(policy, DEADLINES.step, cadence, &Kept::default())
    }

    /// An agent that takes LIO for hung after so long.
    pub fn start_within(&self, step: Duration, cadence: Option<Cadence>, kept: &Kept) -> Agent {
        self.start_as(policy(AT_ONCE, 10), step, cadence, kept)
    }

    fn start_as(&self, policy: Policy, step: Duration, cadence: Option<Cadence>, kept: &Kept) -> Agent {
        let (sim, noted) = (self.sim.clone(), self.clone());
        let lio = WatchedLio::refusing(&sim, move |moment| noted.note(moment));
        let ports = Ports {
            ims: sim.clone(),
            tokens: sim.clone(),
            s3: sim.clone(),
            mount: self.clone(),
            history: sim,
            lio: move || lio.clone(),
        };
        Agent::start(ports, policy, Deadlines { step, ..DEADLINES }, cadence, kept)
    }

    fn note(&self, moment: Moment<'_>) -> Result<(), LioError> {
        let asked = match moment {
            Moment::Observe => Asked::Observe,
            Moment::Before(step) => return (self.before.lock().unwrap())(step),
            Moment::After(step, done) => Asked::Request(step.clone(), done),
            Moment::Rest(rest) => Asked::Rest(rest),
        };
        self.asked.lock().unwrap().push(asked);
        Ok(())
    }

    /// The stored history.
    pub fn history(&self) -> History {
        let stored = self.sim.site().history.clone().unwrap();
        History::from_bytes(&stored, &self.sim.boot(), Duration::from_secs(3600)).unwrap()
    }
}

pub async fn pass(agent: &Agent) -> Status {
    agent.reconciler.send(Tick { confirmed: None }).await.unwrap()
}

/// So many passes; the status of the last one.
pub async fn passes(agent: &Agent, count: usize) -> Status {
    let mut status = Status::default();
    for _ in 0..count {
        status = pass(agent).await;
    }
    status
}

impl MountPort for Watched {
    async fn check(&self) -> Result<MountFacts, MountError> {
        self.sim.check().await
    }

    async fn inspect(&self, key: &ObjectKey) -> Result<FileFacts, MountError> {
        let file = site().path_of(key);
        let open = {
            let site = self.sim.site();
            let of_this_mount = |live: &Backstore| site.opened.get(&live.name) == Some(&site.device);
            site.actual.backstores.iter().any(|live| live.file == file && of_this_mount(live))
        };
        if open {
            self.beside_lio.lock().unwrap().push(key.clone());
        }
        self.sim.inspect(key).await
    }

    async fn examine(&self, keys: Vec<ObjectKey>) -> Result<Examined, MountError> {
        self.sim.examine(keys).await
    }
}
