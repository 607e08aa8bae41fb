//! What has been built, before anybody installs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// What the README promises.
const OLDEST_GLIBC: (u32, u32) = (2, 31);

fn package(ending: &str) -> PathBuf {
    let folder = std::env::var("PACKAGES").expect("PACKAGES: make test-packages");
    Path::new(ROOT).join(folder).join(format!("newer.{ending}"))
}

fn output(program: &str, arguments: &[&str], folder: &Path) -> Output {
    let ran = Command::new(program).args(arguments).current_dir(folder).output();
    ran.unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let ran = output(program, arguments, folder);
    assert!(ran.status.success(), "{program} {arguments:?}: {}", said(&ran));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// What each package holds, unpacked.
fn unpacked() -> Vec<(&'static str, tempfile::TempDir, PathBuf)> {
    let unpack = |ending: &'static str, command: &str| {
        let folder = tempfile::tempdir().unwrap();
        let package = package(ending).to_string_lossy().into_owned();
        run("bash", &["-euo", "pipefail", "-c", command, &package], folder.path());
        let top = match ending {
            "tar.gz" => fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path(),
            _ => folder.path().to_owned(),
        };
        (ending, folder, top)
    };
    vec![
        unpack("rpm", "rpm2cpio \"$0\" | cpio --quiet -id"),
        unpack("deb", "dpkg-deb -x \"$0\" ."),
        unpack("tar.gz", "tar -xzf \"$0\""),
    ]
}

fn exists(top: &Path, path: &str) -> bool {
    top.join(path).symlink_metadata().is_ok()
}

#[test]
fn rpmlint_and_lintian_find_nothing_that_is_not_explained() {
    let config = format!("{ROOT}/packaging/rpm/rpmlint.toml");
    let rpm = package("rpm").to_string_lossy().into_owned();
    let looked = output("rpmlint", &["-c", &config, &rpm], Path::new(ROOT));
    assert!(said(&looked).contains("0 errors, 0 warnings"), "{}", said(&looked));
    let deb = package("deb").to_string_lossy().into_owned();
    let looked = output("lintian", &["--fail-on", "error,warning", "--allow-root", &deb], Path::new(ROOT));
    assert!(looked.status.success() && said(&looked).trim().is_empty(), "{}", said(&looked));
}

#[test]
fn every_package_has_the_same_program_which_runs_on_glibc_2_31() {
    let packages = unpacked();
    let programs: Vec<_> =
        packages.iter().map(|(_, _, top)| fs::read(top.join("usr/bin/sbps-marshal")).unwrap()).collect();
    assert!(programs.windows(2).all(|two| two[0] == two[1]));

    let symbols = run("objdump", &["-T", "usr/bin/sbps-marshal"], &packages[0].2);
    let versions = symbols.split("GLIBC_").skip(1).map(|rest| {
        let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    });
    let newest: (u32, u32) = versions.max().expect("symbols of glibc");
    println!("newest symbol: GLIBC_{}.{}", newest.0, newest.1);
    assert!(newest > (2, 0) && newest <= OLDEST_GLIBC, "{newest:?}");
    let readme = fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    assert!(readme.contains(&format!("glibc {}.{}", OLDEST_GLIBC.0, OLDEST_GLIBC.1)));
}

#[test]
fn the_program_names_the_package_the_commit_and_the_build_and_no_folder_of_who_built_it() {
    let (_, _folder, top) = unpacked().remove(0);
    let root = Path::new(ROOT);
    let version = run("./usr/bin/sbps-marshal", &["--version"], &top);
    let packaged = run("packaging/version", &[], root);
    assert!(version.starts_with(&format!("sbps-marshal {} (commit ", packaged.trim())), "{version}");
    let commit = run("git", &["rev-parse", "--short=12", "HEAD"], root);
    assert!(
        version.contains(commit.trim()) && version.contains("rustc 1.") && version.contains("glibc 2.31"),
        "{version}"
    );

    let bytes = fs::read(top.join("usr/bin/sbps-marshal")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let home = std::env::var("HOME").expect("HOME");
    for folder in [ROOT.to_owned(), format!("{home}/.cargo")] {
        assert!(!text.contains(&folder), "{folder} is in the program");
    }
}

#[test]
fn every_package_has_what_an_administrator_looks_for() {
    for (ending, _folder, top) in unpacked() {
        let unit = if ending == "deb" { "lib/systemd/system" } else { "usr/lib/systemd/system" };
        let packed = if ending == "tar.gz" { "" } else { ".gz" };
        let license = match ending {
            "rpm" => "usr/share/licenses/sbps-marshal/LICENSE",
            "deb" => "usr/share/doc/sbps-marshal/copyright",
            _ => "usr/share/doc/sbps-marshal/LICENSE",
        };
        for path in [
            "usr/bin/sbps-marshal",
            &format!("{unit}/sbps-marshal.service"),
            "usr/lib/tmpfiles.d/sbps-marshal.conf",
            "etc/sbps-marshal/conf.d/00-defaults.toml",
            &format!("usr/share/man/man8/sbps-marshal.8{packed}"),
            &format!("usr/share/man/man8/sbps-marshal-check.8{packed}"),
            &format!("usr/share/man/man5/sbps-marshal.toml.5{packed}"),
            "usr/share/bash-completion/completions/sbps-marshal",
            "usr/share/zsh/site-functions/_sbps-marshal",
            "usr/share/fish/vendor_completions.d/sbps-marshal.fish",
            "usr/share/sbps-marshal/monitoring/alerts.yml",
            "usr/share/sbps-marshal/monitoring/grafana.json",
            "usr/share/sbps-marshal/splunk/sbps_marshal/default/savedsearches.conf",
            "usr/share/doc/sbps-marshal/README.md",
            "usr/share/doc/sbps-marshal/docs/first-hour.md",
            license,
        ] {
            assert!(exists(&top, path), "{ending} has no {path}");
        }
        let unit = fs::read_to_string(top.join(format!("{unit}/sbps-marshal.service"))).unwrap();
        assert_eq!(unit, fs::read_to_string(format!("{ROOT}/systemd/sbps-marshal.service")).unwrap());
    }
}

#[test]
fn every_link_of_an_installed_document_leads_somewhere() {
    for (ending, _folder, top) in unpacked() {
        let documents = top.join("usr/share/doc/sbps-marshal");
        let listed = run("find", &["-L", ".", "-name", "*.md"], &documents);
        assert!(listed.lines().count() > 8, "{ending}: {listed}");
        for document in listed.lines().map(|line| documents.join(line)) {
            let text = fs::read_to_string(&document).unwrap();
            let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            for target in targets.filter(|target| !target.contains("://")) {
                let file = target.split('#').next().unwrap_or_default();
                let leads = file.is_empty() || document.parent().unwrap().join(file).exists();
                assert!(leads, "{ending}: {} links to {target}", document.display());
            }
        }
    }
}

#[test]
fn what_an_administrator_edits_is_configuration_to_rpm_and_to_dpkg() {
    const DEFAULTS: &str = "/etc/sbps-marshal/conf.d/00-defaults.toml";
    let root = Path::new(ROOT);
    let rpm = package("rpm").to_string_lossy().into_owned();
    assert_eq!(run("rpm", &["-qp", "--configfiles", &rpm], root).trim(), DEFAULTS);
    let flags = run("rpm", &["-qp", "--queryformat", "[%{FILEFLAGS:fflags} %{FILENAMES}\n]", &rpm], root);
    assert!(flags.contains(&format!("cn {DEFAULTS}")), "noreplace: {flags}");
    let deb = package("deb").to_string_lossy().into_owned();
    assert_eq!(run("dpkg-deb", &["-I", &deb, "conffiles"], root).trim(), DEFAULTS);
}

#[test]
fn packing_the_same_commit_again_gives_the_same_bytes() {
    let root = Path::new(ROOT);
    let again = BTreeMap::from([
        ("rpm", "packaging/rpm/build"),
        ("deb", "packaging/deb/build"),
        ("tar.gz", "packaging/tar"),
    ]);
    for (ending, build) in again {
        let before = fs::read(package(ending)).unwrap();
        let built = run(build, &[], root);
        assert!(fs::read(built.trim()).unwrap() == before, "{ending}");
    }
}

#[test]
fn every_user_may_read_what_is_installed_and_nobody_but_root_may_write_it() {
    let rpm = package("rpm").to_string_lossy().into_owned();
    let modes =
        run("rpm", &["-qp", "--queryformat", "[%{FILEMODES:perms} %{FILENAMES}\n]", &rpm], Path::new(ROOT));
    assert!(modes.lines().count() > 40, "{modes}");
    for line in modes.lines() {
        let allowed = ["drwxr-xr-x ", "-rw-r--r-- ", "lrwxrwxrwx ", "-rwxr-xr-x /usr/bin/sbps-marshal"];
        assert!(allowed.iter().any(|mode| line.starts_with(mode)), "{line}");
    }
    for (ending, _folder, top) in unpacked() {
        let others = run("find", &[".", "-not", "-type", "l", "-not", "-perm", "-0444"], &top);
        assert_eq!(others, "", "{ending}");
    }
}
