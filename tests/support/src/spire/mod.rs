//! A SPIRE server and agent of our own: in a folder that goes with them, on loopback and Unix sockets. The programs are
//! real; the environment names their folder (SPIRE_BIN).

use spiffe::{JwtBundle, JwtBundleSet, JwtSvid, TrustDomain};
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The one that CSM's tokens are for.
pub const AUDIENCE: &str = "system-compute";

/// The hard link to spire-agent, in our folder.
pub const HELPER: &str = "sbps-marshal-spire-agent";

/// Whose entries reach the agent.
const NODE: &str = "spiffe://shasta/ncn/w001";

const LONG: Duration = Duration::from_secs(120);

/// Both of them, running. They end with this.
pub struct Spire {
    dir: tempfile::TempDir,
    server: Option<Running>,
    agent: Option<Running>,
    /// The key that was rotated out.
    tainted: Option<String>,
}

/// A program; it is killed when this is dropped.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Spire {
    /// With a helper, and without entries.
    pub fn start() -> Self {
        Spire::start_in(&std::env::temp_dir())
    }

    /// In a folder below this one.
    pub fn start_in(parent: &Path) -> Self {
        let dir = tempfile::tempdir_in(parent).unwrap();
        let mut spire = Spire { dir, server: None, agent: None, tainted: None };
        // A copy: the one in the cache may be on another file system.
        fs::copy(binaries().join("spire-agent"), spire.path("spire-agent")).unwrap();
        fs::hard_link(spire.path("spire-agent"), spire.path(HELPER)).unwrap();
        // A port that was free is as much as can be known: somebody else may take it first.
        while !spire.server_started() {}
        let said = spire.server(&["token", "generate", "-spiffeID", NODE]);
        let token = said.lines().find_map(|line| line.strip_prefix("Token: ")).unwrap();
        fs::write(spire.path("join_token"), token.trim()).unwrap();
        spire.start_agent();
        spire
    }

    /// In our folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Of the Workload API.
    pub fn socket(&self) -> PathBuf {
        self.path("agent.sock")
    }

    /// Whether it has, or somebody else has its port.
    fn server_started(&mut self) -> bool {
        self.configure();
        let mut server = Command::new(binaries().join("spire-server"));
        let mut server = self.run(server.args(["run", "-config"]).arg(self.path("server.conf")), "server");
        let port_is_taken = || self.log("server").contains("address already in use");
        let is_healthy = || self.ask_server(&["healthcheck"]).is_ok();
        self.wait_for("server", || is_healthy() || port_is_taken());
        let started = matches!(server.0.try_wait(), Ok(None)) && is_healthy();
        self.server = Some(server).filter(|_| started);
        started
    }

    /// Until it answers. The first time by its join token, then by what it has on its disk.
    pub fn start_agent(&mut self) {
        let mut agent = Command::new(self.path("spire-agent"));
        agent.args(["run", "-config"]).arg(self.path("agent.conf"));
        let token = self.path("join_token");
        if let Ok(token) = fs::read_to_string(&token) {
            agent.args(["-joinToken", &token]);
        }
        self.agent = Some(self.run(&mut agent, "agent"));
        let socket = self.socket();
        self.wait_for("agent", || UnixStream::connect(&socket).is_ok());
        let _ = fs::remove_file(token);
    }

    /// At once, as a crash would.
    pub fn stop_agent(&mut self) {
        self.agent = None;
    }

    /// Lets the program at this path have this identity.
    pub fn add_entry(&self, spiffe_id: &str, program: &str) {
        let selector = format!("unix:path:{program}");
        let entry = ["entry", "create", "-parentID", NODE, "-spiffeID", spiffe_id, "-selector", &selector];
        self.server(&entry);
    }

    /// Signs with a new key from now on, and taints the old one: SPIRE's agent gets new tokens for it. Our
    /// [`bundle`](Spire::bundle) has it no more; SPIRE's own has it until it is revoked.
    pub fn rotate_jwt_key(&mut self) {
        let shown = self.server(&["localauthority", "jwt", "show", "-output", "json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let old = shown["active"]["authority_id"].as_str().unwrap();
        let new = self.server(&["localauthority", "jwt", "prepare", "-output", "json"]);
        let new: serde_json::Value = serde_json::from_str(&new).unwrap();
        let new = new["prepared_authority"]["authority_id"].as_str().unwrap();
        self.server(&["localauthority", "jwt", "activate", "-authorityID", new]);
        self.server(&["localauthority", "jwt", "taint", "-authorityID", old]);
        self.tainted = Some(old.to_owned());
    }

    /// Whose token it is: SPIRE's keys have signed it, for our audience, and it is good for about five minutes.
    pub fn verified(&self, token: &str) -> String {
        verified(token, &self.bundle()).unwrap()
    }

    /// Whether it would not do for this audience.
    pub fn refuses(&self, token: &str, audience: &str) -> bool {
        JwtSvid::parse_and_validate(token, &self.bundle(), &[audience]).is_err()
    }

    /// What its tokens are verified by, as the server has it: not by way of the agent, which is what is tested.
    pub fn bundle(&self) -> JwtBundleSet {
        let shown = self.server(&["bundle", "show", "-format", "spiffe"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let mut bundle = JwtBundle::new(TrustDomain::new("shasta").unwrap());
        let is_good = |key: &&serde_json::Value| {
            key["use"] == "jwt-svid" && key["kid"].as_str() != self.tainted.as_deref()
        };
        for key in shown["keys"].as_array().unwrap().iter().filter(is_good) {
            bundle.add_jwk_authority_json(key.to_string().as_bytes()).unwrap();
        }
        let mut set = JwtBundleSet::new();
        set.add_bundle(bundle);
        set
    }

    fn server(&self, arguments: &[&str]) -> String {
        self.ask_server(arguments).unwrap_or_else(|said| panic!("{arguments:?}: {said}"))
    }

    fn ask_server(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(binaries().join("spire-server"));
        let output =
            command.args(arguments).arg("-socketPath").arg(self.path("server.sock")).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    /// Runs this, with its output in a log of this name.
    pub fn run(&self, command: &mut Command, name: &str) -> Running {
        let log = File::create(self.path(&format!("{name}.log"))).unwrap();
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Running(command.spawn().unwrap())
    }

    fn wait_for(&self, name: &str, is_there: impl Fn() -> bool) {
        let deadline = Instant::now() + LONG;
        while !is_there() {
            assert!(Instant::now() < deadline, "the {name} does not come: {}", self.log(name));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it has said.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    fn configure(&self) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = self.dir.path().display().to_string();
        let fill = |text: &str| text.replace("@DIR@", &dir).replace("@PORT@", &port.to_string());
        fs::write(self.path("server.conf"), fill(include_str!("server.conf"))).unwrap();
        fs::write(self.path("agent.conf"), fill(include_str!("agent.conf"))).unwrap();
    }
}

/// Whose token it is: one of these keys has signed it, for our audience, and it is good for about five minutes.
pub fn verified(token: &str, bundle: &JwtBundleSet) -> Result<String, String> {
    let svid = JwtSvid::parse_and_validate(token, bundle, &[AUDIENCE]).map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let left = u64::try_from(svid.claims().exp()).unwrap_or_default().saturating_sub(now);
    match (1..=300).contains(&left) {
        true => Ok(svid.spiffe_id().to_string()),
        false => Err(format!("it is good for {left} s")),
    }
}

/// Which key has signed it.
pub fn key_of(token: &str) -> String {
    JwtSvid::parse_insecure(token).unwrap().key_id().to_owned()
}

fn binaries() -> PathBuf {
    let dir = std::env::var_os("SPIRE_BIN").expect("SPIRE_BIN: run this by `make test-spire`");
    Path::new(&dir).to_owned()
}
