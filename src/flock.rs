//! Who has locked a file with flock(2), as the kernel tells it in /proc/locks.

use std::fs::{self, File};

use rustix::fs::{Stat, fstat, major, minor};

const LOCKS_FILE: &str = "/proc/locks";

/// The process that has locked this file; `None` if that is not to be seen.
pub fn owner(file: &File) -> Option<u32> {
    let stat = fstat(file).ok()?;
    let locks = fs::read_to_string(LOCKS_FILE).ok()?;
    held(&locks).find(|lock| lock.is_of(&stat)).map(|lock| lock.pid)
}

/// Whether this very process has locked this file. By the inode alone: some file systems (btrfs) show another device in
/// stat(2) than here.
pub fn is_owner(pid: u32, file: &File) -> bool {
    let (Ok(stat), Ok(locks)) = (fstat(file), fs::read_to_string(LOCKS_FILE)) else { return false };
    held(&locks).any(|lock| lock.pid == pid && lock.inode == stat.st_ino)
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
    fn a_file_has_its_locker_for_owner_and_nobody_else() {
        let file = tempfile::tempfile().unwrap();
        let this = std::process::id();
        assert!(!is_owner(this, &file));
        file.lock().unwrap();
        assert!(is_owner(this, &file) && !is_owner(1, &file));
        assert!(!is_owner(this, &tempfile::tempfile().unwrap()));
    }
}
