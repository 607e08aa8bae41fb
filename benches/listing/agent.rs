//! The agent's program beside stand-ins, measured in three passes.

use super::{IMAGES, id};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};
use support::configfs::Tree;
use support::node::BUCKET;
use tokio::runtime::Runtime;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// In /proc, on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// One pass.
pub struct Measured {
    /// From the signal that asks for it (of the first one: from the start of the program) to its summary.
    pub took: Duration,
    /// Of the agent's process, user and system.
    pub cpu: Duration,
    /// Pages of listings that were read.
    pub pages: usize,
    /// Other objects that were read.
    pub objects: usize,
    /// The most memory that the process has ever had.
    pub peak_kib: u64,
}

/// Starts the agent, has it pass three times, and stops it.
pub fn measure(runtime: &Runtime, s3: &str) -> Vec<Measured> {
    let ims = runtime.block_on(ims());
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    Tree::recorded().grow(&dir.path().join("configfs"));
    fs::write(path("keys"), "vmtest:vmtest-secret\n").expect("a key file");
    let (proto, host) = s3.split_once("://").expect("a URL");
    let config = format!(
        "runtime_dir = {:?}\nstate_dir = {:?}\nscan.frequency = 3600\nscan.tag_frequency = 3600\nlog.level = \"debug\"\n\
         ims.gateway = {:?}\nspire.mode = \"none\"\ns3.host = {host:?}\ns3.proto = {proto:?}\ns3.timeout = 600\n\
         s3.credential_file = {:?}\nmount.path = {:?}\nlio.configfs = {:?}\nlio.socket = {:?}\nlio.save_file = {:?}\n",
        path("run"),
        path("state"),
        ims.uri(),
        path("keys"),
        path("mount"),
        path("configfs"),
        path("socket"),
        path("saveconfig.json"),
    );
    fs::write(path("config.toml"), config).expect("the configuration");
    let begun = Instant::now();
    let mut agent = Agent::start(&path("config.toml"));
    let mut passes = vec![agent.pass(begun, Duration::ZERO)];
    for _ in 0..2 {
        let (begun, cpu) = (Instant::now(), agent.cpu());
        kill_process(Pid::from_child(&agent.child), Signal::HUP).expect("the agent");
        passes.push(agent.pass(begun, cpu));
    }
    passes
}

/// Lists the images, all tagged.
async fn ims() -> MockServer {
    let record = |id: String| {
        let link = json!({"path": format!("s3://{BUCKET}/{id}/manifest.json"), "etag": "", "type": "s3"});
        json!({"id": id, "name": id, "link": link, "metadata": {"sbps-project": "true"}})
    };
    let images: Vec<Value> = (0..IMAGES).map(|n| record(id(n))).collect();
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(images)).mount(&server).await;
    server
}

struct Agent {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Agent {
    fn start(config: &str) -> Self {
        let program = std::env::var("SBPS_MARSHAL").expect("SBPS_MARSHAL names the program to be measured");
        let mut run = Command::new(program);
        let mut child =
            run.args(["run", "--config", config]).stderr(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Agent { child, lines }
    }

    /// Reads its log to the next summary.
    fn pass(&mut self, begun: Instant, cpu: Duration) -> Measured {
        let (mut pages, mut objects) = (0, 0);
        for line in self.lines.by_ref() {
            let event: Value = serde_json::from_str(&line.expect("its log")).expect("an event");
            match event["message"].as_str() {
                Some("S3 page") => pages += 1,
                Some("S3 object") => objects += 1,
                _ => {}
            }
            if event["event"] == "pass_summary" {
                let unknown = event["unknown"].to_string();
                assert!(!unknown.contains("s3:") && !unknown.contains("ims:"), "{event}");
                let took = begun.elapsed();
                return Measured { took, cpu: self.cpu() - cpu, pages, objects, peak_kib: self.peak_kib() };
            }
        }
        panic!("the agent has ended");
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("the agent's process")
    }

    fn peak_kib(&self) -> u64 {
        let status = self.proc("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        // After the name, which may hold anything: utime and stime are fields 14 and 15.
        let fields = stat.rsplit_once(')').expect("a name").1;
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
