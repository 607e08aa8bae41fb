//! A real Kubernetes API server over a real etcd, without any node or controller: it says whether it takes an object.

use super::{run, wait_for};
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Duration;

const FOLDER: &str = "/run/kube";
const SERVER: &str = "https://127.0.0.1:6443";
const TOKEN: &str = "of-the-test";
const UNITS: [&str; 2] = ["kube-apiserver", "kube-etcd"];
/// Its program has 100 MB, on an emulated processor.
const START: Duration = Duration::from_secs(300);

/// Runs until it is dropped, and keeps nothing.
pub struct Kube;

impl Kube {
    /// Starts both, and waits until objects can be posted.
    pub fn start() -> Self {
        let kube = Kube;
        fs::create_dir_all(FOLDER).expect("a folder in /run");
        let file = |name: &str| format!("{FOLDER}/{name}");
        fs::write(file("tokens.csv"), format!("{TOKEN},admin,admin,system:masters\n")).expect("the tokens");
        run("openssl", &["genrsa", "-out", &file("accounts.key"), "2048"]);
        let (client, peer) = ("http://127.0.0.1:2379", "http://127.0.0.1:2380");
        unit(
            "kube-etcd",
            "/usr/bin/etcd",
            &[
                format!("--data-dir={}", file("etcd")),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
            ],
        );
        unit(
            "kube-apiserver",
            "/run/vm/bin/kube-apiserver",
            &[
                format!("--etcd-servers={client}"),
                format!("--service-account-key-file={}", file("accounts.key")),
                format!("--service-account-signing-key-file={}", file("accounts.key")),
                "--service-account-issuer=https://kubernetes.default.svc".into(),
                "--bind-address=127.0.0.1".into(),
                "--secure-port=6443".into(),
                // It wants one that is no loopback, and the VM has none. Nobody is told it.
                "--advertise-address=192.0.2.1".into(),
                format!("--cert-dir={}", file("certificates")),
                format!("--token-auth-file={}", file("tokens.csv")),
                "--authorization-mode=RBAC".into(),
                "--service-cluster-ip-range=10.96.0.0/24".into(),
                "--disable-admission-plugins=ServiceAccount".into(),
            ],
        );
        wait_for("the API server has its first namespace", START, || {
            for unit in UNITS {
                // The journal says why.
                run("systemctl", &["is-active", unit]);
            }
            (kube.request("/api/v1/namespaces/default", &[]).0 == 200).then_some(())
        });
        kube
    }

    /// Whether it would take this: the status code, and its answer. Nothing is made.
    pub fn try_to_post(&self, path: &str, content_type: &str, object: &str) -> (u16, Value) {
        let file = format!("{FOLDER}/object");
        fs::write(&file, object).expect("a file in /run");
        let (content_type, body) = (format!("Content-Type: {content_type}"), format!("@{file}"));
        self.request(&format!("{path}?dryRun=All"), &["-H", &content_type, "--data-binary", &body])
    }

    fn request(&self, path: &str, more: &[&str]) -> (u16, Value) {
        let (token, url) = (format!("Authorization: Bearer {TOKEN}"), format!("{SERVER}{path}"));
        let fixed = ["-sk", "--max-time", "60", "-w", "\n%{http_code}", "-H", &token, &url];
        let output = Command::new("curl").args(fixed).args(more).output().expect("curl");
        let text = String::from_utf8_lossy(&output.stdout);
        let (answer, code) = text.rsplit_once('\n').expect("a line with the status code");
        (code.parse().expect("a status code"), serde_json::from_str(answer).unwrap_or_default())
    }
}

impl Drop for Kube {
    fn drop(&mut self) {
        for unit in UNITS {
            let _ = Command::new("systemctl").args(["stop", unit]).output();
        }
        let _ = fs::remove_dir_all(FOLDER);
    }
}

/// What it says goes into the journal.
fn unit(name: &str, program: &str, arguments: &[String]) {
    let unit = format!("--unit={name}");
    let mut words = vec!["--quiet", "--collect", unit.as_str(), program];
    words.extend(arguments.iter().map(String::as_str));
    run("systemd-run", &words);
}
