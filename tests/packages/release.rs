//! What `make release` refuses before it begins, and how packages are called.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What Cargo.toml says.
const VERSION: &str = env!("CARGO_PKG_VERSION");

struct Tree {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Tree {
    /// A repository with what a release is judged by, and one commit.
    fn make() -> Tree {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tree");
        fs::create_dir(&path).unwrap();
        let parts = ["Cargo.toml", "CHANGELOG.md", "README.md", "packaging"];
        let mut copy = Command::new("cp");
        copy.arg("-r").args(parts).arg(&path).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(copy.status().unwrap().success());
        let tree = Tree { _folder: folder, path };
        tree.git(&["init", "--quiet"]);
        tree.git(&["add", "."]);
        tree.git(&["commit", "--quiet", "--message", "begun"]);
        tree
    }

    fn git(&self, arguments: &[&str]) {
        let someone = ["-c", "user.name=someone", "-c", "user.email=someone@localhost"];
        let ran = Command::new("git").args(someone).args(arguments).current_dir(&self.path).status();
        assert!(ran.unwrap().success(), "git {arguments:?}");
    }

    fn changelog(&self, text: &str) {
        fs::write(self.path.join("CHANGELOG.md"), text).unwrap();
        self.git(&["commit", "--quiet", "--all", "--message", "changelog"]);
    }

    /// What it says when it refuses. `make` is a program that fails: what is not refused goes no further.
    fn refused(&self, version: &str) -> String {
        let script = format!(
            "make() {{ echo 'make was started' >&2; exit 1; }}; export -f make; packaging/release '{version}'"
        );
        let ran = Command::new("bash").args(["-c", &script]).current_dir(&self.path).output().unwrap();
        assert!(!ran.status.success());
        String::from_utf8_lossy(&ran.stderr).into_owned()
    }
}

#[test]
fn a_release_is_refused_unless_version_tree_changelog_and_tag_agree_and_each_refusal_says_what_to_do() {
    let tree = Tree::make();
    tree.changelog(&format!("# Changelog\n\n## {VERSION}, unreleased\n"));

    assert!(tree.refused("2.0").contains("say make release VERSION=2.0.0"), "{}", tree.refused("2.0"));
    assert!(tree.refused("99.0.0").contains("set version in [workspace.package] to 99.0.0"));
    let said = tree.refused(VERSION);
    assert!(said.contains(&format!("CHANGELOG.md has no section \"## {VERSION}, 2")), "{said}");
    assert!(said.contains("- changelog\n"), "what has been committed is shown: {said}");

    fs::write(tree.path.join("left"), "").unwrap();
    assert!(tree.refused(VERSION).contains("the tree is not clean; commit or stash: ?? left"));
    fs::remove_file(tree.path.join("left")).unwrap();

    tree.changelog(&format!("# Changelog\n\n## {VERSION}, 2026-11-26\n"));
    tree.git(&["tag", &format!("v{VERSION}"), "HEAD~1"]);
    assert!(tree.refused(VERSION).contains("is the tag of another commit"), "{}", tree.refused(VERSION));
    tree.git(&["tag", "--force", &format!("v{VERSION}")]);
    assert_eq!(tree.refused(VERSION), "make was started\n", "nothing is left to refuse");
}

#[test]
fn the_version_of_a_package_follows_the_tag_and_orders_as_rpm_and_dpkg_do() {
    let tree = Tree::make();
    let version = || {
        let said = Command::new("packaging/version").current_dir(&tree.path).output().unwrap();
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    };
    tree.git(&["tag", "v7.0.0"]);
    assert_eq!(version(), "7.0.0");
    fs::write(tree.path.join("README.md"), "other").unwrap();
    let dirty = version();
    assert!(dirty.starts_with("7.0.0+0.g") && dirty.ends_with(".dirty"), "{dirty}");
    tree.git(&["commit", "--quiet", "--all", "--message", "one more"]);
    let later = version();
    assert!(later.starts_with("7.0.0+1.g"), "{later}");
    tree.git(&["tag", "--delete", "v7.0.0"]);
    let before = version();
    assert!(before.starts_with(&format!("{VERSION}~")), "{before}");

    let older = |one: &str, other: &str| {
        let dpkg = Command::new("dpkg").args(["--compare-versions", one, "lt", other]).status().unwrap();
        let lua = format!("print(rpm.vercmp('{one}', '{other}'))");
        let rpm = Command::new("rpm").args(["--eval", &format!("%{{lua:{lua}}}")]).output().unwrap();
        dpkg.success() && String::from_utf8_lossy(&rpm.stdout).trim() == "-1"
    };
    assert!(older("7.0.0", &later) && older(&later, "7.0.1"));
    assert!(older(&before, VERSION) && older("1.0.3", &before));
}
