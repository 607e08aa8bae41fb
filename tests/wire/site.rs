//! What the tests of several adapters share.

use actors::model::with_causes;
use sbps_marshal::config;
use std::path::Path;
use std::time::Duration;

/// Of every call in these tests.
pub const DEADLINE: Duration = Duration::from_secs(2);

/// No call takes that long, on whatever machine, unless it does not end.
pub const FOR_EVER: Duration = Duration::from_secs(60);

/// IMS at this URL, without a CA bundle.
pub fn ims(url: impl Into<String>) -> config::Ims {
    config::Ims {
        url: url.into(),
        tagging: true,
        timeout: DEADLINE,
        connect_timeout: DEADLINE / 2,
        ca_bundle: None,
        insecure: false,
        token_file: None,
        verify_md5: true,
    }
}

/// The boot bucket at this endpoint, with the keys of this file.
pub fn s3(endpoint: impl Into<String>, credential_file: &Path) -> config::S3 {
    config::S3 {
        endpoint: endpoint.into(),
        region: "us-east-1".to_owned(),
        bucket: "boot-images".to_owned(),
        credential_file: credential_file.to_owned(),
        timeout: DEADLINE,
        connect_timeout: DEADLINE / 2,
        ca_bundle: None,
        insecure: false,
    }
}

/// The whole chain of an error, as an operator reads it.
pub fn told(error: &(dyn std::error::Error + 'static)) -> String {
    with_causes(error)
}

/// Runs the named test once more, in a process whose environment names this proxy. True in that process.
pub fn runs_behind_proxy(test: &str, proxy: &str) -> bool {
    if std::env::var_os("HTTP_PROXY").is_some_and(|set| set == *proxy) {
        return true;
    }
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .envs(["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, proxy)))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && told.contains("1 passed"), "{told}");
    false
}
