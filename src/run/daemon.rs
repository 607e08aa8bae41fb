//! The agent that stays: agents one after the other, signals and systemd.

use super::prepared::{InForce, Prepared};
use super::reload::Reloader;
use super::rules::{cadence, longest_silence, longest_stop};
use super::signals::{Signals, Told};
use super::watchdog::Watchdog;
use super::{RunError, end};
use crate::aside::Aside;
use crate::boot;
use crate::control::{Current, Server};
use crate::notify;
use crate::version::VERSION;
use actors::agent::{Agent, Kept};
use actors::decide::status::Status;
use actors::events::emit;
use actors::reconciler::Resync;
use tokio::sync::watch;

/// What ends an agent.
enum Next {
    Stop,
    Dead,
    Restart(Box<Prepared>),
}

/// What happened.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Told(Told),
    Passed,
    Dead,
}

/// Runs agents until the agent is told to stop.
pub(super) async fn run(
    prepared: Prepared,
    reloader: &Reloader<'_>,
    mut signals: Signals,
    server: Option<&Server>,
) -> Result<(), RunError> {
    let (started, kernel) = (boot::since(), Aside::default());
    let kept = Kept::default();
    let mut next = Box::new(prepared);
    let watchdog = Watchdog::start();
    loop {
        let cadence = cadence(&next.in_force.settings);
        let asked = next.asked();
        let (agent, in_force) = next.start(Some(cadence), &kept);
        if let (Some(server), Some((identity, access))) = (server, asked) {
            server.serve(Current {
                started,
                reconciler: agent.reconciler.clone(),
                status: agent.status.clone(),
                phase: agent.progress.phase(),
                identity,
                access,
                settings: in_force.settings.clone(),
                kernel: kernel.clone(),
            });
        }
        emit!(
            STARTED,
            version = VERSION,
            iqn = in_force.settings.lio.iqn.as_str(),
            bucket = in_force.settings.s3.bucket.as_str(),
            simulated = in_force.is_simulated(),
        );
        watchdog.watch(&agent, longest_silence(&in_force.settings));
        notify::ready();
        let outcome = serve(&agent, &in_force, reloader, &mut signals).await;
        if matches!(outcome, Next::Stop) {
            notify::stopping(longest_stop(&in_force.settings));
        }
        server.inspect(|server| server.pause());
        let ended = end(agent, &in_force.settings).await;
        match after(outcome, ended)? {
            Some(prepared) => next = prepared,
            None => return Ok(()),
        }
    }
}

/// Passes happen by themselves; this hears signals and tells systemd how things are.
async fn serve(agent: &Agent, in_force: &InForce, reloader: &Reloader<'_>, signals: &mut Signals) -> Next {
    let mut status = agent.status.clone();
    loop {
        match hear(signals, &mut status).await {
            Heard::Told(Told::Stop) => return Next::Stop,
            Heard::Dead => return Next::Dead,
            Heard::Passed => notify::status(&status.borrow_and_update().to_string()),
            Heard::Told(Told::Reload) => {
                notify::reloading();
                // What is read may hang; a stop is heard meanwhile.
                let prepared = tokio::select! {
                    biased;
                    () = signals.stop() => return Next::Stop,
                    read = reloader.read(in_force) => read,
                };
                if let Some(prepared) = prepared {
                    return Next::Restart(prepared);
                }
                agent.reconciler.do_send(Resync { reason: "sighup" });
                notify::ready();
            }
        }
    }
}

/// A signal first: a stop may have come while the agent before this one ended.
async fn hear(signals: &mut Signals, status: &mut watch::Receiver<Status>) -> Heard {
    tokio::select! {
        biased;
        told = signals.next() => Heard::Told(told),
        changed = status.changed() => if changed.is_ok() { Heard::Passed } else { Heard::Dead },
    }
}

/// Nothing starts beside an agent that has not ended: two sessions would undo each other's work. Then the process ends,
/// and systemd starts the next one.
fn after(outcome: Next, ended: bool) -> Result<Option<Box<Prepared>>, RunError> {
    match outcome {
        Next::Stop => Ok(None),
        Next::Dead => Err(RunError::Dead),
        Next::Restart(_) if !ended => Err(RunError::Stuck),
        Next::Restart(prepared) => Ok(Some(prepared)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};
    use crate::run::Backend;

    fn restart() -> Next {
        let settings = load(&Sources::default()).unwrap().settings;
        let prepared = Box::new(Prepared::make(settings, Backend::Simulated, None).unwrap());
        Next::Restart(prepared)
    }

    #[test]
    fn m12_no_cast_starts_beside_one_that_has_not_ended() {
        assert!(matches!(after(restart(), false), Err(RunError::Stuck)));
        assert!(after(restart(), true).unwrap().is_some());
    }

    #[test]
    fn a_stop_is_no_error_although_a_command_did_not_end_in_time() {
        assert!(after(Next::Stop, false).unwrap().is_none());
    }

    /// Panics when it is told to.
    struct Fragile(#[expect(dead_code, reason = "it lives as long as the actor does")] watch::Sender<Status>);

    impl actix::Actor for Fragile {
        type Context = actix::Context<Self>;
    }

    #[derive(actix::Message)]
    #[rtype(result = "()")]
    struct Break;

    impl actix::Handler<Break> for Fragile {
        type Result = ();
        fn handle(&mut self, _: Break, _: &mut Self::Context) {
            panic!("this is what the test wants to see");
        }
    }

    #[test]
    fn m2_an_actor_that_panics_takes_its_status_with_it_and_the_agent_hears_that() {
        actix::System::new().block_on(async {
            let (sender, mut status) = watch::channel(Status::default());
            let fragile = actix::Actor::start(Fragile(sender));
            let mut signals = Signals::catch().unwrap();
            fragile.do_send(Break);
            assert_eq!(hear(&mut signals, &mut status).await, Heard::Dead);
        });
    }

    #[tokio::test]
    async fn m2_an_agent_whose_reconciler_has_died_is_heard_and_ends_with_an_error() {
        let mut signals = Signals::catch().unwrap();
        let (sender, mut status) = watch::channel(Status::default());
        sender.send_replace(Status::default());
        assert_eq!(hear(&mut signals, &mut status).await, Heard::Passed);
        status.mark_unchanged();
        drop(sender);
        assert_eq!(hear(&mut signals, &mut status).await, Heard::Dead);
        assert!(matches!(after(Next::Dead, true), Err(RunError::Dead)));
    }
}
