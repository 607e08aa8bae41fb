//! Over real files and real ports; nothing is connected.

use super::*;
use std::fs;
use std::path::PathBuf;
use support::tls::Authority;

/// A folder with a configuration that names two CA bundles.
struct Site {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources { file: folder.path().join("config.toml"), ..Sources::default() };
        let site = Site { folder, sources };
        let ca = Authority::new();
        for name in ["ims.pem", "s3.pem"] {
            site.write(name, ca.pem());
        }
        site.configure("");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn configure(&self, more: &str) {
        let of = |name| self.path(name).display().to_string();
        let bundles = format!("ims.ca_bundle = {:?}\ns3.ca_bundle = {:?}\n", of("ims.pem"), of("s3.pem"));
        self.write("config.toml", &format!("{bundles}{more}\n"));
    }

    fn running(&self) -> InForce {
        let settings = config::load(&self.sources).unwrap().settings;
        Prepared::make(settings, Backend::Real, None).unwrap().in_force
    }

    fn reread(&self, running: &InForce) -> Result<Option<Box<Prepared>>, ReloadError> {
        prepare(&self.sources, Backend::Real, running)
    }

    /// The kind, and what an operator reads.
    fn refusal(&self, running: &InForce) -> (&'static str, String) {
        let error = self.reread(running).err().expect("a refusal");
        (error.kind(), causes::with_causes(&error))
    }
}

#[test]
fn nothing_new_is_nothing_to_do_and_what_is_new_is_made_already() {
    let site = Site::new();
    let running = site.running();
    assert!(site.reread(&running).unwrap().is_none());
    site.configure("scan.frequency = 60");
    let prepared = site.reread(&running).unwrap().unwrap();
    assert_eq!(prepared.in_force.settings.scan.frequency.as_secs(), 60);
}

#[test]
fn h7_a_bundle_that_is_missing_or_half_written_refuses_the_reload_with_its_path() {
    let site = Site::new();
    let running = site.running();
    site.configure("scan.frequency = 60");
    let whole = fs::read_to_string(site.path("s3.pem")).unwrap();
    site.write("s3.pem", &whole[..whole.len() / 2]);
    let (kind, told) = site.refusal(&running);
    assert_eq!(kind, "s3");
    assert!(told.contains("the S3 client cannot be made: ca_bundle") && told.contains("s3.pem"), "{told}");
    fs::remove_file(site.path("ims.pem")).unwrap();
    let (kind, told) = site.refusal(&running);
    assert_eq!(kind, "ims");
    assert!(told.contains("ims.pem cannot be read") && told.contains("No such file"), "{told}");
}

#[test]
fn h7_a_save_file_that_cannot_be_said_to_targetclid_refuses_the_reload() {
    let site = Site::new();
    let running = site.running();
    site.configure("lio.save_file = \"/etc/my target/x\"");
    let (kind, told) = site.refusal(&running);
    assert_eq!(kind, "lio");
    assert!(told.contains("/etc/my target/x"), "{told}");
}

#[test]
fn h7_a_bundle_whose_content_has_changed_is_read_again_although_the_settings_are_equal() {
    let site = Site::new();
    let running = site.running();
    for name in ["ims.pem", "s3.pem"] {
        let old = fs::read_to_string(site.path(name)).unwrap();
        site.write(name, Authority::new().pem());
        assert!(site.reread(&running).unwrap().is_some(), "{name}");
        site.write(name, &old);
        assert!(site.reread(&running).unwrap().is_none(), "{name}");
    }
}

#[test]
fn m12_the_folders_of_the_lock_and_of_the_history_cannot_change_without_a_restart() {
    let site = Site::new();
    let running = site.running();
    for key in ["runtime_dir", "state_dir"] {
        site.write("config.toml", &format!("{key} = \"/elsewhere\"\nlog.level = \"debug\"\n"));
        let (kind, told) = site.refusal(&running);
        assert_eq!(kind, "needs_restart");
        assert!(told.contains(key) && told.contains("systemctl restart"), "{told}");
    }
}

#[test]
fn a_bad_configuration_refuses_the_reload_with_every_line() {
    let site = Site::new();
    let running = site.running();
    site.configure("scan.frequency = 0.5\nlio.tpg = 0");
    let (kind, told) = site.refusal(&running);
    assert_eq!((kind, told.lines().count()), ("config", 2));
}

/// In a process of its own: it counts threads, and the tests beside it start some too.
#[test]
fn a_mount_that_stays_is_asked_through_the_same_threads_after_a_reload() {
    const ALONE: &str = "SBPS_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let this = "run::reload::tests::a_mount_that_stays_is_asked_through_the_same_threads_after_a_reload";
        let program = std::env::current_exe().unwrap();
        let run =
            std::process::Command::new(program).args(["--exact", this]).env(ALONE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let site = Site::new();
    let running = site.running();
    let before = threads();
    site.configure("scan.frequency = 60");
    let _same_mount = site.reread(&running).unwrap().unwrap();
    assert_eq!(threads(), before);
    site.configure("mount.timeout = 3");
    let _another_mount = site.reread(&running).unwrap().unwrap();
    assert_eq!(threads(), before + 8);
}
