//! Time in tests: a clock that a test moves, and waiting for what has to come.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// So long (of real time) a test waits for what comes at once on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time of tokio, standing still unless the test moves it.
///
/// A paused clock moves by itself as soon as the runtime has nothing to do, and it knows nothing of the thread of Lio.
/// While a blocking task is under way it does not: so there is one.
pub struct Clock {
    _held: Sender<()>,
}

impl Clock {
    pub fn stop() -> Self {
        let (held, end) = channel::<()>();
        drop(tokio::task::spawn_blocking(move || end.recv()));
        tokio::time::pause();
        Clock { _held: held }
    }

    /// It is so much later; what was to happen by then happens now. A millisecond more: tokio's timers are whole ones,
    /// rounded up.
    pub async fn advance(&self, by: Duration) {
        tokio::time::advance(by + Duration::from_millis(1)).await;
        settle().await;
    }
}

/// Whatever can happen without a word from outside has happened: no message is on its way between actors. The thread of
/// Lio is outside.
pub async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// What has to come, whether the clock stands still or not.
pub async fn in_time<F: Future>(what: F) -> F::Output {
    let (done, ended) = channel::<()>();
    let (late, too_late) = oneshot::channel();
    std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = late.send(());
        }
    });
    tokio::select! {
        biased;
        output = what => {
            drop(done);
            output
        }
        _ = too_late => panic!("it never comes"),
    }
}
