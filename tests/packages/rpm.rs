//! The RPM over the predecessor's, back and forth, and away again: the package is one, the families it comes to are two.

use super::site::{CONFIG, DEFAULTS, edit, is_linked, lun_of, package, running, unit_is, with_an_image};
use std::path::Path;
use std::process::Command;
use support::node::{Agent, BUCKET, Image, Node, project_as_the_predecessor, run};

/// A drop-in as a site of the predecessor has it, whose unit reads no file.
const DROP_IN: &str = "/etc/systemd/system/sbps-marshal.service.d/site.conf";
const VARIABLES: &str = "/etc/sysconfig/sbps-marshal";
/// Of SUSE alone.
const SERVICES: &str = "/etc/sysconfig/services";
/// The predecessor's: without it 1.0.3 restarts target.service, which drops all sessions.
const STATE: &str = "/var/lib/sbps-marshal/state.json";
const PROGRAM: &str = "/usr/bin/sbps-marshal";

/// A node of one family, as RPM knows it.
pub struct Family(&'static str);

impl Family {
    /// The two that there are.
    pub const SUSE: Family = Family("suse");
    pub const FEDORA: Family = Family("fedora");

    /// Builds a package of `/vm/specs`; gives its path.
    pub fn build(&self, spec: &str) -> String {
        let top = format!("/run/rpmbuild-{}", self.0);
        let define = |text: String| ["--define".to_owned(), text];
        let defines = [define(format!("_topdir {top}")), define(format!("family {}", self.0))].concat();
        let mut arguments: Vec<&str> = vec!["-bb", "--quiet"];
        arguments.extend(defines.iter().map(String::as_str));
        let file = format!("/vm/specs/{spec}.spec");
        arguments.push(&file);
        run("rpmbuild", &arguments);
        let (name, version) = if spec == "base" { ("base", "1") } else { ("sbps-marshal", "1.0.3") };
        format!("{top}/RPMS/noarch/{name}-{version}-1.noarch.rpm")
    }
}

/// `rpm`, which Debian's wants to be told twice. A scriptlet that fails is only a warning to it.
pub fn rpm(arguments: &[&str]) -> String {
    let ran = Command::new("rpm").arg("--force-debian").args(arguments).output().expect("rpm");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && !said.contains("scriptlet failed"), "{arguments:?}: {said}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// A node on which the predecessor runs, with the variables of a site, and a LUN that it has made.
fn node_of_the_predecessor(family: &Family) -> (Node, Image, String) {
    let (node, image) = with_an_image();
    if family.0 == "suse" {
        edit(SERVICES, "DISABLE_RESTART_ON_UPDATE=\"no\"\nDISABLE_STOP_ON_REMOVAL=\"no\"");
    }
    rpm(&["--install", "--replacepkgs", &family.build("base")]);
    let predecessor = family.build("predecessor");
    rpm(&["--install", &predecessor]);
    let s3 = node.bucket.server().host();
    let bucket =
        format!("SBPS_MARSHAL_S3_HOST={s3}\nSBPS_MARSHAL_S3_PROTO=http\nSBPS_MARSHAL_S3_BUCKET={BUCKET}");
    edit(VARIABLES, &format!("SBPS_MARSHAL_API_GATEWAY={}\n{bucket}", node.ims.gateway()));
    let targetcli =
        "Environment=SBPS_MARSHAL_SCAN_FREQUENCY=15 SBPS_MARSHAL_TARGETCLI_BIN=/usr/bin/targetcli";
    edit(DROP_IN, &format!("[Service]\nEnvironmentFile={VARIABLES}\n{targetcli}"));
    edit(STATE, "{\"initialized\": true}");
    run("systemctl", &["daemon-reload"]);
    run("systemctl", &["enable", "--now", "sbps-marshal"]);
    project_as_the_predecessor(&image);
    (node, image, predecessor)
}

fn the_predecessor_is_upgraded_and_comes_back(family: &Family) {
    let (_node, image, predecessor) = node_of_the_predecessor(family);
    let (lun, variables) = (lun_of(&image), std::fs::read_to_string(VARIABLES).unwrap());

    let agent = Agent::watch_installed();
    rpm(&["--upgrade", &package("older.rpm")]);
    let (first, program) = running().expect("an agent after the upgrade");
    assert_eq!(program, PROGRAM);
    let pass = agent.wait_until_converged(1, 120);
    assert_eq!((&pass["added"], &pass["removed"]), (&0.into(), &0.into()), "taken over with zero changes");
    assert!(unit_is("enabled"));

    // The way back, by the published package.
    rpm(&["--upgrade", "--oldpackage", &predecessor]);
    assert_ne!(running().expect("the predecessor runs").1, PROGRAM);
    rpm(&["--upgrade", &package("older.rpm")]);

    let edited = edit(DEFAULTS, "# edited by the site");
    rpm(&["--upgrade", &package("newer.rpm")]);
    let (second, program) = running().expect("an agent after its own upgrade");
    assert_ne!(first, second);
    assert_eq!(program, PROGRAM);
    assert_eq!(std::fs::read_to_string(DEFAULTS).unwrap(), edited);
    assert_eq!(std::fs::read_to_string(VARIABLES).unwrap(), variables);
    assert_eq!(lun_of(&image), lun);

    rpm(&["--erase", "sbps-marshal"]);
    assert_eq!(running(), None);
    assert!(!is_linked() && !Path::new(PROGRAM).exists());
    assert_eq!(lun_of(&image), lun);
    assert_eq!(std::fs::read_to_string(VARIABLES).unwrap(), variables);
    assert_eq!(
        std::fs::read_to_string(format!("{DEFAULTS}.rpmsave")).unwrap(),
        edited,
        "as RPM keeps what was edited"
    );
    assert!(Path::new("/var/lib/sbps-marshal/history.json").exists() && Path::new(STATE).exists());
}

#[test]
fn lio_the_rpm_takes_over_from_the_predecessors_of_suse_and_goes_back_and_forth_and_no_lun_is_touched() {
    the_predecessor_is_upgraded_and_comes_back(&Family::SUSE);
}

#[test]
fn lio_the_rpm_takes_over_from_the_predecessors_of_fedora_and_goes_back_and_forth_and_no_lun_is_touched() {
    the_predecessor_is_upgraded_and_comes_back(&Family::FEDORA);
}

#[test]
fn lio_a_suse_site_that_has_updates_restart_nothing_and_removals_stop_nothing_gets_that() {
    let (_node, image, _) = node_of_the_predecessor(&Family::SUSE);
    rpm(&["--upgrade", &package("older.rpm")]);
    let before = running().expect("an agent");
    edit(SERVICES, "DISABLE_RESTART_ON_UPDATE=\"yes\"\nDISABLE_STOP_ON_REMOVAL=\"yes\"");
    rpm(&["--upgrade", &package("newer.rpm")]);
    assert_eq!(running().expect("the same agent").0, before.0);
    rpm(&["--erase", "sbps-marshal"]);
    assert_eq!(running().expect("the same agent still").0, before.0);
    lun_of(&image);
}

#[test]
fn lio_a_stopped_predecessor_stays_stopped_when_it_is_upgraded() {
    let (_node, _, _) = node_of_the_predecessor(&Family::FEDORA);
    run("systemctl", &["disable", "--now", "sbps-marshal"]);
    rpm(&["--upgrade", &package("newer.rpm")]);
    assert_eq!(running(), None);
    assert!(!unit_is("enabled"));
}

#[test]
fn lio_a_fresh_rpm_starts_nothing_and_a_unit_that_is_masked_or_misconfigured_is_upgraded_all_the_same() {
    let (node, _image) = with_an_image();
    const PRESET: &str = "/etc/systemd/system-preset/00-site.preset";
    edit(PRESET, "disable *");
    rpm(&["--install", "--replacepkgs", &Family::FEDORA.build("base")]);
    let _ = std::fs::remove_dir_all("/run/sbps-marshal");
    rpm(&["--install", &package("older.rpm")]);
    assert!(running().is_none() && !unit_is("enabled"));
    assert!(Path::new("/run/sbps-marshal").exists(), "as tmpfiles.d says");

    // It starts, says what is wrong, and is started again and again.
    edit(CONFIG, "[nonsense]\nkey = 1");
    let _ = Command::new("systemctl").args(["start", "sbps-marshal"]).output();
    rpm(&["--upgrade", &package("newer.rpm")]);
    run("systemctl", &["stop", "sbps-marshal"]);
    run("systemctl", &["mask", "sbps-marshal"]);
    rpm(&["--upgrade", "--replacepkgs", &package("newer.rpm")]);
    assert_eq!(running(), None);
    run("systemctl", &["unmask", "sbps-marshal"]);
    Agent::configure(&node, "spire.mode = \"none\"");
    let agent = Agent::start_installed();
    agent.wait_until_converged(1, 120);
    std::fs::remove_file(PRESET).unwrap();
}
