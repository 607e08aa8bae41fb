//! R2: what an image that cannot be judged holds, and what it does not.

use crate::common::{AT_ONCE, DEADLINES, Node, policy};
use crate::{OTHER, PE, TAGGED, rootfs};
use actors::decide::policy::{PeRules, Policy};
use actors::model::RootfsLink;
use actors::sim::{BUCKET, Sim};
use serde_json::json;

const NEW: &str = "99999999-0000-4000-8000-000000000000";

#[actix::test]
async fn r2_what_lies_in_the_folder_of_an_image_is_held_although_nobody_remembers_that_it_was_named() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node.sim.site().history = None;
    node.sim.put_manifest(
        TAGGED,
        RootfsLink { path: &format!("s3://{BUCKET}/builds/not-there-yet"), etag: "0123456789abcdef" },
    );
    let restarted = Node::new(node.sim.clone());
    restarted.passes(4).await;
    assert!(restarted.is_live(&rootfs(TAGGED)));
}

#[actix::test]
async fn r2_an_image_that_cannot_be_read_holds_no_pe_image() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    node.sim.add_image(NEW, true);
    node.sim.put(&format!("{NEW}/manifest.json"), b"{".to_vec());
    let pe = PeRules {
        prefix: "PE/CPE-base".into(),
        suffix: String::new(),
        on_change: actors::decide::policy::OnChange::Hold,
    };
    let selects_less = Policy { pe, ..policy(AT_ONCE, 10) };
    let restarted = Node::watched(node.sim.clone(), selects_less, DEADLINES, |_| {});
    restarted.passes(2).await;
    assert!(!restarted.is_live(PE), "no manifest names a PE image");
}

#[actix::test]
async fn r2_an_image_that_is_still_being_built_holds_nothing_of_a_deleted_one() {
    let node = Node::new(Sim::small_site());
    node.pass().await;
    let built = json!({"id": NEW, "name": NEW, "link": null, "metadata": {"sbps-project": "true"}});
    node.sim.site().images.push(built);
    node.sim.site().images.retain(|image| image["id"] != OTHER);
    node.passes(2).await;
    assert!(!node.is_live(&rootfs(OTHER)), "what has no link names nothing");
}
