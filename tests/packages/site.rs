//! The node that a package comes to: configured, with one image, and nothing of the agent installed.

use std::process::Command;
use support::node::{Image, Node, UNIT, luns, run, squashfs};

/// What an administrator writes.
pub const CONFIG: &str = "/etc/sbps-marshal/config.toml";
/// What the package brings, and an administrator may edit.
pub const DEFAULTS: &str = "/etc/sbps-marshal/conf.d/00-defaults.toml";

/// A package as `tests/packages/run` has laid it there, `newer.deb`.
pub fn package(name: &str) -> String {
    format!("/vm/packages/{name}")
}

/// A node with one tagged image.
pub fn with_an_image() -> (Node, Image) {
    let node = an_empty_node();
    let image = node.add_image("0000000a-5392-41cf-b915-94f03a372d00", &squashfs(1, 64), 0, true);
    (node, image)
}

/// A node with nothing of what the test before has installed, by either package manager.
pub fn an_empty_node() -> Node {
    let quietly = |program: &str, arguments: &[&str]| drop(Command::new(program).args(arguments).output());
    quietly("systemctl", &["disable", UNIT]);
    quietly("systemctl", &["stop", UNIT]);
    quietly("dpkg", &["--purge", "sbps-marshal"]);
    quietly("rpm", &["--force-debian", "--erase", "--noscripts", "sbps-marshal"]);
    for folder in ["/etc/sbps-marshal", "/etc/sysconfig", "/etc/systemd/system/sbps-marshal.service.d"] {
        let _ = std::fs::remove_dir_all(folder);
    }
    run("systemctl", &["daemon-reload"]);
    Node::fresh()
}

/// Whether it is `active`, or `enabled`.
pub fn unit_is(word: &str) -> bool {
    let asked = Command::new("systemctl").args([&format!("is-{word}"), "--quiet", UNIT]).status();
    asked.expect("systemctl").success()
}

/// Whether it would be started at boot: a link may be left of a unit that is gone.
pub fn is_linked() -> bool {
    let link = "/etc/systemd/system/multi-user.target.wants/sbps-marshal.service";
    std::fs::symlink_metadata(link).is_ok()
}

/// What runs under the unit: its process, and its program.
pub fn running() -> Option<(String, String)> {
    let pid = run("systemctl", &["show", "--value", "-p", "MainPID", UNIT]).trim().to_owned();
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some((pid, program.to_string_lossy().into_owned()))
}

/// The number of the image's LUN, and the inode of its folder: another one, and it was made anew.
pub fn lun_of(image: &Image) -> (u16, u64) {
    let lun = luns().into_iter().find(|(_, lun)| lun.wwn == image.wwn);
    lun.map(|(number, lun)| (number, lun.inode)).expect("the image is a LUN")
}

/// Adds a line to a file, as an administrator does.
pub fn edit(file: &str, line: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default() + line + "\n";
    let folder = std::path::Path::new(file).parent().expect("a folder");
    std::fs::create_dir_all(folder).expect("the file's folder");
    std::fs::write(file, &text).expect("an edited file");
    text
}
