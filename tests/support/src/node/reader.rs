//! A compute node that reads all the time, past its page cache.

use super::Disk;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// What became of the reads of one disk.
#[derive(Default)]
struct Counts {
    good: AtomicUsize,
    failed: AtomicUsize,
    wrong: AtomicUsize,
}

/// Reads disks from beginning to end, one after the other, over and over, until it is dropped.
pub struct Reader {
    counts: Arc<Vec<Counts>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Begins to read these disks, which should hold these bytes.
    pub fn of(disks: Vec<(Disk, Vec<u8>)>) -> Self {
        let counts: Arc<Vec<Counts>> = Arc::new(disks.iter().map(|_| Counts::default()).collect());
        let over = Arc::new(AtomicBool::new(false));
        let (told, ended) = (Arc::clone(&counts), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                for ((disk, bytes), counts) in disks.iter().zip(&*told) {
                    let count = match disk.read_direct() {
                        Some(read) if read == *bytes => &counts.good,
                        Some(_) => &counts.wrong,
                        None => &counts.failed,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Reader { counts, over, thread: Some(thread) }
    }

    /// How often each disk has been read with the right bytes.
    pub fn good(&self) -> Vec<usize> {
        self.counts.iter().map(|counts| counts.good.load(Ordering::Relaxed)).collect()
    }

    /// How often each disk could not be read.
    pub fn failed(&self) -> Vec<usize> {
        self.counts.iter().map(|counts| counts.failed.load(Ordering::Relaxed)).collect()
    }

    /// How often any disk had other bytes: a compute node would have run them.
    pub fn wrong(&self) -> usize {
        self.counts.iter().map(|counts| counts.wrong.load(Ordering::Relaxed)).sum()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Disk {
    /// All of its bytes, read past the page cache; `None` if they cannot be read.
    pub fn read_direct(&self) -> Option<Vec<u8>> {
        let source = format!("if={}", self.path().display());
        let dd = Command::new("timeout")
            .args(["--kill-after=5", "60", "dd", &source, "iflag=direct", "bs=64K", "status=none"])
            .output()
            .expect("dd");
        dd.status.success().then_some(dd.stdout)
    }
}
