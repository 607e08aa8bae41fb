//! The s3fs mount. s3fs may hang for minutes in a way that no signal ends (facts 4.2), so every question goes through
//! a few threads that may be lost, and is answered from outside in time.

mod beneath;
mod daemon;
mod mountinfo;
mod point;
mod probe;

use crate::config;
use actors::model::ObjectKey;
use actors::model::{FileFacts, MountFacts};
use actors::ports::{Examined, MountError, MountPort};
use daemon::Daemons;
use point::MountPoint;
use probe::Probe;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Files of one question: between two of them others get a turn.
const BATCH: usize = 64;

/// Questions that may be under way at once, and may all hang.
const THREADS: usize = 8;

/// The s3fs mount. A clone asks through the same threads: a mount that hangs costs no more than these, however often the
/// agent is configured anew.
#[derive(Clone, Debug)]
pub struct S3fsMount {
    point: Arc<MountPoint>,
    probe: Probe,
    timeout: Duration,
}

impl S3fsMount {
    /// Starts the probe's threads, and fails only if there can be none; the mount itself is not asked yet.
    pub fn new(config: &config::Mount) -> std::io::Result<Self> {
        S3fsMount::described_by("/proc/self/mountinfo".into(), config)
    }

    fn described_by(mountinfo: PathBuf, config: &config::Mount) -> std::io::Result<Self> {
        let (path, fstype) = (config.path.clone(), config.fstype.clone());
        let point = MountPoint { path, fstype, mountinfo, daemons: Daemons::below("/proc") };
        Ok(S3fsMount { point: Arc::new(point), probe: Probe::start(THREADS)?, timeout: config.timeout })
    }

    /// Its files.
    pub fn files(&self) -> Files {
        Files(self.clone())
    }

    async fn ask<T: Send + 'static>(
        &self,
        what: String,
        question: impl FnOnce(&MountPoint) -> Result<T, MountError> + Send + 'static,
    ) -> Result<T, MountError> {
        let point = Arc::clone(&self.point);
        let answer = self.probe.ask(self.timeout, move || question(&point)).await;
        answer.unwrap_or(Err(MountError::Hung { what }))
    }
}

/// The files of the mount, for the thread of LIO.
#[derive(Clone, Debug)]
pub struct Files(S3fsMount);

impl Files {
    /// The regular file that this path is, beneath the mount with no symlink and no mount crossed on the way (R8), open but
    /// not to be read; and its size in bytes.
    pub fn open(&self, file: &Path) -> Result<(OwnedFd, u64), MountError> {
        let S3fsMount { point, probe, timeout } = &self.0;
        let (point, path) = (Arc::clone(point), file.to_owned());
        let opened = probe.ask_and_wait(*timeout, move || point.open_file(&path));
        opened.unwrap_or_else(|| Err(MountError::Hung { what: file.display().to_string() }))
    }
}

impl MountPort for S3fsMount {
    async fn check(&self) -> Result<MountFacts, MountError> {
        self.ask(self.point.path.display().to_string(), MountPoint::check).await
    }

    async fn inspect(&self, key: &ObjectKey) -> Result<FileFacts, MountError> {
        let key = key.clone();
        self.ask(key.to_string(), move |point| point.inspect(&key)).await
    }

    /// Each batch stops after half of its deadline, so that a mount which is slow, and answers, is not called hung; after
    /// one that did, no others are begun.
    async fn examine(&self, keys: Vec<ObjectKey>) -> Result<Examined, MountError> {
        let mut examined = Examined::new();
        if self.probe.hangs(self.timeout) {
            return Err(MountError::Hung { what: self.point.path.display().to_string() });
        }
        for round in keys.chunks(BATCH) {
            let mut under_way = JoinSet::new();
            // All of them have the time of one: s3fs may answer one after the other (facts 4.6).
            for batch in round.chunks(BATCH.div_ceil(THREADS)) {
                let (mount, asked, half) = (self.clone(), batch.to_vec(), self.timeout / 2);
                under_way.spawn(async move {
                    let what = mount.point.path.display().to_string();
                    mount.ask(what, move |point| point.examine(asked, Instant::now() + half)).await
                });
            }
            // None of them panics.
            while let Some(Ok(found)) = under_way.join_next().await {
                examined.extend(found?);
            }
            if !round.iter().all(|key| examined.contains_key(key)) {
                break;
            }
        }
        Ok(examined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::ports::PortError;
    use rustix::fs::{CWD, FileType, Mode, major, minor, mknodat};
    use std::os::unix::fs::MetadataExt;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// A mount that hangs for real: its mountinfo is a FIFO, and opening that blocks until somebody writes to it.
    fn hanging(dir: &std::path::Path) -> S3fsMount {
        let fifo = dir.join("mountinfo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let config = config::Mount {
            path: dir.to_owned(),
            timeout: Duration::from_millis(100),
            fstype: "fuse.s3fs".to_owned(),
        };
        S3fsMount::described_by(fifo, &config).unwrap()
    }

    /// What a question is answered without any wait: `None` if the answer is not there at once.
    fn at_once<T>(question: impl Future<Output = T>) -> Option<T> {
        match pin!(question).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    /// Within a minute, which no machine is too slow for.
    async fn until<T>(mut condition: impl AsyncFnMut() -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(value) = condition().await {
                    return value;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap()
    }

    #[tokio::test]
    async fn r14_a_hung_mount_is_answered_in_time_and_serves_again_when_it_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let mount = hanging(dir.path());
        assert!(matches!(mount.check().await, Err(MountError::Hung { .. })));

        // Nobody else waits for it, and nothing is queued behind it, whoever asks.
        until(async || at_once(mount.check())).await.unwrap_err();
        let again = mount.clone();
        for _ in 0..20 {
            let (key, keys) = (ObjectKey::new("PE/a"), vec![ObjectKey::new("PE/a"); 200]);
            assert!(matches!(at_once(mount.inspect(&key)), Some(Err(MountError::Hung { .. }))));
            assert!(matches!(at_once(again.examine(keys)), Some(Err(MountError::Hung { .. }))));
        }

        let (fifo, stuck) = (dir.path().join("mountinfo"), dir.path().join("stuck"));
        std::fs::rename(&fifo, &stuck).unwrap();
        std::fs::write(&fifo, "").unwrap();
        std::fs::write(&stuck, "").unwrap();
        let answer = until(async || mount.check().await.err().filter(|e| e.kind() != "hung")).await;
        assert!(matches!(answer, MountError::NotMounted { .. }));
    }

    #[tokio::test]
    async fn r14_whoever_waits_for_a_turn_learns_that_the_question_before_hangs() {
        let dir = tempfile::tempdir().unwrap();
        let mount = hanging(dir.path());
        let (first, second, third) = tokio::join!(mount.check(), mount.check(), mount.check());
        for answer in [first, second, third] {
            assert!(matches!(answer, Err(MountError::Hung { .. })));
        }
        std::fs::write(dir.path().join("mountinfo"), "").unwrap();
    }

    #[tokio::test]
    async fn a_look_at_more_files_than_one_question_may_have_reaches_them_all() {
        let dir = tempfile::tempdir().unwrap();
        let mountinfo = dir.path().join("mountinfo");
        let path = dir.path().join("mount");
        std::fs::create_dir(&path).unwrap();
        let device = std::fs::metadata(&path).unwrap().dev();
        let (major, minor, shown) = (major(device), minor(device), path.display());
        std::fs::write(&mountinfo, format!("9 1 {major}:{minor} / {shown} rw - fuse.s3fs x rw\n")).unwrap();
        let config =
            config::Mount { path, timeout: Duration::from_secs(3600), fstype: "fuse.s3fs".to_owned() };
        let mount = S3fsMount::described_by(mountinfo, &config).unwrap();
        let keys: Vec<ObjectKey> = (0..=2 * BATCH).map(|n| ObjectKey::new(format!("PE/{n}"))).collect();
        // A key that is asked for twice is no key that was not reached.
        let twice = keys.iter().flat_map(|key| [key.clone(), key.clone()]).collect();
        let examined = mount.examine(twice).await.unwrap();
        assert!(keys.iter().all(|key| matches!(examined[key], Err(MountError::Absent { .. }))));
        assert_eq!(examined.len(), keys.len());
    }
}
