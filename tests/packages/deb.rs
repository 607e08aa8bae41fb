//! A Debian package from its coming to its going.

use super::site::{CONFIG, DEFAULTS, edit, is_linked, lun_of, package, running, unit_is, with_an_image};
use std::path::Path;
use support::node::{Agent, has_lun_of, run};

const HISTORY: &str = "/var/lib/sbps-marshal/history.json";

#[test]
fn lio_a_deb_is_installed_started_by_an_administrator_upgraded_removed_and_purged_and_no_lun_is_touched() {
    let (node, image) = with_an_image();
    Agent::configure(&node, "spire.mode = \"none\"");
    let configured = std::fs::read_to_string(CONFIG).unwrap();

    run("dpkg", &["--install", &package("older.deb")]);
    assert!(!unit_is("active") && !unit_is("enabled"), "an administrator looks at the plan first");
    run("sbps-marshal", &["check-config"]);
    run("systemctl", &["enable", "sbps-marshal"]);
    let agent = Agent::start_installed();
    agent.wait_until_converged(1, 120);
    let (lun, first) = (lun_of(&image), running().expect("an agent"));
    let edited = edit(DEFAULTS, "# edited by the site");

    let upgraded = Agent::watch_installed();
    run("dpkg", &["--install", &package("newer.deb")]);
    let second = running().expect("an agent after the upgrade");
    assert_eq!(second.1, "/usr/bin/sbps-marshal");
    assert_ne!(first.0, second.0, "it was restarted");
    let pass = upgraded.wait_until_converged(1, 90);
    assert_eq!((&pass["added"], &pass["removed"]), (&0.into(), &0.into()));
    assert_eq!(lun_of(&image), lun);
    assert_eq!(std::fs::read_to_string(DEFAULTS).unwrap(), edited);
    assert!(unit_is("enabled"));

    run("dpkg", &["--remove", "sbps-marshal"]);
    assert_eq!(running(), None);
    assert_eq!(lun_of(&image), lun);
    assert_eq!(std::fs::read_to_string(DEFAULTS).unwrap(), edited);
    assert!(Path::new(HISTORY).exists(), "what it remembers is there for whoever installs it again");

    edit("/var/lib/sbps-marshal/state.json", "{}");
    run("dpkg", &["--purge", "sbps-marshal"]);
    assert!(has_lun_of(&image.name), "nodes read from it");
    assert!(!Path::new(DEFAULTS).exists() && !Path::new(HISTORY).exists() && !is_linked());
    assert!(Path::new("/var/lib/sbps-marshal/state.json").exists(), "the predecessor's");
    assert_eq!(std::fs::read_to_string(CONFIG).unwrap(), configured, "no package made it");
}
