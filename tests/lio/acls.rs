//! Sites with node ACLs (M15).

use support::node::configfs::{INITIATOR, make, mappings, set, tpg};
use support::node::{Agent, Initiator, Node, luns, sha256_of_tree, source_of, squashfs};

const OTHER: &str = "iqn.2001-01.com.other:b";

#[test]
fn lio_m15_a_node_acl_gets_each_new_lun_and_its_initiator_reads_it_read_only() {
    let node = Node::fresh();
    set(&format!("{}/attrib/generate_node_acls", tpg()), "0");
    for initiator in [INITIATOR, OTHER] {
        make(&format!("{}/acls/{initiator}", tpg()));
    }
    let id = "00000000-0000-4000-8000-000000000000";
    let images = [
        (1, node.add_image(id, &squashfs(1, 64), 0, true)),
        (2, node.add_pe("PE/CPE-base.x86_64-26.11.squashfs", &squashfs(2, 64))),
    ];

    let agent = Agent::start(&node, "");
    agent.wait_until_converged(2, 120);
    let numbers: Vec<u16> = luns().into_keys().collect();
    for initiator in [INITIATOR, OTHER] {
        let mut mapped: Vec<_> = mappings(initiator).into_iter().map(|(_, lun, ro)| (lun, ro)).collect();
        mapped.sort_unstable();
        assert_eq!(mapped, numbers.iter().map(|lun| (*lun, true)).collect::<Vec<_>>(), "{initiator}");
    }
    let initiator = Initiator::login();
    for (seed, image) in &images {
        let disk = initiator.disk(image);
        assert!(disk.is_read_only(), "{image:?} could be written to");
        assert_eq!(disk.sha256(), sha256_of_tree(&source_of(*seed)), "{image:?}");
    }
    drop(initiator);

    node.ims.tag(id, false);
    agent.wait_for_pass("one is withdrawn", 90, 0, |pass| pass["removed"] == 1);
    for initiator in [INITIATOR, OTHER] {
        assert_eq!(mappings(initiator).len(), 1, "the mapping of {initiator} went with its LUN");
    }
}
