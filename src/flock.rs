//! Who has locked a file with flock(2), as the kernel tells it in /proc/locks.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::{Stat, fstat, major, minor};

const LOCKS_FILE: &str = "/proc/locks";

/// Bytes; more than the kernel gives with one read, a page. Without room for it the standard library begins with 32.
const ROOM: usize = 1 << 16;

/// So often is a lock looked for that somebody has. From one read to the next the kernel counts the locks: while others
/// are given back it may leave one out.
const LOOKS: u32 = 5;

/// The process that has locked this file, which somebody has; `None` if that is not to be seen.
pub fn owner(file: &File) -> Option<u32> {
    let stat = fstat(file).ok()?;
    (0..LOOKS).find_map(|_| held(&read().ok()?).find(|lock| lock.is_of(&stat)).map(|lock| lock.pid))
}

/// Whether this very process has locked this file. By the inode alone: some file systems (btrfs) show another device in
/// stat(2) than here.
pub fn is_owner(pid: u32, file: &File) -> bool {
    let (Ok(stat), Ok(locks)) = (fstat(file), read()) else { return false };
    held(&locks).any(|lock| lock.pid == pid && lock.inode == stat.st_ino)
}

/// The list, in as few reads as the kernel allows.
fn read() -> io::Result<String> {
    let mut locks = String::with_capacity(ROOM);
    File::open(LOCKS_FILE)?.read_to_string(&mut locks)?;
    Ok(locks)
}

struct Lock<'a> {
    pid: u32,
    /// `fe:00`.
    device: &'a str,
    inode: u64,
}

impl Lock<'_> {
    fn is_of(&self, stat: &Stat) -> bool {
        let device = format!("{:02x}:{:02x}", major(stat.st_dev), minor(stat.st_dev));
        self.inode == stat.st_ino && self.device == device
    }
}

/// `1: FLOCK  ADVISORY  WRITE 3875 fe:00:5611603 0 EOF`; whoever waits for a lock has `->` before its kind. The process
/// is -1 or 0 if it is none of our PID namespace.
fn held(locks: &str) -> impl Iterator<Item = Lock<'_>> {
    locks.lines().filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, "FLOCK", _, _, pid, file, ..] => {
            let (device, inode) = file.rsplit_once(':')?;
            let pid = pid.parse().ok().filter(|pid| *pid != 0)?;
            Some(Lock { pid, device, inode: inode.parse().ok()? })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn only_who_has_a_lock_is_listed_and_not_who_waits_for_it() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 00:1a:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 00:1a:78 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 13 00:1a:77 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 14 00:1a:77 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE -1 00:1a:79 0 EOF\n\
                     5: FLOCK  ADVISORY  WRITE 0 00:1a:80 0 EOF\n";
        let held: Vec<_> = held(locks).map(|lock| (lock.pid, lock.device, lock.inode)).collect();
        assert_eq!(held, [(12, "00:1a", 78), (13, "00:1a", 77)]);
    }

    #[test]
    fn the_owner_of_a_lock_is_found_while_others_take_and_give_back_theirs() {
        let file = tempfile::tempfile().unwrap();
        file.lock().unwrap();
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        tempfile::tempfile().unwrap().lock().unwrap();
                    }
                });
            }
            let found = (0..500).filter(|_| owner(&file) == Some(std::process::id())).count();
            is_done.store(true, Ordering::Relaxed);
            assert_eq!(found, 500);
        });
    }

    #[test]
    fn a_file_has_its_locker_for_owner_and_nobody_else() {
        let file = tempfile::tempfile().unwrap();
        let this = std::process::id();
        assert!(!is_owner(this, &file));
        file.lock().unwrap();
        assert!(is_owner(this, &file) && !is_owner(1, &file));
        assert!(!is_owner(this, &tempfile::tempfile().unwrap()));
    }
}
