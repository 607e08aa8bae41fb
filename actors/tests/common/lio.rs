//! LIO, with somebody at its side who hears all that it is asked, and may hold it up or change the site.

use super::clock::in_time;
use actors::model::{Actual, Backstore, LunEntry, Request, Word};
use actors::ports::{LioError, LioPort, Rest};
use actors::sim::Sim;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// When somebody may step in.
#[derive(Clone, Copy, Debug)]
pub enum Moment<'a> {
    /// configfs is about to be read.
    Observe,
    /// The daemon is about to be told this.
    Before(&'a Request),
    /// It has answered, or was not told; and whether it was done.
    After(&'a Request, bool),
    /// Nothing more is asked for now.
    Rest(Rest),
}

type Hook = Arc<Mutex<dyn FnMut(Moment<'_>) -> Result<(), LioError> + Send>>;

/// The simulated LIO, watched.
#[derive(Clone)]
pub struct WatchedLio {
    sim: Sim,
    hook: Hook,
}

impl WatchedLio {
    pub fn new(sim: &Sim, mut hook: impl FnMut(Moment<'_>) + Send + 'static) -> Self {
        WatchedLio::refusing(sim, move |moment| {
            hook(moment);
            Ok(())
        })
    }

    /// An error before something is done is its answer.
    pub fn refusing(
        sim: &Sim,
        hook: impl FnMut(Moment<'_>) -> Result<(), LioError> + Send + 'static,
    ) -> Self {
        WatchedLio { sim: sim.clone(), hook: Arc::new(Mutex::new(hook)) }
    }

    fn at(&self, moment: Moment<'_>) -> Result<(), LioError> {
        (self.hook.lock().unwrap())(moment)
    }
}

impl LioPort for WatchedLio {
    fn observe(&mut self) -> Result<Actual, LioError> {
        self.at(Moment::Observe)?;
        self.sim.observe()
    }

    fn backstore(&mut self, name: &Word) -> Result<Option<Backstore>, LioError> {
        self.sim.backstore(name)
    }

    fn lun(&mut self, number: u16) -> Result<Option<LunEntry>, LioError> {
        self.sim.lun(number)
    }

    fn apply(&mut self, step: &Request) -> Result<String, LioError> {
        let answer = self.at(Moment::Before(step)).and_then(|()| self.sim.apply(step));
        self.at(Moment::After(step, answer.is_ok()))?;
        answer
    }

    fn rest(&mut self, rest: Rest) {
        self.sim.rest(rest);
        // It rests, whatever is said of it.
        let _ = self.at(Moment::Rest(rest));
    }
}

/// Holds LIO up whenever such a moment comes, until it is let go.
pub fn hang(at: fn(Moment<'_>) -> bool) -> (impl FnMut(Moment<'_>) + Send, Hung) {
    let (begin, begun) = unbounded_channel();
    let (held, release) = channel::<()>();
    let hook = move |moment: Moment<'_>| {
        if at(moment) {
            // A test that has ended needs no word, and gives none.
            let _ = begin.send(());
            let _ = release.recv();
        }
    };
    (hook, Hung { begun, held })
}

/// What is held up.
pub struct Hung {
    begun: UnboundedReceiver<()>,
    held: Sender<()>,
}

impl Hung {
    /// It has come to such a moment, and hangs.
    pub async fn begun(&mut self) {
        in_time(self.begun.recv()).await.unwrap();
    }

    /// It goes on, and hangs no more.
    pub fn let_go(self) {
        drop(self.held);
    }
}
