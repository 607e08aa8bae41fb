//! What `sbps-marshal locate` prints, against those for whom it is printed: udev and multipathd of an initiator, and a real
//! Kubernetes API server.

use sbps_marshal::locate::{Format, Located};
use sbps_marshal::status::Document;
use sbps_marshal::status::document::Projected;
use serde_json::Value;
use support::node::configfs::{INITIATOR, make, tpg};
use support::node::{
    Agent, Disk, IQN, Image, Initiator, Kube, Multipath, Node, sha256_of_tree, source_of, squashfs,
};

const ID: &str = "0000000a-5392-41cf-b915-94f03a372d00";
const PE: &str = "PE/CPE-base.x86_64-26.11.squashfs";
const OTHER_PORTAL: &str = "[::1]:3260";
/// By which content is known.
const ROOTFS_SEED: u32 = 1;
const PE_SEED: u32 = 2;

/// A target with two portals, a root file system above 255 and a PE image below.
struct Site {
    /// For as long as the images are to be there.
    _node: Node,
    _agent: Agent,
    rootfs: Image,
    pe: Image,
}

fn site() -> Site {
    let node = Node::fresh();
    make(&format!("{}/np/{OTHER_PORTAL}", tpg()));
    let rootfs = node.add_image(ID, &squashfs(ROOTFS_SEED, 64), 0, true);
    let agent = Agent::start(&node, "spire.mode = \"none\"\nlio.first_lun = 300");
    agent.wait_until_converged(1, 120);
    Agent::configure(&node, "spire.mode = \"none\"\nlio.last_lun = 255");
    let pe = node.add_pe(PE, &squashfs(PE_SEED, 64));
    agent.reload();
    agent.wait_until_converged(2, 120);
    Site { _node: node, _agent: agent, rootfs, pe }
}

fn locate(image: &str, format: &str) -> String {
    let output = Agent::command(&["locate", image, "--format", format]);
    assert!(output.status.success(), "{image} {format}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Why there is nothing to print.
fn refusal(image: &str, format: &str) -> String {
    let output = Agent::command(&["locate", image, "--format", format]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn json(image: &str) -> Value {
    serde_json::from_str(&locate(image, "json")).expect("JSON")
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text")).collect()
}

#[test]
fn lio_every_device_path_that_locate_prints_is_there_on_the_initiator_and_mounts() {
    let site = site();
    let initiator = Initiator::login();
    initiator.login_at(OTHER_PORTAL);
    for (name, image, seed) in [(ID, &site.rootfs, ROOTFS_SEED), (PE, &site.pe, PE_SEED)] {
        let located = json(name);
        println!("{}", locate(name, "table"));
        assert_eq!(
            (&located["name"], &located["wwn"]),
            (&image.name.as_str().into(), &image.wwn.as_str().into())
        );
        assert_eq!(located["file"], image.file);
        let portals = located["portals"].as_array().expect("portals").len();
        let seen = &located["seen"];
        let (by_id, by_path) = (texts(&seen["by_id"]), texts(&seen["by_path"]));
        assert_eq!((portals, by_id.len(), by_path.len()), (2, 2, 2), "{located}");
        for path in by_id.iter().chain(&by_path) {
            let disk = Disk::at(path);
            assert_eq!(disk.sha256(), sha256_of_tree(&source_of(seed)), "{path}");
            assert!(disk.is_read_only(), "{path}");
            assert_eq!(
                (disk.vendor().into(), disk.product().into()),
                (seen["vendor"].clone(), seen["product"].clone())
            );
        }
        // The root of each command line is one of the disks, and the rest is what was logged in to.
        let lines = locate(name, "dracut");
        for (line, portal) in lines.lines().zip(["127.0.0.1", "[::1]"]) {
            let root = line.split(' ').find_map(|word| word.strip_prefix("root=live:")).expect("a root");
            assert!(std::fs::canonicalize(root).is_ok(), "{line}");
            assert!(line.contains(&format!("netroot=iscsi:{portal}::3260::{IQN} ")), "{line}");
        }
        assert_eq!(lines.lines().count(), 2, "{lines}");
        // What was read is counted, by the kernel.
        let located = json(&image.wwn);
        assert!(located["commands"].as_u64() > Some(0), "{located}");
        assert_eq!(texts(&located["sessions"]), [INITIATOR]);
    }
    assert!(
        refusal("nothing-like-that", "table").contains("no image of vm1 is called \"nothing-like-that\"")
    );
    assert!(refusal("s3://", "json").contains("may be any of 2 images"));
}

#[test]
fn lio_the_multipath_section_that_locate_prints_names_the_map_on_a_real_multipathd() {
    let site = site();
    let initiator = Initiator::login();
    initiator.login_at(OTHER_PORTAL);
    let multipath = Multipath::start(&(locate(ID, "multipath") + &locate(PE, "multipath")));
    for (name, image, seed) in [(ID, &site.rootfs, ROOTFS_SEED), (PE, &site.pe, PE_SEED)] {
        let located = json(name);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (alias, wwid) = (text(&located["multipath"]["alias"]), text(&located["wwid"]));
        assert_eq!(alias, image.file.trim_start_matches("/var/lib/cps-local/boot-images/").replace('/', "_"));
        let map = multipath.map(&alias);
        assert!(map.contains(&format!("{alias} ({wwid})")) && map.contains("wp=ro"), "{map}");
        assert_eq!(map.matches("active ready running").count(), 2, "a path by each portal: {map}");
        for path in [text(&located["multipath"]["device"]), text(&located["seen"]["by_map"])] {
            assert_eq!(Disk::at(&path).sha256(), sha256_of_tree(&source_of(seed)), "{path}");
        }
    }
    // Before the sessions below it.
    drop(multipath);
    drop(initiator);
}

const VOLUMES: &str = "/api/v1/persistentvolumes";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

/// What the API server makes of the two documents of `--format pv`.
fn accepted(kube: &Kube, yaml: &str) -> [Value; 2] {
    let (volume, claim) = yaml.split_once("---\n").expect("two documents");
    [(VOLUMES, volume), (CLAIMS, claim)].map(|(path, object)| {
        let (code, answer) = kube.try_to_post(path, "application/yaml", object);
        assert_eq!(code, 201, "{object}\n{answer}");
        answer
    })
}

#[test]
fn lio_kubernetes_takes_the_volume_that_locate_prints_and_refuses_a_lun_above_255_as_locate_does() {
    let _site = site();
    let kube = Kube::start();
    let [mut volume, claim] = accepted(&kube, &locate(PE, "pv"));
    let (located, iscsi) = (json(PE), &volume["spec"]["iscsi"]);
    assert_eq!((&iscsi["iqn"], &iscsi["lun"]), (&located["iqn"], &located["lun"]));
    assert_eq!(
        (&iscsi["targetPortal"], texts(&iscsi["portals"])),
        (&located["portals"][0], vec![OTHER_PORTAL])
    );
    assert_eq!((&iscsi["fsType"], &iscsi["readOnly"]), (&"squashfs".into(), &true.into()));
    assert_eq!(volume["metadata"]["annotations"]["wwid"], located["wwid"]);
    assert_eq!(claim["spec"]["volumeName"], volume["metadata"]["name"]);

    let number = json(ID)["lun"].clone();
    let ours = refusal(ID, "pv");
    assert!(
        ours.contains(&format!("LUN {number} is above 255")) && ours.contains("lio.last_lun = 255"),
        "{ours}"
    );
    volume["spec"]["iscsi"]["lun"] = number;
    volume["metadata"] = serde_json::json!({"name": "too-high"});
    let (code, theirs) = kube.try_to_post(VOLUMES, "application/json", &volume.to_string());
    assert_eq!(code, 422, "{theirs}");
    assert!(
        theirs["message"].as_str().expect("why").contains("must be between 0 and 255, inclusive"),
        "{theirs}"
    );

    // Whoever may write to the bucket chooses the key.
    for key in ["PE/a\"\n  evil: [1", "PE/'{é \u{1f600}\u{7f}\u{2028}\\", "..", &"Ä.".repeat(200)] {
        let image = Projected { key: Some(key.into()), s3_path: Some(key.into()), ..of(&located) };
        let document = Document {
            iqn: IQN.into(),
            node: "vm1".into(),
            portals: vec!["127.0.0.1:3260".into()],
            ..Document::default()
        };
        let yaml = Located::new(&document, &image).render(Format::Pv).expect("a volume");
        let [volume, _] = accepted(&kube, &yaml);
        assert_eq!(volume["metadata"]["annotations"]["source"], key, "it is what it was");
    }
}

fn of(located: &Value) -> Projected {
    serde_json::from_value(located.clone()).expect("what the status has of it")
}
