//! /proc: since when the mount's daemon has run. A backstore whose file was opened before that time has its file from an
//! older mount, and can be read no more.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Clock ticks a second in /proc: USER_HZ, which is part of the kernel's ABI and 100 wherever x86_64 and aarch64 run.
const TICKS: u64 = 100;

/// What the kernel keeps of a program's name.
const COMM_BYTES: usize = 15;

/// Finds the daemon of a mount among all processes, and knows it again.
#[derive(Debug)]
pub struct Daemons {
    proc: PathBuf,
    known: Mutex<Option<Known>>,
}

/// The daemon that was found.
#[derive(Debug)]
struct Known {
    /// `st_dev` of its mount.
    device: u64,
    folder: PathBuf,
    since: Duration,
}

impl Daemons {
    /// Below /proc, except in tests.
    pub fn below(proc: impl Into<PathBuf>) -> Self {
        Daemons { proc: proc.into(), known: Mutex::default() }
    }

    /// When the daemon of the mount was started. All processes are asked for their names unless the one that served this
    /// `device` before is still there: then the mount is the same, for a device is not given away while its daemon lives and
    /// LIO has files of it open. Where LIO has none, nothing hangs on the answer.
    pub fn since(&self, device: u64, name: &str, paths: &[&Path]) -> Option<Duration> {
        // Whoever panicked has not left half an entry.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let still = |known: &Known| known.device == device && since_of(&known.folder) == Some(known.since);
        if !known.as_ref().is_some_and(still) {
            let found = find(&self.proc, name, paths);
            *known = found.and_then(|folder| Some(Known { device, since: since_of(&folder)?, folder }));
        }
        known.as_ref().map(|known| known.since)
    }
}

/// The one process that is called `name` and has one of these paths, with or without slashes at its end, as an argument.
/// `None` if there is none, or more than one: after `umount -l` the old daemon lives on for as long as LIO has files of it
/// open, and which is which cannot be told.
fn find(proc: &Path, name: &str, paths: &[&Path]) -> Option<PathBuf> {
    let name = name.as_bytes().get(..COMM_BYTES).unwrap_or(name.as_bytes());
    let folders = std::fs::read_dir(proc).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut daemons = folders.filter(|folder| is_daemon(folder, name, paths));
    match (daemons.next(), daemons.next()) {
        (Some(daemon), None) => Some(daemon),
        _ => None,
    }
}

/// When a process was started, since boot (CLOCK_BOOTTIME).
///
/// Of a mount's daemon it is never later than the first file that was opened on the mount: only the daemon can answer an
/// open, and it was started before it answered anything (s3fs mounts first and goes to the background then; the opens of
/// that moment wait for it). Its ticks are cut, not rounded. So a file that was opened later may be of an older mount and
/// pass for one of this mount, but never the other way round.
fn since_of(folder: &Path) -> Option<Duration> {
    started(&std::fs::read(folder.join("stat")).ok()?)
}

/// The name is looked at first: a process that hangs in its memory management holds up whoever reads its arguments.
fn is_daemon(folder: &Path, name: &[u8], paths: &[&Path]) -> bool {
    let is_process = folder.file_name().is_some_and(|pid| pid.as_bytes().iter().all(u8::is_ascii_digit));
    let read = |file: &str| std::fs::read(folder.join(file)).unwrap_or_default();
    is_process && read("comm").trim_ascii_end() == name && {
        let arguments = read("cmdline");
        let mut arguments = arguments.split(|byte| *byte == 0).filter(|argument| argument.starts_with(b"/"));
        // As paths are compared: a slash at the end, or two in between, make no other folder.
        arguments.any(|argument| paths.contains(&Path::new(OsStr::from_bytes(argument))))
    }
}

/// Field 22 of `4711 (s3fs) S 1 ...`; the name may hold spaces and parentheses.
fn started(stat: &[u8]) -> Option<Duration> {
    let stat = String::from_utf8_lossy(stat);
    let ticks: u64 = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some(Duration::from_millis(ticks * (1000 / TICKS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNT: &str = "/var/lib/cps-local/boot-images";

    /// A made-up /proc.
    struct Proc(tempfile::TempDir);

    impl Proc {
        fn new() -> Self {
            let proc = Proc(tempfile::tempdir().unwrap());
            std::fs::write(proc.0.path().join("uptime"), "100.0 50.0").unwrap();
            proc.runs(1, "systemd", &["/sbin/init"], 0);
            proc
        }

        fn runs(&self, pid: u32, name: &str, arguments: &[&str], ticks: u64) {
            let folder = self.0.path().join(pid.to_string());
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
            std::fs::write(folder.join("cmdline"), arguments.join("\0") + "\0").unwrap();
            let stat =
                format!("{pid} ({name}) S 1 413 413 0 -1 41 156 0 0 0 4 1 0 0 20 0 3 0 {ticks} 211 22 1");
            std::fs::write(folder.join("stat"), stat).unwrap();
        }

        fn since(&self) -> Option<Duration> {
            Daemons::below(self.0.path()).since(1, "s3fs", &[Path::new(MOUNT)])
        }
    }

    #[test]
    fn the_daemon_is_the_process_of_that_name_with_the_mount_among_its_arguments() {
        let proc = Proc::new();
        proc.runs(300, "s3fs", &["s3fs", "other", "/mnt/other", "-o", "rw"], 50);
        proc.runs(310, "sh", &["sh", "-c", "s3fs", MOUNT], 60);
        proc.runs(320, "s3fs", &["s3fs", "boot-images", MOUNT, "-o", "allow_other"], 1806);
        assert_eq!(proc.since(), Some(Duration::from_millis(18_060)));
    }

    #[test]
    fn a_mount_point_is_the_same_with_slashes_at_its_end() {
        let proc = Proc::new();
        proc.runs(320, "s3fs", &["s3fs", "boot-images", "/var/lib//cps-local/boot-images/"], 7);
        assert_eq!(proc.since(), Some(Duration::from_millis(70)));
    }

    #[test]
    fn without_a_daemon_and_with_two_there_is_no_time() {
        let proc = Proc::new();
        assert_eq!(proc.since(), None);
        proc.runs(320, "s3fs", &["s3fs", "boot-images", MOUNT], 100);
        assert!(proc.since().is_some());
        proc.runs(330, "s3fs", &["s3fs", "boot-images", MOUNT], 200);
        assert_eq!(proc.since(), None, "one of them may serve a mount that is no longer there");
        assert_eq!(Daemons::below("/no/such/proc").since(1, "s3fs", &[Path::new(MOUNT)]), None);
    }

    #[test]
    fn a_daemon_that_is_known_is_looked_for_again_when_it_is_gone_or_its_mount_is_another() {
        let proc = Proc::new();
        let daemons = Daemons::below(proc.0.path());
        let since =
            |device| daemons.since(device, "s3fs", &[Path::new(MOUNT)]).map(|since| since.as_millis());
        let ends = |pid: u32| std::fs::remove_dir_all(proc.0.path().join(pid.to_string())).unwrap();
        assert_eq!(since(1), None);
        proc.runs(320, "s3fs", &["s3fs", "boot-images", MOUNT], 100);
        assert_eq!(since(1), Some(1000));
        proc.runs(330, "s3fs", &["s3fs", "boot-images", MOUNT], 200);
        assert_eq!(since(1), Some(1000), "the mount is the same, so its daemon is");
        assert_eq!(since(2), None, "another mount: which of the two is its daemon?");
        ends(320);
        assert_eq!(since(2), Some(2000));
        ends(330);
        assert_eq!(since(2), None);
        proc.runs(330, "s3fs", &["s3fs", "boot-images", MOUNT], 300);
        assert_eq!(since(2), Some(3000), "its number came back");
    }

    #[test]
    fn a_name_of_any_length_and_with_any_characters_is_understood() {
        let proc = Proc::new();
        let kept = "a (b) s3fs-long";
        proc.runs(320, kept, &[MOUNT], 42);
        let since = Daemons::below(proc.0.path()).since(1, "a (b) s3fs-longer", &[Path::new(MOUNT)]);
        assert_eq!(since, Some(Duration::from_millis(420)));
        assert_eq!(started(b"1 (s3fs"), None);
        assert_eq!(started(b"1 (s3fs) S 1 2 3"), None);
    }

    #[test]
    fn this_test_runs_since_the_time_that_the_real_proc_says() {
        let stat = std::fs::read("/proc/self/stat").unwrap();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let now: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let now = Duration::from_secs_f64(now + 0.02);
        let begun = started(&stat).unwrap();
        assert!(begun <= now && now - begun < Duration::from_secs(3600), "{begun:?} of {now:?}");
    }
}
