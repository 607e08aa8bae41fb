//! One image, by each of its names and in each form.

use super::*;
use crate::status::Document;
use crate::status::document::Projected;
use serde_json::Value;

const PE: &str = "PE/CPE-base.x86_64-24.11.squashfs";
const WWN: &str = "de4cc04e7dacfb9ada0a6b4ccdae676";

fn live(lun: u16, key: &str, wwn: &str) -> Projected {
    Projected {
        state: "live".into(),
        kind: "pe".into(),
        image_id: key.into(),
        key: Some(key.into()),
        s3_path: Some(format!("s3://boot-images/{key}")),
        etag: Some("0f343b0931126a20f133d67c2b018a3b-2".into()),
        file: Some(format!("/var/lib/cps-local/boot-images/{key}")),
        size_bytes: Some(8 << 30),
        lun: Some(lun),
        name: Some(wwn[..15].into()),
        wwn: Some(wwn.into()),
        wwid: Some(format!("36001405{}", &wwn[..25])),
        commands: Some(51_204),
        read_bytes: Some(6123 << 20),
        ..Projected::default()
    }
}

fn rootfs() -> Projected {
    Projected {
        kind: "rootfs".into(),
        image_id: "4fab0408-0bfe-4668-b957-964f8ff0e4e9".into(),
        image_name: Some("uan-1".into()),
        ..live(300, "4fab0408-0bfe-4668-b957-964f8ff0e4e9/rootfs", "f53049d4150ad01d3c17c8ac0299fc5")
    }
}

fn document() -> Document {
    let pending = Projected {
        state: "pending".into(),
        reason: Some("object_missing".into()),
        kind: "rootfs".into(),
        image_id: "aaaa".into(),
        ..Projected::default()
    };
    Document {
        node: "ncn-w001".into(),
        iqn: "iqn.2023-06.csm.iscsi:ncn-w001".into(),
        projections: vec![live(14, PE, WWN), rootfs(), pending],
        portals: ["10.253.0.2:3260", "10.252.1.8:3260"].map(Into::into).into(),
        sessions: vec!["iqn.2023-06.csm.iscsi:x1000c0s0b0n0".into()],
        ..Document::default()
    }
}

fn located(needle: &str) -> Located {
    let document = document();
    Located::new(&document, find(&document, needle).unwrap())
}

fn with_key(key: &str) -> Located {
    let document = Document { projections: vec![live(14, key, WWN)], ..document() };
    Located::new(&document, &document.projections[0])
}

fn error(document: &Document, needle: &str) -> String {
    find(document, needle).unwrap_err().to_string()
}

/// The refusal, which is the cause of the error.
fn refused(located: &Located, format: Format) -> String {
    let error = located.render(format).unwrap_err();
    std::error::Error::source(&error).unwrap().to_string()
}

#[test]
fn each_name_of_an_image_finds_it_and_so_does_its_beginning() {
    let document = document();
    let id = "4fab0408-0bfe-4668-b957-964f8ff0e4e9";
    for name in [
        id,
        "uan-1",
        "4fab0408-0bfe-4668-b957-964f8ff0e4e9/rootfs",
        "s3://boot-images/4fab0408-0bfe-4668-b957-964f8ff0e4e9/rootfs",
        "f53049d4150ad01",
        "f53049d4150ad01d3c17c8ac0299fc5",
        "36001405f53049d4150ad01d3c17c8ac0",
        "300",
        "4fab",
        "ua",
        "f530",
        "36001405f5",
        "30",
    ] {
        assert_eq!(find(&document, name).unwrap().image_id, id, "{name}");
    }
    assert_eq!(find(&document, "aaaa").unwrap().state, "pending");
}

#[test]
fn an_exact_name_goes_before_the_beginning_of_others() {
    let numbers = [1, 10, 11].map(|lun| live(lun, &format!("PE/{lun}"), WWN));
    let document = Document { projections: numbers.into(), ..Document::default() };
    assert_eq!(find(&document, "1").unwrap().lun, Some(1));
    assert_eq!(find(&document, "PE/1").unwrap().lun, Some(1));
    assert_eq!(
        error(&document, "PE/"),
        r#""PE/" may be any of 3 images: LUN 1 de4cc04e7dacfb9 "PE/1"; LUN 10 de4cc04e7dacfb9 "PE/10"; LUN 11 de4cc04e7dacfb9 "PE/11""#
    );
}

#[test]
fn of_many_images_an_error_lists_ten() {
    let many = (1..=12).map(|lun| live(lun, &format!("PE/{lun}"), WWN)).collect();
    let told = error(&Document { projections: many, ..Document::default() }, "PE/");
    assert!(told.contains("any of 12 images") && told.ends_with("\"PE/10\"; ..."), "{told}");
}

#[test]
fn what_is_not_there_is_told_with_what_could_be_searched_by() {
    let told = error(&document(), "nope");
    assert!(
        told.starts_with(
            "no image of ncn-w001 is called \"nope\", nor begins so: 3 were searched, by IMS id"
        )
    );
    assert!(told.ends_with("the agent does not answer, so IMS names are not known"), "{told}");
    let agent = Some(crate::status::document::AgentStatus::default());
    assert!(error(&Document { agent, ..document() }, "nope").ends_with("WWID and LUN number"));
}

/// As an example in a document: indented.
fn is_in_operations(text: &str) -> bool {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    page.contains(&text.lines().map(|line| format!("    {line}\n")).collect::<String>())
}

#[test]
fn what_is_printed_is_what_the_documentation_shows_on_one_screen_and_as_a_multipath_section() {
    assert_eq!(find(&document(), "14").unwrap().key.as_deref(), Some(PE));
    for format in [Format::Table, Format::Multipath] {
        let printed = located("14").render(format).unwrap();
        assert!(is_in_operations(&printed), "docs/operations.md has not:\n{printed}");
    }
}

#[test]
fn the_volume_and_its_claim_are_yaml_and_name_this_worker_alone() {
    let yaml = located(PE).render(Format::Pv).unwrap();
    for line in [
        "apiVersion: \"v1\"\nkind: \"PersistentVolume\"\nmetadata:\n  annotations:\n",
        "    source: \"s3://boot-images/PE/CPE-base.x86_64-24.11.squashfs\"\n",
        "    wwid: \"36001405de4cc04e7dacfb9ada0a6b4cc\"\n",
        "    app.kubernetes.io/managed-by: \"sbps-marshal\"\n    image-arch: \"x86_64\"\n    image-kind: \"pe\"\n",
        "  name: \"pe-cpe-base.x86-64-24.11-de4cc04e-ncn-w001\"\nspec:\n  accessModes: [\"ReadOnlyMany\"]\n",
        "    lun: 14\n    portals: [\"10.252.1.8:3260\"]\n    readOnly: true\n",
        "    targetPortal: \"10.253.0.2:3260\"\n",
        "  capacity:\n    storage: \"8589934592\"\n",
        "---\n# In the pod: persistentVolumeClaim: {claimName: ..., readOnly: true}\napiVersion: \"v1\"\n",
        "  volumeName: \"pe-cpe-base.x86-64-24.11-de4cc04e-ncn-w001\"\n",
    ] {
        assert!(yaml.contains(line), "{line}\n{yaml}");
    }
}

#[test]
fn a_number_that_kubernetes_refuses_is_refused_with_the_setting_that_cures_it() {
    let located = located("uan-1");
    let why = refused(&located, Format::Pv);
    assert!(why.starts_with("LUN 300 is above 255") && why.contains("Set lio.last_lun = 255"), "{why}");
    assert!(crate::config::KEYS.iter().any(|key| key.name == "lio.last_lun"));
    let json: Value = serde_json::from_str(&located.render(Format::Json).unwrap()).unwrap();
    assert_eq!(json["volume"]["refused"], why);
    assert!(located.render(Format::Table).unwrap().contains("kubernetes none: LUN 300 is above 255"));
    assert!(located.render(Format::Dracut).is_ok(), "dracut goes by the WWID");
}

#[test]
fn a_number_above_255_is_in_a_path_as_udev_writes_it() {
    let Offer::Given(seen) = located("uan-1").seen else { panic!("it is a LUN") };
    assert!(seen.by_path[0].ends_with(":ncn-w001-lun-0x012c000000000000"), "{:?}", seen.by_path);
}

#[test]
fn what_is_no_lun_is_shown_and_has_no_other_form() {
    let located = located("aaaa");
    let table = located.render(Format::Table).unwrap();
    assert!(table.contains("initiator  none: it is no LUN now: it is pending (object_missing)"), "{table}");
    for format in [Format::Pv, Format::Dracut, Format::Multipath] {
        assert!(refused(&located, format).starts_with("it is no LUN now"));
    }
}

#[test]
fn every_portal_that_names_an_address_is_a_way_to_the_image() {
    let portals = ["0.0.0.0:3260", "[fd00::1]:3260", "10.253.0.2:3261"].map(Into::into).into();
    let document = Document { portals, ..document() };
    let located = Located::new(&document, &document.projections[0]);
    let Offer::Given(seen) = &located.seen else { panic!("it is a LUN") };
    let end = "iscsi-iqn.2023-06.csm.iscsi:ncn-w001-lun-14";
    assert_eq!(
        seen.by_path,
        ["fd00::1:3260", "10.253.0.2:3261"].map(|portal| format!("/dev/disk/by-path/ip-{portal}-{end}"))
    );
    let dracut = located.render(Format::Dracut).unwrap();
    let lines: Vec<&str> = dracut.lines().collect();
    assert!(lines[0].contains(" netroot=iscsi:[fd00::1]::3260::iqn.") && lines[0].contains(" ip=dhcp6 "));
    assert!(lines[1].contains(" netroot=iscsi:10.253.0.2::3261::iqn.") && lines[1].contains(" ip=dhcp "));
    let yaml = located.render(Format::Pv).unwrap();
    assert!(
        yaml.contains("portals: [\"10.253.0.2:3261\"]\n")
            && yaml.contains("targetPortal: \"[fd00::1]:3260\"\n")
    );
}

#[test]
fn a_target_without_an_address_boots_nobody() {
    let document = Document { portals: vec!["0.0.0.0:3260".into()], ..document() };
    let located = Located::new(&document, &document.projections[0]);
    for format in [Format::Pv, Format::Dracut] {
        assert!(refused(&located, format).ends_with("only [\"0.0.0.0:3260\"]"));
    }
    assert!(located.render(Format::Multipath).is_ok());
}

#[test]
fn r9_a_hostile_key_stays_one_string_in_every_form() {
    for key in [
        "PE/a\"\n  evil: 1",
        "PE/a b",
        "PE/\u{202e}\u{1f600}\u{7f}",
        "PE/a\\",
        "PE/'$(x)'",
        "..",
        &"x".repeat(1000),
    ] {
        let located = with_key(key);
        assert!(refused(&located, Format::Multipath).contains("is no name for device-mapper"), "{key:?}");
        let dracut = located.render(Format::Dracut).unwrap();
        assert!(dracut.lines().all(|line| line.split(' ').count() == 6), "{dracut}");
        let yaml = located.render(Format::Pv).unwrap();
        assert!(yaml.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{yaml}");
        assert_eq!(
            yaml.lines().count(),
            with_key(PE).render(Format::Pv).unwrap().lines().count()
                - usize::from(!key.contains("x86_64")) * 2
        );
        let table = located.render(Format::Table).unwrap();
        assert!(
            !table.chars().any(|c| c.is_control() && c != '\n') && !table.contains('\u{202e}'),
            "{table}"
        );
    }
}

#[test]
fn r9_what_would_end_a_word_of_the_kernel_command_line_is_refused() {
    for iqn in
        ["iqn.2023-06.a:b init=/bin/sh", "iqn.2023-06.a:\"b", "iqn.2023-06.a:b\n", "iqn.2023-06.a:\u{a0}"]
    {
        let document = Document { iqn: iqn.into(), ..document() };
        let located = Located::new(&document, &document.projections[0]);
        assert!(refused(&located, Format::Dracut).contains("cannot stand in a kernel command line"), "{iqn}");
    }
}

#[test]
fn the_name_of_a_volume_is_one_that_kubernetes_takes_whatever_the_key_is() {
    let is_name = |name: &str| {
        let label = |label: &str| {
            let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            ends(label.chars().next()) && ends(label.chars().last()) && label.chars().all(inside)
        };
        name.len() <= 253 && name.split('.').all(label)
    };
    for key in [
        "PE/Ä..-/.b_",
        "..",
        "-",
        "",
        "PE/CPE.squashfs",
        &"y.".repeat(500),
        &"-".repeat(500),
        &"z".repeat(500),
    ] {
        let Offer::Given([volume, claim]) = with_key(key).volume else { panic!("{key}") };
        let name = volume["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(is_name(&name) && name.ends_with("de4cc04e-ncn-w001"), "{key:?} {name}");
        assert_eq!(claim["spec"]["volumeName"], name);
    }
}
