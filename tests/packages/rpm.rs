//! The RPM over the predecessor's, back and forth, and away again: the package is one, the families it comes to are two.

use super::site::{edit, lun_of, package, running, unit_is, with_an_image};
use std::path::Path;
use support::node::{Agent, BUCKET, Image, Node, project_as_the_predecessor, run};

const VARIABLES: &str = "/etc/sysconfig/sbps-marshal";
const DEFAULTS: &str = "/etc/sbps-marshal/conf.d/00-defaults.toml";
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

/// `rpm`, which Debian's wants to be told twice.
pub fn rpm(arguments: &[&str]) -> String {
    run("rpm", &[&["--force-debian"], arguments].concat())
}

/// A node on which the predecessor runs, with its variables, and a LUN that it has made.
fn node_of_the_predecessor(family: &Family) -> (Node, Image, String) {
    let (node, image) = with_an_image();
    edit("/etc/sysconfig/services", "DISABLE_RESTART_ON_UPDATE=\"no\"\nDISABLE_STOP_ON_REMOVAL=\"no\"");
    rpm(&["--install", "--replacepkgs", &family.build("base")]);
    let predecessor = family.build("predecessor");
    rpm(&["--install", &predecessor]);
    edit(
        VARIABLES,
        &format!(
            "SBPS_MARSHAL_API_GATEWAY={}\nS3_HOST={}\nS3_PROTO=http\nS3_BUCKET={BUCKET}\nSCAN_FREQUENCY=15\nTARGETCLI_BIN=/usr/bin/targetcli",
            node.ims.gateway(),
            node.bucket.server().host()
        ),
    );
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
    assert!(!unit_is("enabled"));
    assert!(!Path::new(PROGRAM).exists());
    assert_eq!(lun_of(&image), lun);
    assert_eq!(std::fs::read_to_string(VARIABLES).unwrap(), variables);
    assert_eq!(
        std::fs::read_to_string(format!("{DEFAULTS}.rpmsave")).unwrap(),
        edited,
        "as RPM keeps what was edited"
    );
    assert!(Path::new("/var/lib/sbps-marshal/history.json").exists());
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
    edit("/etc/sysconfig/services", "DISABLE_RESTART_ON_UPDATE=\"yes\"\nDISABLE_STOP_ON_REMOVAL=\"yes\"");
    rpm(&["--upgrade", &package("newer.rpm")]);
    assert_eq!(running().expect("the same agent").0, before.0);
    rpm(&["--erase", "sbps-marshal"]);
    assert_eq!(running().expect("the same agent still").0, before.0);
    lun_of(&image);
}

#[test]
fn lio_a_stopped_predecessor_stays_stopped_when_it_is_upgraded() {
    let _site = node_of_the_predecessor(&Family::FEDORA);
    run("systemctl", &["disable", "--now", "sbps-marshal"]);
    rpm(&["--upgrade", &package("newer.rpm")]);
    assert_eq!(running(), None);
    assert!(!unit_is("enabled"));
}
