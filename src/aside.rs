//! Questions that may block, asked beside the one thread of the actors.
//!
//! A FIFO or a hung NFS answers none of them and nothing wakes the thread that asked. So it is a thread that nobody
//! joins: tokio's own blocking threads are waited for when the runtime ends, and the process would not.

use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// The longest wait for a small file of the node's own: its configuration, its history.
pub const FILE_LIMIT: Duration = Duration::from_secs(30);

/// Asks one question after the other: while one hangs, the next is not asked, so that no threads pile up.
#[derive(Clone, Debug)]
pub struct Aside {
    turn: Arc<Semaphore>,
}

impl Default for Aside {
    fn default() -> Self {
        Aside { turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Aside {
    /// The answer, if it comes within `limit`; the wait for an earlier question counts.
    pub async fn ask<T: Send + 'static>(
        &self,
        limit: Duration,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let answered = async {
            let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(io::Error::other)?;
            let (answer, answered) = oneshot::channel();
            std::thread::Builder::new().name("aside".to_owned()).spawn(move || {
                // Whoever asked may have given up by now.
                drop(answer.send(question()));
                drop(turn);
            })?;
            answered.await.map_err(io::Error::other)
        };
        let late = |_| {
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs_f32()))
        };
        tokio::time::timeout(limit, answered).await.map_err(late)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[tokio::test]
    async fn an_answer_comes_back_and_a_question_that_panics_is_an_error() {
        let aside = Aside::default();
        assert_eq!(aside.ask(FILE_LIMIT, || 7).await.unwrap(), 7);
        let torn = aside.ask(FILE_LIMIT, || -> u8 { panic!("this is what the test wants to see") }).await;
        assert!(torn.is_err());
        assert_eq!(aside.ask(FILE_LIMIT, || 8).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn m2_a_question_that_hangs_ends_in_time_and_none_is_asked_beside_it() {
        let aside = Aside::default();
        let (go, gone) = channel::<()>();
        let short = Duration::from_millis(20);
        let hung = aside.ask(short, move || gone.recv().is_ok()).await.unwrap_err();
        assert_eq!(hung.kind(), io::ErrorKind::TimedOut);
        // Would it be asked, it would be answered: there is no other reason to wait.
        let waiting = aside.ask(short, || ()).await.unwrap_err();
        assert_eq!(waiting.kind(), io::ErrorKind::TimedOut);
        go.send(()).unwrap();
        aside.ask(FILE_LIMIT, || ()).await.unwrap();
    }
}
