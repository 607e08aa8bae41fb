//! SPIRE's two ways over real sockets and processes: a fake agent that speaks gRPC, and helpers that are scripts.

mod helper;
mod workload;

use actors::ports::{PortError, Token, TokenPort};
use base64ct::{Base64UrlUnpadded, Encoding};
use sbps_marshal::config::{Settings, Sources, Spire, load};
use sbps_marshal::identity::{Cached, Ways};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::workload_api::{Answer, WorkloadApi};

const PLAIN: &str = "spiffe://shasta/ncn/workload/sbps-marshal";
const OF_NODE: &str = "spiffe://shasta/ncn/x3000c0s5b0n0/workload/sbps-marshal";
const OF_OTHERS: &str = "spiffe://shasta/ncn/workload/heartbeat";

/// For what is answered.
const LONG: Duration = Duration::from_secs(30);

/// For what is not.
const SHORT: Duration = Duration::from_millis(300);

struct Node(tempfile::TempDir);

impl Node {
    fn new() -> Self {
        Node(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn spire(&self, mode: &str) -> Spire {
        let flags = [
            format!("spire.mode={mode}"),
            format!("spire.agent_sock_path={}", self.path("agent.sock").display()),
            format!("spire.agent_path={}", self.path("helper").display()),
        ];
        let flags = flags.iter().map(|flag| flag.parse().unwrap()).collect();
        let settings: Settings = load(&Sources { flags, ..Sources::default() }).unwrap().settings;
        settings.spire
    }

    fn tokens(&self, mode: &str, limit: Duration) -> Cached<Ways> {
        let ways = Ways::new(self.spire(mode), limit).with_xname(self.path("xname"));
        Cached::new(ways, limit)
    }

    fn agent(&self, answer: Answer) -> WorkloadApi {
        WorkloadApi::start(&self.path("agent.sock"), answer)
    }

    /// Not written by this process: another test that forks meanwhile would keep it open for writing, and what is
    /// cannot be run.
    fn helper(&self, script: &str) {
        let mut install = Command::new("install");
        let install = install.args(["-m", "0755", "/dev/stdin"]).arg(self.path("helper"));
        let mut install = install.stdin(Stdio::piped()).spawn().unwrap();
        write!(install.stdin.take().unwrap(), "#!/bin/sh\n{script}\n").unwrap();
        assert!(install.wait().unwrap().success());
    }

    /// A helper that prints these tokens as spire-agent does, and notes how it was called.
    fn printing_helper(&self, svids: &[(String, String)]) {
        let svids: Vec<_> =
            svids.iter().map(|(id, token)| json!({"hint": "", "spiffe_id": id, "svid": token})).collect();
        let output = json!([{"svids": svids}, {"bundles": {"spiffe://shasta": "{}"}}]);
        let called = self.path("called");
        self.helper(&format!("echo \"$@\" >>{}\ncat <<'END'\n{output}\nEND", called.display()));
    }

    fn called(&self) -> Vec<String> {
        let called = std::fs::read_to_string(self.path("called")).unwrap_or_default();
        called.lines().map(str::to_owned).collect()
    }
}

/// A token of this SPIFFE ID, from now on for so many seconds. The mark keeps two of them apart.
fn svid(id: &str, life: i64, mark: &str) -> (String, String) {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let part = |value: serde_json::Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    let head = part(json!({"alg": "RS256", "kid": "k", "typ": "JWT"}));
    let claims = part(json!({"sub": id, "aud": ["system-compute"], "iat": now, "exp": now + life}));
    (id.to_owned(), format!("{head}.{claims}.{mark}"))
}

fn svids(of: &[(&str, &str)]) -> Answer {
    Answer::Svids(of.iter().map(|(id, mark)| svid(id, 300, mark)).collect())
}

/// The mark of the token.
async fn mark(tokens: &Cached<Ways>, renew: bool) -> String {
    let token: Option<Token> = tokens.token(renew).await.unwrap();
    token.unwrap().reveal().rsplit('.').next().unwrap().to_owned()
}

async fn refusal(tokens: &Cached<Ways>, renew: bool) -> (&'static str, String) {
    let error = tokens.token(renew).await.unwrap_err();
    (error.kind(), error.to_string())
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
