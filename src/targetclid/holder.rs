//! The name of whoever is in the way, for a person: `pid 4711 (/usr/bin/python3 /usr/bin/targetcli)`.

use crate::flock;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;

/// Where a name cannot be found out.
pub(super) const SOMEBODY: &str = "another client";

/// A command line is cut here: it has to fit a line of the log.
const LONGEST: usize = 120;

/// The name of the process that has this socket open.
pub(super) fn of_socket(inode: u32) -> Option<String> {
    process_of(inode).map(process)
}

/// The process that has this socket open. A long look, as it goes through every open file of the node: only for a new
/// holder. `None` if it is not to be seen (another PID namespace; no CAP_SYS_PTRACE).
pub(super) fn process_of(inode: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    processes.find(|pid| !files_of(*pid, inode).is_empty())
}

/// Under which numbers a process has this socket open.
pub(super) fn files_of(pid: u32, inode: u32) -> Vec<OsString> {
    let wanted = format!("socket:[{inode}]");
    let is_it = |path: &Path| fs::read_link(path).is_ok_and(|target| target.as_os_str() == wanted.as_str());
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter(|file| is_it(&file.path())).map(|file| file.file_name()).collect()
}

/// The process that has locked this file with flock(2).
pub(super) fn of_lock(file: &File) -> Option<String> {
    flock::owner(file).map(process)
}

fn process(pid: u32) -> String {
    match command_line(pid) {
        Some(line) => format!("pid {pid} ({line})"),
        None => format!("pid {pid}"),
    }
}

fn command_line(pid: u32) -> Option<String> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = readable(&String::from_utf8_lossy(&arguments));
    if !line.is_empty() {
        return Some(line);
    }
    // A kernel thread, or a process that is ending.
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| readable(&name))
}

/// One line, and nothing in it that a terminal would obey.
fn readable(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_one_short_line_that_no_terminal_obeys() {
        assert_eq!(readable("targetcli\0\x1b[2J\0ls\0"), "targetcli  [2J ls");
        assert_eq!(readable(&"é".repeat(200)).chars().count(), LONGEST);
    }
}
