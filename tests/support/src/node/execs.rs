//! Counts the programs that the whole VM starts, as the kernel's tracepoints see them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Counts from its making on.
pub struct Execs {
    instance: PathBuf,
}

impl Execs {
    /// Begins to count.
    pub fn watch() -> Self {
        let instance = PathBuf::from(format!("/sys/kernel/tracing/instances/execs-{}", std::process::id()));
        let _ = fs::remove_dir(&instance);
        fs::create_dir(&instance).expect("a trace instance");
        fs::write(instance.join("buffer_size_kb"), "8192").expect("a trace buffer");
        for event in ["sched_process_fork", "sched_process_exec"] {
            let switch = instance.join(format!("events/sched/{event}/enable"));
            fs::write(switch, "1").unwrap_or_else(|error| panic!("the tracepoint {event}: {error}"));
        }
        Execs { instance }
    }

    /// The file names of all programs started so far, in order.
    pub fn started(&self) -> Vec<String> {
        self.trace().lines().filter_map(executed).map(|(file, _)| file.to_owned()).collect()
    }

    /// The file names of the programs that `pid`, a thread of it or a descendant has started so far. What `pid` itself
    /// executes is not among them: systemd's executor becomes the service by that, and may fork before it does.
    pub fn started_by(&self, pid: u32) -> Vec<String> {
        let mut family = BTreeSet::new();
        let mut files = Vec::new();
        for line in self.trace().lines() {
            if let Some((parent, child)) = forked(line) {
                if parent == pid || family.contains(&parent) {
                    family.insert(child);
                }
            } else if let Some((file, by)) = executed(line)
                && family.contains(&by)
            {
                files.push(file.to_owned());
            }
        }
        files
    }

    fn trace(&self) -> String {
        fs::read_to_string(self.instance.join("trace")).expect("the trace")
    }
}

/// `sched_process_exec: filename=/bin/x pid=7 old_pid=7`: the file, and who has become it.
fn executed(line: &str) -> Option<(&str, u32)> {
    let (_, rest) = line.split_once("sched_process_exec: filename=")?;
    let (file, rest) = rest.split_once(" pid=")?;
    Some((file, rest.split(' ').next()?.parse().ok()?))
}

/// `sched_process_fork: comm=a pid=7 child_comm=a child_pid=8`: parent and child, which may be a thread.
fn forked(line: &str) -> Option<(u32, u32)> {
    let (_, rest) = line.split_once("sched_process_fork: ")?;
    let (parent, child) = rest.split_once(" child_comm=")?;
    let number = |text: &str, name: &str| text.rsplit_once(name)?.1.trim().parse().ok();
    Some((number(parent, " pid=")?, number(child, " child_pid=")?))
}

impl Drop for Execs {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.instance);
    }
}
