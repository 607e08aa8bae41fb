//! An agent in a folder of its own, as its caller sees it: signals in, log lines and an exit status out.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Nothing here is waited for longer: far more than a slow machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a configuration whose site answers nothing.
pub struct Site(tempfile::TempDir);

impl Site {
    pub fn new() -> Site {
        let site = Site(tempfile::tempdir().unwrap());
        site.configure("");
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn mkfifo(&self, name: &str) {
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(rustix::fs::CWD, self.path(name), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }

    /// Waits until somebody reads this FIFO, and lets him wait for as long as the answer is kept.
    pub fn hang(&self, fifo: &str) -> OwnedFd {
        use rustix::fs::{Mode, OFlags, open};
        wait_for(&format!("a reader of {fifo}"), || {
            open(self.path(fifo), OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).ok()
        })
    }

    /// The configuration, with further lines.
    pub fn configure(&self, more: &str) {
        let path = |name| self.path(name).display().to_string();
        let text = format!(
            "runtime_dir = {:?}\nstate_dir = {:?}\nims.gateway = \"http://127.0.0.1:1\"\n\
             s3.host = \"127.0.0.1:1\"\ns3.proto = \"http\"\ns3.credential_file = {:?}\nmount.path = {:?}\n\
             lio.configfs = {:?}\nlio.socket = {:?}\n{more}\n",
            path("run"),
            path("state"),
            path("keys"),
            path("mount"),
            path("configfs"),
            path("socket")
        );
        self.write("config.toml", &text);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sbps-marshal"));
        command.arg("--config").arg(self.path("config.toml")).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a subcommand to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts a `run`.
    pub fn start(&self, arguments: &[&str]) -> Agent {
        self.start_with(arguments, &[])
    }

    /// Starts a `run` with these variables.
    pub fn start_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Agent {
        let mut command = self.command(arguments);
        let variables = variables.iter().copied();
        let mut child = command.envs(variables).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (tell, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no event: {line}"));
                let _ = tell.send(event);
            }
        });
        Agent { child, events, seen: Vec::new() }
    }

    /// A `run` that hears signals.
    pub fn running(&self) -> Agent {
        let mut agent = self.start(&["run"]);
        agent.until("started");
        agent
    }
}

/// A running agent; killed at the end of the test if it still is.
pub struct Agent {
    child: Child,
    events: Receiver<Value>,
    seen: Vec<Value>,
}

impl Agent {
    /// Waits for the next event of this name.
    pub fn until(&mut self, name: &str) -> Value {
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let Ok(event) = self.events.recv_timeout(left) else { panic!("no {name} in {:#?}", self.seen) };
            self.seen.push(event.clone());
            if event["event"] == name {
                return event;
            }
        }
    }

    /// The events of this name that came up to now.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.seen.iter().filter(move |event| event["event"] == name)
    }

    /// How many of them.
    pub fn count(&self, name: &str) -> usize {
        self.all(name).count()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit status, when it ends by itself; everything that it logs until then is seen.
    pub fn end(&mut self) -> ExitStatus {
        wait_for("its end", || self.child.try_wait().unwrap());
        while let Ok(event) = self.events.recv_timeout(PATIENCE) {
            self.seen.push(event);
        }
        self.child.wait().unwrap()
    }

    /// SIGTERM, and its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.end().code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a condition holds.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {} s", PATIENCE.as_secs());
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// What a command said on stderr.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
