//! The last look at a file, just before anybody can read from it.

use super::{Mount, of_file};
use crate::decide::last_look::{self, How, NotTheSame};
use crate::model::{ObjectKey, with_causes};
use crate::ports::{MountError, MountPort};
use actix::prelude::*;
use std::sync::mpsc;

/// Request, of the thread that is about to create a LUN: whether the file is still what it was. The answer goes into a
/// channel, because that thread cannot await.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LookAgain {
    /// Which.
    pub key: ObjectKey,
    /// Bytes that it must have.
    pub size: u64,
    /// Whether it may be opened.
    pub how: How,
    /// Where the answer goes.
    pub answer: mpsc::Sender<Result<(), NotTheSame>>,
}

impl<P: MountPort> Handler<LookAgain> for Mount<P> {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, msg: LookAgain, _: &mut Self::Context) -> Self::Result {
        let mount = self.port.clone();
        Box::pin(async move {
            let LookAgain { key, size, how, answer } = msg;
            let look = match how {
                How::Open => open(&*mount, &key, size).await,
                How::WithoutOpening => examine(&*mount, &key, size).await,
            };
            // Whoever asked may have given up.
            let _ = answer.send(look);
        })
    }
}

async fn open(mount: &impl MountPort, key: &ObjectKey, size: u64) -> Result<(), NotTheSame> {
    let facts = mount.inspect(key).await.map_err(|error| of(&error))?;
    last_look::opened(&facts, size)
}

async fn examine(mount: &impl MountPort, key: &ObjectKey, size: u64) -> Result<(), NotTheSame> {
    let mut found = mount.examine(vec![key.clone()]).await.map_err(|error| of(&error))?;
    match found.remove(key) {
        Some(Ok(shown)) => last_look::seen(shown, size),
        Some(Err(error)) => Err(of(&error)),
        None => Err(NotTheSame::Unknown("it was not reached in time".into())),
    }
}

fn of(error: &MountError) -> NotTheSame {
    let detail = with_causes(error);
    match of_file(error) {
        Some(_) => NotTheSame::Changed(detail),
        None => NotTheSame::Unknown(detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Sim;

    const SIZE: usize = 4096;

    /// What both kinds of look say of a file, after this was done to it.
    async fn said(change: impl Fn(&Sim, &ObjectKey)) -> [Result<(), &'static str>; 2] {
        let (sim, key) = (Sim::default(), ObjectKey::new("PE/a"));
        sim.put_squashfs(key.as_str(), SIZE);
        change(&sim, &key);
        let kind = |look: Result<(), NotTheSame>| look.map_err(|why| why.kind());
        [kind(open(&sim, &key, SIZE as u64).await), kind(examine(&sim, &key, SIZE as u64).await)]
    }

    #[actix::test]
    async fn r7_r8_a_file_has_changed_or_the_mount_is_silent_and_only_one_of_them_is_said() {
        assert_eq!(said(|_, _| ()).await, [Ok(()); 2]);
        let changed = [Err("file_changed"); 2];
        assert_eq!(said(|sim, key| drop(sim.put_squashfs(key.as_str(), 8192))).await, changed);
        assert_eq!(said(|sim, key| sim.site().faults.symlinks.extend([key.clone()])).await, changed);
        assert_eq!(said(|sim, key| drop(sim.site().objects.remove(key))).await, changed);
        let silent = [Err("mount_silent"); 2];
        assert_eq!(said(|sim, _| sim.site().faults.mount = true).await, silent);
        assert_eq!(said(|sim, key| sim.site().faults.refused.extend([key.clone()])).await, silent);
    }
}
