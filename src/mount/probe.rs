//! A few threads that may hang, for all that may not.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

type Job = (Box<dyn FnOnce() + Send>, OwnedSemaphorePermit);

/// Since when each thread has been at its question.
type BusySince = Arc<Mutex<Vec<Option<Instant>>>>;

/// Answers blocking questions on threads of its own, so many at once. A thread in the D state cannot be killed: so there
/// are never more of them, and never a queue behind those that hang.
#[derive(Clone, Debug)]
pub struct Probe {
    jobs: mpsc::Sender<Job>,
    turns: Arc<Semaphore>,
    busy_since: BusySince,
}

impl Probe {
    /// The threads live until the probe is dropped, or for as long as their last questions hang.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let busy_since: BusySince = Arc::new(Mutex::new(vec![None; threads]));
        for n in 0..threads {
            let (queue, busy) = (Arc::clone(&queue), Arc::clone(&busy_since));
            std::thread::Builder::new().name(format!("mount-probe-{n}")).spawn(move || {
                // The lock is held while waiting for a question, and not while answering it.
                while let Ok((job, turn)) = next(&queue) {
                    set(&busy, n, Some(Instant::now()));
                    job();
                    set(&busy, n, None);
                    drop(turn);
                }
            })?;
        }
        Ok(Probe { jobs, turns: Arc::new(Semaphore::new(threads)), busy_since })
    }

    /// The answer, if it comes within the deadline. The deadline starts when the question's turn comes. While any question
    /// hangs for longer than that, no other is begun: the mount hangs.
    pub async fn ask<T: Send + 'static>(
        &self,
        deadline: Duration,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = loop {
            let longest = self.busy_for();
            if longest >= deadline {
                return None;
            }
            // No longer than until the one that has been at it for longest would be late.
            let turn = Arc::clone(&self.turns).acquire_owned();
            if let Ok(turn) = tokio::time::timeout(deadline - longest, turn).await {
                break turn.ok()?;
            }
        };
        if self.hangs(deadline) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        // Whoever asked may have given up by the time there is an answer.
        let job = Box::new(move || drop(answer.send(question())));
        self.jobs.send((job, turn)).ok()?;
        tokio::time::timeout(deadline, answered).await.ok()?.ok()
    }

    /// Whether a question has taken that long by now, and is not answered yet.
    pub fn hangs(&self, deadline: Duration) -> bool {
        self.busy_for() >= deadline
    }

    /// How long the longest question has taken by now.
    fn busy_for(&self) -> Duration {
        let busy = self.busy_since.lock().unwrap_or_else(PoisonError::into_inner);
        busy.iter().flatten().map(Instant::elapsed).max().unwrap_or_default()
    }
}

fn next(queue: &Mutex<mpsc::Receiver<Job>>) -> Result<Job, mpsc::RecvError> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv()
}

fn set(busy: &Mutex<Vec<Option<Instant>>>, thread: usize, since: Option<Instant>) {
    let mut busy = busy.lock().unwrap_or_else(PoisonError::into_inner);
    busy.get_mut(thread).into_iter().for_each(|slot| *slot = since);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Barrier;

    const DEADLINE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn many_questions_at_once_wait_for_their_turn_and_each_is_answered_by_one_of_the_threads() {
        let probe = Probe::start(3).unwrap();
        let mut asked = tokio::task::JoinSet::new();
        for n in 0..20 {
            let probe = probe.clone();
            asked.spawn(async move { probe.ask(DEADLINE, move || (n, std::thread::current().id())).await });
        }
        let answers: Vec<_> = asked.join_all().await.into_iter().flatten().collect();
        assert_eq!(answers.iter().map(|(n, _)| n).sum::<u32>(), 190);
        assert!(answers.iter().map(|(_, thread)| thread).collect::<HashSet<_>>().len() <= 3);
    }

    #[tokio::test]
    async fn as_many_questions_as_there_are_threads_are_at_it_at_once() {
        let (probe, all) = (Probe::start(3).unwrap(), Arc::new(Barrier::new(3)));
        let ask = || {
            let all = Arc::clone(&all);
            probe.ask(DEADLINE, move || all.wait().is_leader())
        };
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        assert!(a.is_some() && b.is_some() && c.is_some());
    }

    #[tokio::test]
    async fn r14_while_one_question_hangs_for_too_long_none_is_begun_on_the_other_threads() {
        let (probe, deadline) = (Probe::start(2).unwrap(), Duration::from_millis(100));
        let (release, hangs) = mpsc::channel::<()>();
        assert_eq!(probe.ask(deadline, move || hangs.recv().is_ok()).await, None);
        assert_eq!(probe.ask(deadline, || ()).await, None);
        release.send(()).unwrap();
        let answered = async {
            while probe.ask(deadline, || ()).await.is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, answered).await.unwrap();
    }
}
