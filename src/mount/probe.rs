//! A few threads that may hang, for all that may not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Deadlines for one question while others end: as many as there are threads could each take its whole one, but not when
/// the mount is well.
const EXCUSED: u32 = 3;

type Job = (Box<dyn FnOnce() + Send>, OwnedSemaphorePermit);

/// What the threads are at.
#[derive(Debug)]
struct Busy {
    /// Since when each has been at its question.
    since: Vec<Option<Instant>>,
    /// When a question ended last.
    ended: Option<Instant>,
}

impl Busy {
    /// For how long one is at its question by now, with no other that has ended meanwhile. s3fs may answer one after the
    /// other, whoever asks at once (facts 4.6): that is slow, and no hang. But one alone may hang as well, so that others
    /// excuse it for so long and no longer.
    fn silent_for(&self) -> Duration {
        let longest = self.since.iter().flatten().map(Instant::elapsed).max().unwrap_or_default();
        self.ended.map_or(longest, |ended| longest.min(ended.elapsed()).max(longest / EXCUSED))
    }
}

/// A thread at its question. What ends it, be it a panic, ends this.
struct AtIt<'a>(&'a Mutex<Busy>, usize);

impl<'a> AtIt<'a> {
    fn begin(busy: &'a Mutex<Busy>, thread: usize) -> Self {
        AtIt(busy, thread).set(Some(Instant::now()))
    }

    fn set(self, since: Option<Instant>) -> Self {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        busy.since.get_mut(self.1).into_iter().for_each(|slot| *slot = since);
        drop(busy);
        self
    }
}

impl Drop for AtIt<'_> {
    fn drop(&mut self) {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        busy.since.get_mut(self.1).into_iter().for_each(|slot| *slot = None);
        busy.ended = Some(Instant::now());
    }
}

/// Answers blocking questions on threads of its own, so many at once. A thread in the D state cannot be killed: so there
/// are never more of them, and never a queue behind those that hang.
#[derive(Clone, Debug)]
pub struct Probe {
    jobs: mpsc::Sender<Job>,
    turns: Arc<Semaphore>,
    busy: Arc<Mutex<Busy>>,
}

impl Probe {
    /// The threads live until the probe is dropped, or for as long as their last questions hang.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let busy = Arc::new(Mutex::new(Busy { since: vec![None; threads], ended: None }));
        for n in 0..threads {
            let (queue, busy) = (Arc::clone(&queue), Arc::clone(&busy));
            std::thread::Builder::new().name(format!("mount-probe-{n}")).spawn(move || {
                // The lock is held while waiting for a question, and not while answering it.
                while let Ok((job, turn)) = next(&queue) {
                    let at_it = AtIt::begin(&busy, n);
                    // A panic has been told by then; its question has no answer, and the thread goes on.
                    let _panicked = catch_unwind(AssertUnwindSafe(job));
                    drop((at_it, turn));
                }
            })?;
        }
        Ok(Probe { jobs, turns: Arc::new(Semaphore::new(threads)), busy })
    }

    /// The answer, unless this question, or one before it, takes as long as the deadline with no other ending meanwhile, or
    /// three times as long in any case: then the mount hangs, and no other question is begun.
    pub async fn ask<T: Send + 'static>(
        &self,
        deadline: Duration,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = self.unless_it_hangs(deadline, Arc::clone(&self.turns).acquire_owned()).await?.ok()?;
        if self.hangs(deadline) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        // Whoever asked may have given up by the time there is an answer.
        let job = Box::new(move || drop(answer.send(question())));
        self.jobs.send((job, turn)).ok()?;
        self.unless_it_hangs(deadline, answered).await?.ok()
    }

    /// The same, for a thread that has nothing else to do meanwhile.
    pub fn ask_and_wait<T: Send + 'static>(
        &self,
        deadline: Duration,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().build().ok()?;
        clock.block_on(self.ask(deadline, question))
    }

    /// What comes, unless the mount hangs before it does.
    async fn unless_it_hangs<T>(&self, deadline: Duration, comes: impl Future<Output = T>) -> Option<T> {
        let mut comes = pin!(comes);
        loop {
            let left = deadline.checked_sub(self.silent_for()).filter(|left| !left.is_zero())?;
            if let Ok(come) = tokio::time::timeout(left, &mut comes).await {
                return Some(come);
            }
        }
    }

    /// Whether the mount hangs.
    pub fn hangs(&self, deadline: Duration) -> bool {
        self.silent_for() >= deadline
    }

    fn silent_for(&self) -> Duration {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).silent_for()
    }
}

fn next(queue: &Mutex<mpsc::Receiver<Job>>) -> Result<Job, mpsc::RecvError> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv()
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

    #[test]
    fn a_thread_that_waits_has_its_answer_or_learns_that_the_mount_hangs() {
        let probe = Probe::start(1).unwrap();
        assert_eq!(probe.ask_and_wait(DEADLINE, || 7), Some(7));
        let (release, hangs) = mpsc::channel::<()>();
        assert_eq!(probe.ask_and_wait(Duration::from_millis(100), move || hangs.recv().is_ok()), None);
        release.send(()).unwrap();
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
    async fn a_mount_that_answers_one_after_the_other_is_slow_and_does_not_hang() {
        let (probe, deadline) = (Probe::start(8).unwrap(), Duration::from_millis(200));
        let one_at_a_time = Arc::new(Mutex::new(()));
        let mut asked = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (probe, door) = (probe.clone(), Arc::clone(&one_at_a_time));
            asked.spawn(async move {
                let look = move || {
                    let _turn = door.lock();
                    std::thread::sleep(deadline / 4);
                };
                probe.ask(deadline, look).await
            });
        }
        assert!(asked.join_all().await.iter().all(Option::is_some), "in all it took two deadlines");
    }

    #[tokio::test]
    async fn r14_one_question_that_hangs_while_others_end_is_waited_for_three_deadlines_and_no_longer() {
        let (probe, deadline) = (Probe::start(2).unwrap(), Duration::from_millis(200));
        let (release, hangs) = mpsc::channel::<()>();
        let hung = probe.clone();
        let begun = Instant::now();
        let hung = tokio::spawn(async move { hung.ask(deadline, move || hangs.recv().is_ok()).await });
        while probe.ask(deadline, || ()).await.is_some() {
            tokio::task::yield_now().await;
            assert!(begun.elapsed() < DEADLINE, "others are asked for ever");
        }
        assert_eq!(hung.await.unwrap(), None);
        assert!(begun.elapsed() >= deadline * EXCUSED);
        release.send(()).unwrap();
    }

    #[tokio::test]
    async fn a_question_that_panics_has_no_answer_and_costs_no_thread() {
        let probe = Probe::start(1).unwrap();
        let panics = || -> u32 { panic!("a test says so") };
        assert_eq!(probe.ask(DEADLINE, panics).await, None);
        assert_eq!(probe.ask(DEADLINE, || 7).await, Some(7));
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
