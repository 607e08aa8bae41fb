//! A targetclid that behaves: it does what it is told, on a node's configfs in a scratch folder, with the traps of the
//! real one. For scripts of what it should be asked there is [`crate::targetclid`].
//!
//! Its traps: one client at a time; no framing, and `%` between commands; its end marker anywhere ends the session; it
//! remembers HBA indices and its tree until `/ refresh`; a file that is missing stops every create; a LUN folder
//! without a link stops every LUN and every save; a command whose client has gone is carried out all the same; a
//! client that goes without a farewell costs a traceback and a file in /tmp; on SIGTERM 2.1.x closes its listening socket,
//! while systemd's copy stays, and ends with the session under way; 3.0.x ignores it meanwhile.

mod kernel;
mod shell;

pub use kernel::{Kernel, Store};

use shell::Shell;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

/// How a client takes its leave.
const FAREWELL: &[u8] = b"-END@OF@DATA-";

/// What rtslib says of a LUN that leads nowhere.
const BROKEN_LINK: &str = "Broken LUN in configFS, no storage object";

/// Whoever waits so long for the daemon waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// The one target of the node.
pub const IQN: &str = "iqn.2023-06.csm.iscsi:vm1";

/// The running daemon.
#[derive(Debug)]
pub struct Targetclid {
    socket: PathBuf,
    kernel: Kernel,
    shared: Arc<Shared>,
    /// Its copy of the listening socket: it is given to the daemon, and so the one without O_CLOEXEC.
    systemds: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    shell: Shell,
    heard: Vec<String>,
    accepted: usize,
    litter: usize,
    /// It stops before the next command that has this in it.
    freeze_at: Option<String>,
    frozen: bool,
    thread_dies: bool,
    /// The daemon's own copy; `None` once it has been told to stop.
    listener: Option<Arc<UnixListener>>,
    /// Its process has ended.
    ended: bool,
    stopping: bool,
    client: Option<UnixStream>,
}

impl Targetclid {
    /// On a fresh node: `target/`, `targetclid.sock` and `saveconfig.json` are in this folder. The socket takes
    /// connections when this returns.
    pub fn start(folder: &Path) -> Self {
        Targetclid::start_at(folder, &folder.to_string_lossy(), Path::new("/"))
    }

    /// The same with another folder for saveconfig.json, and with all files of the node below another root.
    pub fn start_at(folder: &Path, dbroot: &str, disk: &Path) -> Self {
        let kernel = Kernel::new(&folder.join("target"), IQN, 1, dbroot);
        let socket = folder.join("targetclid.sock");
        let listener = UnixListener::bind(&socket).expect("the scratch folder takes a socket");
        let systemds = rustix::io::dup(&listener).expect("one more file");
        let state = State {
            shell: Shell::new(kernel.clone(), IQN, 1, dbroot, disk.to_owned()),
            heard: Vec::new(),
            accepted: 0,
            litter: 0,
            freeze_at: None,
            frozen: false,
            thread_dies: false,
            listener: Some(Arc::new(listener)),
            ended: false,
            stopping: false,
            client: None,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let thread = Some(shared.start());
        Targetclid { socket, kernel, shared, systemds, thread }
    }

    /// From now on it is of this version.
    pub fn set_version(&self, version: &'static str) {
        self.shared.lock().shell.version = version;
    }

    /// SIGTERM while a client is served.
    pub fn terminate(&self) {
        let mut state = self.shared.lock();
        assert!(state.client.is_some(), "nobody is served");
        if state.shell.version.starts_with("2.") {
            state.listener = None;
        }
    }

    /// Whether its process has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.lock().ended
    }

    /// systemd starts it again, with its copy of the socket.
    pub fn start_again(&mut self) {
        if let Some(ended) = self.thread.take() {
            ended.join().expect("it has not panicked");
        }
        {
            let mut state = self.shared.lock();
            let listener = self.systemds.try_clone().expect("one more file");
            (state.listener, state.ended) = (Some(Arc::new(listener.into())), false);
            state.shell.refresh();
        }
        self.thread = Some(self.shared.start());
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The node's LIO, for somebody else than the daemon's.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// From now on root has preferences, as after the first plain `targetcli`.
    pub fn set_prefs(&self) {
        self.shared.lock().shell.prefs = true;
    }

    /// Every command it has carried out or is at.
    pub fn heard(&self) -> Vec<String> {
        self.shared.lock().heard.clone()
    }

    /// Connections that it has accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.lock().accepted
    }

    /// Tracebacks so far, each with a file left in /tmp.
    pub fn litter(&self) -> usize {
        self.shared.lock().litter
    }

    /// Stops before the next command that has this in it, until [`Targetclid::thaw`].
    pub fn freeze_at(&self, text: &str) {
        self.shared.lock().freeze_at = Some(text.to_owned());
    }

    /// Returns when it has stopped there.
    pub fn wait_until_frozen(&self) {
        self.wait_until(|daemon| daemon.shared.lock().frozen);
    }

    /// Goes on.
    pub fn thaw(&self) {
        let mut state = self.shared.lock();
        (state.freeze_at, state.frozen) = (None, false);
        self.shared.changed.notify_all();
    }

    /// The thread of the next client dies before it has answered anything (an empty prefs.bin, facts P22): its
    /// connection stays open and silent until the next client is accepted.
    pub fn let_a_thread_die(&self) {
        self.shared.lock().thread_dies = true;
    }

    /// Returns when a condition is met.
    pub fn wait_until(&self, condition: impl Fn(&Targetclid) -> bool) {
        let begun = Instant::now();
        while !condition(self) {
            assert!(begun.elapsed() < PATIENCE, "the daemon did not come to that");
            // A step of its own, or a little later all the same.
            let step = self.shared.changed.wait_timeout(self.shared.lock(), Duration::from_millis(10));
            drop(step.expect("nobody has panicked with it"));
        }
    }
}

impl Drop for Targetclid {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stopping = true;
            if let Some(client) = &state.client {
                let _ = client.shutdown(std::net::Shutdown::Both);
            }
            self.shared.changed.notify_all();
        }
        let _wakes = UnixStream::connect(&self.socket);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody has panicked with it")
    }

    fn start(self: &Arc<Self>) -> JoinHandle<()> {
        let shared = Arc::clone(self);
        spawn(move || {
            shared.serve_all();
            shared.lock().ended = true;
            shared.changed.notify_all();
        })
    }

    /// The main loop. What it has accepted last stays open until it accepts the next one, unless it was closed.
    fn serve_all(&self) {
        let mut kept = None;
        loop {
            let Some(listener) = self.lock().listener.clone() else { return };
            let Ok((client, _)) = listener.accept() else { continue };
            // Whoever takes the other one closes it.
            drop(listener);
            drop(kept.take());
            {
                let mut state = self.lock();
                if state.stopping {
                    return;
                }
                state.accepted += 1;
            }
            kept = self.serve(client);
        }
    }

    /// `client_thread`. The connection comes back if the thread has died with it.
    fn serve(&self, mut client: UnixStream) -> Option<UnixStream> {
        if std::mem::take(&mut self.lock().thread_dies) {
            return Some(client);
        }
        self.lock().client = client.try_clone().ok();
        let mut received = vec![0; 65535];
        loop {
            let length = client.read(&mut received).unwrap_or(0);
            let data = &received[..length];
            if data.windows(FAREWELL.len()).any(|window| window == FAREWELL) {
                self.lock().client = None;
                return None;
            }
            let reply = self.run(&String::from_utf8_lossy(data));
            let count = i32::try_from(reply.chars().count()).expect("a short reply");
            let answer = [&count.to_ne_bytes()[..], reply.as_bytes()].concat();
            if client.write_all(&answer).is_err() {
                let mut state = self.lock();
                (state.client, state.litter) = (None, state.litter + 1);
                self.changed.notify_all();
                return Some(client);
            }
        }
    }

    /// What is between two `%` is a command; the first exception ends it all, and is text like the rest.
    fn run(&self, data: &str) -> String {
        let mut output = String::new();
        for command in data.split('%') {
            let mut state = self.lock();
            // Nothing is received from a client that has hung up, and that is carried out too.
            if !command.is_empty() {
                state.heard.push(command.to_owned());
            }
            if state.freeze_at.as_ref().is_some_and(|text| command.contains(text)) {
                state.frozen = true;
                self.changed.notify_all();
                let thawed = self.changed.wait_while(state, |state| state.frozen && !state.stopping);
                state = thawed.expect("nobody has panicked with it");
            }
            let outcome = state.shell.run(command);
            self.changed.notify_all();
            match outcome {
                Ok(text) => output.push_str(&text),
                Err(exception) => return format!("{output}{exception}\n"),
            }
        }
        output
    }
}
