//! The s3fs mount. s3fs may hang for minutes in a way that no signal ends (FACTS 4.2), so every question goes through
//! one thread that may be lost, and is answered from outside in time.

mod mountinfo;
mod point;
mod probe;

use crate::config;
use actors::model::ObjectKey;
use actors::ports::{Examined, FileFacts, MountError, MountFacts, MountPort};
use point::MountPoint;
use probe::Probe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The s3fs mount. A clone asks through the same thread.
#[derive(Clone, Debug)]
pub struct S3fsMount {
    point: Arc<MountPoint>,
    probe: Probe,
    timeout: Duration,
}

impl S3fsMount {
    /// Starts the probe thread, and fails only if there can be none; the mount itself is not asked yet.
    pub fn new(config: &config::Mount) -> std::io::Result<Self> {
        S3fsMount::described_by("/proc/self/mountinfo".into(), config)
    }

    fn described_by(mountinfo: PathBuf, config: &config::Mount) -> std::io::Result<Self> {
        let point = MountPoint { path: config.path.clone(), fstype: config.fstype.clone(), mountinfo };
        Ok(S3fsMount { point: Arc::new(point), probe: Probe::start()?, timeout: config.timeout })
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

impl MountPort for S3fsMount {
    async fn check(&self) -> Result<MountFacts, MountError> {
        self.ask(self.point.path.display().to_string(), MountPoint::check).await
    }

    async fn inspect(&self, key: &ObjectKey) -> Result<FileFacts, MountError> {
        let key = key.clone();
        self.ask(key.to_string(), move |point| point.inspect(&key)).await
    }

    async fn examine(&self, keys: Vec<ObjectKey>) -> Result<Examined, MountError> {
        let what = self.point.path.display().to_string();
        self.ask(what, move |point| {
            Ok(keys.into_iter().map(|key| (key.clone(), point.examine(&key))).collect())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::time::Instant;

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

    #[tokio::test]
    async fn r14_a_hung_mount_is_answered_in_time_and_serves_again_when_it_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let mount = hanging(dir.path());
        assert!(matches!(mount.check().await, Err(MountError::Hung { .. })));

        // Nobody else waits for it, and nothing is queued behind it.
        let asked = Instant::now();
        for _ in 0..20 {
            assert!(matches!(mount.inspect(&ObjectKey::new("PE/a")).await, Err(MountError::Hung { .. })));
        }
        assert!(asked.elapsed() < mount.timeout);

        let (fifo, stuck) = (dir.path().join("mountinfo"), dir.path().join("stuck"));
        std::fs::rename(&fifo, &stuck).unwrap();
        std::fs::write(&fifo, "").unwrap();
        std::fs::write(&stuck, "").unwrap();
        let back = async {
            while matches!(mount.check().await, Err(MountError::Hung { .. })) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), back).await.unwrap();
        assert!(matches!(mount.check().await, Err(MountError::NotMounted { .. })));
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
}
