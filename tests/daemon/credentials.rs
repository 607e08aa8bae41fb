//! The key file of S3 under a running agent: broken, it makes the bucket unknown; mended, it is used without a restart.

use super::agent::{Agent, Site};
use rustix::process::Signal;
use serde_json::Value;
use support::configfs::Tree;

#[test]
fn r2_a_broken_key_file_makes_the_bucket_unknown_and_ends_nothing_and_a_mended_one_is_used_without_a_restart()
{
    let site = Site::new();
    // Without a target there would be nothing to decide, and nothing would be asked.
    Tree::recorded().grow(&site.path("configfs"));
    site.configure("s3.timeout = 2");
    let mut agent = site.running();
    let pass_with = |agent: &mut Agent, text: &str| {
        site.write("keys", text);
        agent.signal(Signal::HUP);
        agent.until("resync");
        agent.until("pass_summary")["unknown"].to_string()
    };
    for text in ["", "no colon\n", "bucket:KEY:geheim\n", "KEY:\n"] {
        let unknown = pass_with(&mut agent, text);
        assert!(unknown.contains("s3:credentials") && !unknown.contains("geheim"), "{text:?}: {unknown}");
    }
    // Nobody answers there; but the keys are good enough to ask.
    let unknown = pass_with(&mut agent, "KEY:geheim\n");
    assert!(unknown.contains("s3:failed"), "{unknown}");
    assert_eq!(agent.stop(), Some(0));
    let is_told = |event: &Value| event["reason"] == "credentials";
    assert_eq!(agent.all("source_unknown").filter(|event| is_told(event)).count(), 1);
    assert_eq!(agent.all("resolved").filter(|event| is_told(event)).count(), 1);
}
