//! The adapter of LIO by itself, on the real kernel and the real targetclid: what it shows, and what its steps do.

use actors::model::{Actual, Saved, Step};
use actors::model::{Request, Word};
use actors::ports::{LioPort, Rest};
use sbps_marshal::config;
use sbps_marshal::lio::LioAdapter;
use std::fs;
use std::time::Duration;
use support::node::configfs::{INITIATOR, half_made_backstore, inode, make, mappings, remove, set, tpg};
use support::node::{IQN, Image, Node, squashfs};

const SAVED: &str = "/etc/rtslib-fb-target/saveconfig.json";

fn adapter() -> LioAdapter {
    let flags = vec![format!("lio.iqn={IQN}").parse().unwrap()];
    let sources = config::Sources { file: "/nowhere/config.toml".into(), flags, ..Default::default() };
    LioAdapter::new(&config::load(&sources).unwrap().settings.lio).unwrap()
}

fn word(text: &str) -> Word {
    Word::try_from(text).unwrap()
}

fn say(lio: &mut LioAdapter, request: impl Into<Request>) -> String {
    let request = request.into();
    lio.apply(&request).unwrap_or_else(|error| panic!("{request}: {error}"))
}

fn create(lio: &mut LioAdapter, image: &Image) -> String {
    let (name, file, wwn) = (word(&image.name), word(&image.file), word(&image.wwn));
    say(lio, Step::CreateBackstore { name, file, wwn })
}

fn delete(lio: &mut LioAdapter, image: &Image) -> String {
    say(lio, Step::DeleteBackstore { name: word(&image.name), wwn: word(&image.wwn) })
}

fn create_lun(lio: &mut LioAdapter, image: &Image, lun: u16) -> String {
    say(lio, Step::CreateLun { lun, name: word(&image.name), map_to_acls: true })
}

fn uptime() -> Duration {
    let text = fs::read_to_string("/proc/uptime").unwrap();
    Duration::from_secs_f64(text.split(' ').next().unwrap().parse().unwrap())
}

/// The first backstore: when its file was opened, and the inode of its folder.
fn first(actual: &Actual) -> (Duration, u64) {
    (actual.backstores[0].opened.expect("this kernel tells it"), actual.backstores[0].inode)
}

#[test]
fn lio_l3_a_backstore_shows_when_its_file_was_opened_and_that_it_was_made_anew() {
    let node = Node::fresh();
    let image = node.add_pe("PE/a.squashfs", &squashfs(1, 64));
    let mut lio = adapter();
    let begun = uptime();
    create(&mut lio, &image);
    let ended = uptime();
    let once = first(&lio.observe().unwrap());
    let tick = Duration::from_millis(50);
    assert!(begun <= once.0 + tick && once.0 <= ended + tick, "{begun:?} {once:?} {ended:?}");
    assert_eq!(first(&lio.observe().unwrap()).1, once.1, "the same as long as it is there");

    delete(&mut lio, &image);
    create(&mut lio, &image);
    let again = first(&lio.observe().unwrap());
    assert!(again.0 > once.0 && again.1 != once.1, "{once:?} {again:?}");
    lio.rest(Rest::ForGood);
}

#[test]
fn lio_m10_what_is_half_made_is_shown_and_can_be_discarded() {
    let node = Node::fresh();
    let image = node.add_pe("PE/a.squashfs", &squashfs(1, 64));
    let mut lio = adapter();
    // The daemon has read its tree before.
    say(&mut lio, Request::Refresh);
    let backstore = half_made_backstore(900, &image.name, &image.file);
    make(&format!("{}/lun/lun_9", tpg()));
    make(&format!("{}/acls/{INITIATOR}/lun_3", tpg()));
    let shown = lio.observe().unwrap();
    let half = &shown.backstores[0];
    assert_eq!((half.enabled, half.opened, &half.file, half.serial.as_str()), (false, None, &image.file, ""));
    let bare: Vec<_> = shown.bare_luns.iter().map(|bare| (bare.folder.clone(), bare.lun)).collect();
    assert_eq!(bare, [(tpg(), 9), (format!("{}/acls/{INITIATOR}", tpg()), 3)]);
    remove(&format!("{}/acls/{INITIATOR}/lun_3", tpg()));

    assert!(create(&mut lio, &image).contains("exists"));
    let (name, file) = (word(&image.name), word(&image.file));
    say(&mut lio, Step::DiscardBackstore { name, file });
    assert_eq!(inode(&backstore), None);
    assert!(create(&mut lio, &image).starts_with("Created"));
    assert!(create_lun(&mut lio, &image, 300).contains("Broken LUN"));
    assert!(say(&mut lio, Request::Save { backup: false }).contains("Broken LUN"));
    say(&mut lio, Step::DiscardLun { lun: 9 });
    assert!(create_lun(&mut lio, &image, 300).starts_with("Created LUN 300."));
    say(&mut lio, Request::Save { backup: false });
    let shown = lio.observe().unwrap();
    assert!(shown.bare_luns.is_empty() && shown.is_saved(), "{shown:?}");
    lio.rest(Rest::ForGood);
}

#[test]
fn lio_m15_r10_a_lun_is_mapped_to_each_acl_write_protected_also_under_a_number_that_rtslib_does_not_map() {
    let node = Node::fresh();
    let image = squashfs(1, 64);
    let images: Vec<_> = (0..3).map(|n| node.add_pe(&format!("PE/{n}.squashfs"), &image)).collect();
    let mut lio = adapter();
    say(&mut lio, Request::Refresh);
    set(&format!("{}/attrib/generate_node_acls", tpg()), "0");
    let other = "iqn.2001-01.com.other:b";
    for initiator in [INITIATOR, other] {
        make(&format!("{}/acls/{initiator}", tpg()));
    }
    for (image, lun) in images.iter().zip([21, 15_000, 300]) {
        create(&mut lio, image);
        let reply = create_lun(&mut lio, image, lun);
        assert_eq!(reply.matches("Created Mapped LUN").count(), 2, "{reply}");
    }
    for initiator in [INITIATOR, other] {
        assert_eq!(mappings(initiator), [(0, 15_000, true), (1, 300, true), (21, 21, true)]);
    }
    say(&mut lio, Request::Save { backup: false });
    let shown = lio.observe().unwrap();
    assert!(shown.is_saved());
    assert_eq!(shown.tpg.unwrap().acls[INITIATOR], [21, 300, 15_000].into());

    say(&mut lio, Step::DeleteLun { lun: 15_000, name: word(&images[1].name) });
    assert_eq!(mappings(other), [(1, 300, true), (21, 21, true)], "its mapping goes with the LUN");
    lio.rest(Rest::ForGood);
}

#[test]
fn lio_m14_a_torn_file_is_set_aside_by_its_step_and_the_next_save_makes_a_new_one() {
    let node = Node::fresh();
    let image = node.add_pe("PE/a.squashfs", &squashfs(1, 64));
    let mut lio = adapter();
    create(&mut lio, &image);
    create_lun(&mut lio, &image, 7);
    say(&mut lio, Request::Save { backup: false });
    // Only a plain targetcli makes the copies where none has ever run.
    support::node::run("targetcli", &["saveconfig"]);
    assert!(lio.apply(&Request::SetAside).is_err(), "it is whole");
    let whole = fs::read(SAVED).unwrap();
    fs::write(SAVED, &whole[..whole.len() / 2]).unwrap();
    let Saved::Unreadable { torn: true, backup, .. } = lio.observe().unwrap().saved else {
        panic!("it is not torn");
    };
    assert_eq!(backup.luns.iter().map(|lun| lun.lun).collect::<Vec<_>>(), [7]);
    let aside = say(&mut lio, Request::SetAside);
    assert!(aside.starts_with(&format!("{SAVED}.torn-")), "{aside}");
    assert_eq!(
        (fs::read(&aside).unwrap().len(), lio.observe().unwrap().saved),
        (whole.len() / 2, Saved::Missing)
    );
    say(&mut lio, Request::Save { backup: false });
    assert!(lio.observe().unwrap().is_saved());
    lio.rest(Rest::ForGood);
}
