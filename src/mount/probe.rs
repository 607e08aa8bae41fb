//! One thread that may hang, for all that may not.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

type Job = (Box<dyn FnOnce() + Send>, OwnedSemaphorePermit);

/// Answers blocking questions one after the other, on a thread of its own. A thread in the D state cannot be killed: so
/// there is never a second one, and never a queue behind one that hangs.
#[derive(Clone, Debug)]
pub struct Probe {
    jobs: mpsc::Sender<Job>,
    turn: Arc<Semaphore>,
    busy_since: Arc<Mutex<Option<Instant>>>,
}

impl Probe {
    /// The thread lives until the probe is dropped, or for as long as its last question hangs.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let busy_since = Arc::new(Mutex::new(None));
        let busy = Arc::clone(&busy_since);
        std::thread::Builder::new().name("mount-probe".to_owned()).spawn(move || {
            for (job, turn) in queue {
                set(&busy, Some(Instant::now()));
                job();
                set(&busy, None);
                drop(turn);
            }
        })?;
        Ok(Probe { jobs, turn: Arc::new(Semaphore::new(1)), busy_since })
    }

    /// The answer, if it comes within the deadline. The deadline starts when the question's turn comes; one whose turn
    /// does not come because an earlier question hangs gets no answer either.
    pub async fn ask<T: Send + 'static>(
        &self,
        deadline: Duration,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = loop {
            if self.busy_for().is_some_and(|busy| busy >= deadline) {
                return None;
            }
            let turn = Arc::clone(&self.turn).acquire_owned();
            if let Ok(turn) = tokio::time::timeout(deadline, turn).await {
                break turn.ok()?;
            }
        };
        let (answer, answered) = oneshot::channel();
        // Whoever asked may have given up by the time there is an answer.
        let job = Box::new(move || drop(answer.send(question())));
        self.jobs.send((job, turn)).ok()?;
        tokio::time::timeout(deadline, answered).await.ok()?.ok()
    }

    fn busy_for(&self) -> Option<Duration> {
        self.busy_since.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }
}

fn set(busy: &Mutex<Option<Instant>>, since: Option<Instant>) {
    *busy.lock().unwrap_or_else(PoisonError::into_inner) = since;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_questions_at_once_wait_for_their_turn_and_each_is_answered() {
        let probe = Probe::start().unwrap();
        let deadline = Duration::from_secs(5);
        let ask = |n: u32| probe.ask(deadline, move || (n, std::thread::current().id()));
        let (a, b, c) = tokio::join!(ask(1), ask(2), ask(3));
        let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
        assert_eq!((a.0, b.0, c.0), (1, 2, 3));
        assert!(a.1 == b.1 && b.1 == c.1, "one thread");
    }
}
