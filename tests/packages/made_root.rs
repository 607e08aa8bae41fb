//! The RPM in a root that no systemd runs in, as image builders install it.

use super::rpm::{Family, rpm};
use super::site::package;
use std::fs;
use std::path::{Path, PathBuf};
use support::node::run;

const ENABLED: &str = "etc/systemd/system/multi-user.target.wants/sbps-marshal.service";

/// A root of its own: what is written there is written beside the node's.
struct Root(PathBuf);

impl Root {
    /// `presets`: what the family, or the site, says of units that come.
    fn make(name: &str, presets: &str) -> Root {
        let folder = PathBuf::from(format!("/run/made-roots/{name}"));
        let part = |part: &str| {
            let path = folder.join(part);
            fs::create_dir_all(&path).expect("a folder of the root");
            path.to_string_lossy().into_owned()
        };
        let (upper, work, root) = (part("upper"), part("work"), part("root"));
        run(
            "mount",
            &[
                "-t",
                "overlay",
                "overlay",
                "-o",
                &format!("lowerdir=/,upperdir={upper},workdir={work}"),
                &root,
            ],
        );
        let root = Root(PathBuf::from(root));
        fs::create_dir_all(root.path("etc/systemd/system-preset")).expect("a folder for presets");
        fs::write(root.path("etc/systemd/system-preset/00-site.preset"), presets).expect("presets");
        root
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn rpm(&self, arguments: &[&str]) -> String {
        rpm(&[&["--root", &self.0.to_string_lossy()], arguments].concat())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        run("umount", &["--lazy", &self.0.to_string_lossy()]);
    }
}

fn install_and_erase(root: &Root, enabled: bool) {
    let is_enabled = || fs::symlink_metadata(root.path(ENABLED)).is_ok();
    root.rpm(&["--install", &Family::SUSE.build("base")]);
    root.rpm(&["--install", &package("newer.rpm")]);
    assert!(root.path("usr/bin/sbps-marshal").exists());
    assert_eq!(is_enabled(), enabled, "as the presets say: the scriptlet has run");
    assert_eq!(root.rpm(&["--verify", "sbps-marshal"]), "", "every file is as the package has it");
    run("chroot", &[&root.0.to_string_lossy(), "sbps-marshal", "--version"]);

    run("systemctl", &["--root", &root.0.to_string_lossy(), "--quiet", "enable", "sbps-marshal.service"]);
    root.rpm(&["--upgrade", "--replacepkgs", &package("newer.rpm")]);
    assert!(is_enabled(), "an upgrade leaves what an administrator has said");
    root.rpm(&["--erase", "sbps-marshal"]);
    assert!(!is_enabled() && !root.path("usr/bin/sbps-marshal").exists());
    assert!(!Path::new("/usr/bin/sbps-marshal").exists(), "the node itself has got nothing");
}

#[test]
fn lio_in_a_made_root_the_rpms_scriptlets_run_without_systemd_and_heed_the_presets_of_the_site() {
    super::site::with_an_image();
    install_and_erase(&Root::make("suse", "enable sbps-marshal.service\ndisable *\n"), true);
    install_and_erase(&Root::make("fedora", "disable *\n"), false);
}
