//! `sbps-marshal check`: looks at everything that the agent needs on this node. Nothing is changed.

use crate::aside::{Aside, FILE_LIMIT};
use crate::causes::{SHOWN, counted, one_line, with_causes};
use crate::config::{ConfigErrors, Loaded, Settings};
use crate::exposure;
use crate::identity;
use crate::ims::ImsClient;
use crate::lio::LioAdapter;
use crate::mount::S3fsMount;
use crate::run::{runtime, site};
use crate::s3::S3Client;
use crate::tls;
use actors::decide::check::{self, Check, Portal, Verdict};
use actors::model::{Actual, Cause, Engine, Relevant, Request, Site};
use actors::ports::{ImsPort, LioPort, MountPort, Rest, S3Port, Token};
use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

/// For LIO, whose daemon may be waited for, and for each portal.
const LIO_LIMIT: Duration = Duration::from_secs(60);
const PORTAL_LIMIT: Duration = Duration::from_secs(2);

/// Everything, in the order in which a person puts it right. Without a configuration there is nothing else to look at.
pub fn node(loaded: Result<Loaded, ConfigErrors>) -> Vec<Check> {
    const NAME: &str = "configuration";
    let Loaded { settings, notes, .. } = match loaded {
        Ok(loaded) => loaded,
        Err(errors) => {
            let remedy = "correct it; docs/configuration.md lists every key";
            return errors.0.iter().map(|error| Check::failed(NAME, error.to_string(), remedy)).collect();
        }
    };
    let notes: Vec<String> = notes.into_iter().chain(identity::note(&settings)).collect();
    let configuration = match notes.is_empty() {
        true => Check::ok(NAME, "every key is known, and every value is allowed"),
        false => Check::warning(NAME, notes.join("; "), "as the line says"),
    };
    let mut checks = vec![user(rustix::process::geteuid().is_root()), configuration, certificates(&settings)];
    checks.extend(runtime().block_on(services(&settings)));
    checks
}

/// 0: all is well; 1: there are warnings; 2: something is not met.
pub fn exit_code(checks: &[Check]) -> u8 {
    match check::worst(checks) {
        Verdict::Ok => 0,
        Verdict::Warning => 1,
        Verdict::Failed => 2,
    }
}

/// Everything else is only seen by root.
fn user(is_root: bool) -> Check {
    const NAME: &str = "user";
    match is_root {
        true => Check::ok(NAME, "root, as the agent"),
        false => {
            Check::failed(NAME, "not root: what the lines below say may be wrong", "sudo sbps-marshal check")
        }
    }
}

/// Whether whoever answers is looked at.
fn certificates(settings: &Settings) -> Check {
    const NAME: &str = "tls";
    match tls::note(settings) {
        None => {
            Check::ok(NAME, "the certificates of IMS and S3 are verified where they are asked over https")
        }
        Some(note) => {
            Check::warning(NAME, note, "set ims.ca_bundle and s3.ca_bundle, and unset tls.insecure")
        }
    }
}

async fn services(settings: &Settings) -> Vec<Check> {
    let (identity, token) = identity(settings).await;
    let mut checks = vec![credentials(settings).await, identity];
    let (ims, bucket, mount, lio) =
        tokio::join!(ims(settings, token), bucket(settings), mount(settings), lio(settings));
    checks.extend([ims, bucket, mount]);
    checks.extend(lio);
    checks
}

/// What reads files of the node may hang with them.
async fn in_time<T: Send + 'static>(
    name: &'static str,
    question: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Check> {
    let answer = Aside::default().ask(FILE_LIMIT, question).await;
    answer.map_err(|error| {
        Check::failed(name, format!("a file could not be read: {error}"), "see which mount its files are on")
    })
}

async fn credentials(settings: &Settings) -> Check {
    const NAME: &str = "credentials";
    let looked = settings.clone();
    let notes = match in_time(NAME, move || exposure::of_secrets(&looked)).await {
        Ok(notes) => notes,
        Err(failed) => return failed,
    };
    if notes.is_empty() {
        return Check::ok(NAME, "nobody else can read or replace the secrets");
    }
    Check::warning(NAME, notes.join("; "), "chmod, chown or move them as the line says")
}

async fn identity(settings: &Settings) -> (Check, Option<Token>) {
    const NAME: &str = "identity";
    match identity::identify(settings).await {
        Ok(identity) => (Check::ok(NAME, identity.shown), identity.token),
        // The error ends with its own remedy; the page says the rest.
        Err(error) => {
            let remedy = "as said; see also the section Identity of the README";
            (Check::failed(NAME, with_causes(&error), remedy), None)
        }
    }
}

async fn ims(settings: &Settings, token: Option<Token>) -> Check {
    const NAME: &str = "ims";
    let config = settings.ims.clone();
    let client = match in_time(NAME, move || ImsClient::new(&config)).await {
        Ok(Ok(client)) => client,
        Err(failed) => return failed,
        Ok(Err(error)) => return Check::failed(NAME, with_causes(&error), "correct ims.ca_bundle"),
    };
    match client.list_images(token.as_ref()).await {
        Ok(images) => {
            Check::ok(NAME, format!("{} lists {}", settings.ims.url, counted(images.len(), "image")))
        }
        Err(error) => check::unanswered(NAME, &Cause::from(&error)),
    }
}

async fn bucket(settings: &Settings) -> Check {
    const NAME: &str = "bucket";
    let config = settings.s3.clone();
    let client = match in_time(NAME, move || S3Client::new(&config)).await {
        Ok(Ok(client)) => client,
        Err(failed) => return failed,
        Ok(Err(error)) => return Check::failed(NAME, with_causes(&error), "correct s3.ca_bundle"),
    };
    let relevant = Relevant { prefix: settings.pe.prefix.clone(), ..Relevant::default() };
    match client.list(&relevant).await {
        Ok(index) => {
            let (bucket, prefix) = (&settings.s3.bucket, &relevant.prefix);
            let objects = counted(index.len(), "object");
            Check::ok(NAME, format!("{bucket} can be listed; {objects} below {prefix}"))
        }
        Err(error) => check::unanswered(NAME, &Cause::from(&error)),
    }
}

async fn mount(settings: &Settings) -> Check {
    const NAME: &str = "mount";
    let path = settings.mount.path.display();
    match S3fsMount::new(&settings.mount) {
        Ok(mount) => match mount.check().await {
            Ok(_) => Check::ok(NAME, format!("{path} is a {} mount, and answers", settings.mount.fstype)),
            Err(error) => check::unanswered(NAME, &Cause::from(&error)),
        },
        Err(error) => Check::failed(NAME, format!("{path} cannot be watched: {error}"), "free some memory"),
    }
}

/// The kernel, targetclid, the target, its portals and what is saved: as far as there is something to look at.
async fn lio(settings: &Settings) -> Vec<Check> {
    let (looked, site) = (settings.clone(), site(settings));
    let checks = Aside::default().ask(LIO_LIMIT, move || lio_now(&looked, &site)).await;
    checks.unwrap_or_else(|error| {
        let remedy = "the kernel or targetclid hangs: see `dmesg` and `systemctl status targetclid`";
        vec![Check::failed("lio", error.to_string(), remedy)]
    })
}

fn lio_now(settings: &Settings, site: &Site) -> Vec<Check> {
    let kernel = kernel(&settings.lio.configfs, is_configfs);
    if kernel.remedy.is_some() {
        return vec![kernel];
    }
    let mut lio = match LioAdapter::new(&settings.lio) {
        Ok(lio) => lio,
        Err(error) => {
            let remedy = "correct lio.iqn and lio.save_file";
            return vec![kernel, Check::failed("target", with_causes(&error), remedy)];
        }
    };
    // By what is there it is known how long a daemon that is started now may take.
    let observed = lio.observe();
    let daemon = match lio.apply(&Request::Probe) {
        Ok(_) => Check::ok("targetclid", "it answers, and nobody holds targetcli's lock"),
        Err(error) => check::unanswered("targetclid", &Cause::from(&error)),
    };
    lio.rest(Rest::ForGood);
    let mut checks = vec![kernel, daemon];
    checks.extend(engine(settings, &DROP_INS.map(Path::new)));
    match observed {
        Ok(actual) => {
            checks.extend(check::target(&actual, site));
            if actual.tpg.is_some() {
                checks.push(check::of_portals(&actual, &seen(&actual)));
            }
            checks.push(check::saved(&actual, site));
        }
        Err(error) => checks.push(check::unanswered("target", &Cause::from(&error))),
    }
    checks
}

/// Where systemd looks for drop-ins of the unit.
const DROP_INS: [&str; 3] = [
    "/etc/systemd/system/sbps-marshal.service.d",
    "/run/systemd/system/sbps-marshal.service.d",
    "/usr/lib/systemd/system/sbps-marshal.service.d",
];

/// Whether the unit may do what `lio.engine` says; that this process may is no sign of it.
fn engine(settings: &Settings, folders: &[&Path]) -> Option<Check> {
    const NAME: &str = "engine";
    if settings.lio.engine == Engine::Targetclid {
        return None;
    }
    let configfs = &settings.lio.configfs;
    let allows = |line: &str| {
        let paths = line.trim().strip_prefix("ReadWritePaths=").unwrap_or_default();
        paths.split_whitespace().any(|path| configfs.starts_with(path.trim_start_matches('-')))
    };
    let drop_ins = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let drop_ins = drop_ins.filter(|drop_in| drop_in.path().extension().is_some_and(|end| end == "conf"));
    let mut texts = drop_ins.filter_map(|drop_in| std::fs::read_to_string(drop_in.path()).ok());
    let shown = configfs.display();
    Some(match texts.any(|text| text.lines().any(allows)) {
        true => Check::ok(NAME, format!("configfs, and a drop-in lets the unit write {shown}")),
        false => Check::warning(
            NAME,
            format!(
                "configfs, and no drop-in lets the unit write {shown}: unless the unit itself does, each change will fail"
            ),
            "install lio-engine-configfs.conf (docs/operations.md, A faster engine)",
        ),
    })
}

/// It loads the module and sets dbroot, which has to be set before any fabric is loaded (facts 1.6).
const LIO_SERVICE: &str = "install targetcli-fb (Debian, Ubuntu), python3-targetcli-fb (SUSE) or targetcli (Fedora and its \
    kin), then systemctl enable --now rtslib-fb-targetctl (Debian, Ubuntu) or target (others): it loads LIO";

/// Whether it is mounted there: the folder is there without it (linux/magic.h).
fn is_configfs(path: &Path) -> bool {
    const CONFIGFS_MAGIC: i64 = 0x6265_6570;
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type == CONFIGFS_MAGIC)
}

/// What a bare machine lacks.
fn kernel(configfs: &Path, is_configfs: impl Fn(&Path) -> bool) -> Check {
    const NAME: &str = "kernel";
    let shown = configfs.display();
    let missing = |what: &str, remedy: &str| Check::failed(NAME, format!("{what} is not there"), remedy);
    if !configfs.exists() {
        return match configfs.parent().is_some_and(is_configfs) {
            true => missing(&shown.to_string(), LIO_SERVICE),
            false => missing(
                &format!("configfs, with {shown},"),
                "systemctl start sys-kernel-config.mount, or correct lio.configfs",
            ),
        };
    }
    match configfs.join("iscsi").exists() {
        true => Check::ok(NAME, format!("{shown} is there, with iSCSI")),
        false => missing(
            &format!("{shown}/iscsi"),
            "provision the target (docs/day-one.md): whoever makes it loads iscsi_target_mod, after dbroot is set",
        ),
    }
}

/// Side by side: a silent one takes its time.
fn seen(actual: &Actual) -> Vec<(String, Portal)> {
    std::thread::scope(|scope| {
        let portals = check::portals(actual).into_iter();
        let asked: Vec<_> = portals.map(|portal| (portal, scope.spawn(|| state(portal)))).collect();
        let state = |(portal, asked): (&str, std::thread::ScopedJoinHandle<'_, Portal>)| {
            (portal.to_owned(), asked.join().unwrap_or(Portal::Silent))
        };
        asked.into_iter().map(state).collect()
    })
}

fn state(portal: &str) -> Portal {
    let Ok(address) = portal.parse::<SocketAddr>() else { return Portal::Elsewhere };
    // Only an address of this node can be bound; nothing is sent.
    match UdpSocket::bind((address.ip(), 0)) {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => return Portal::Elsewhere,
        _ => {}
    }
    match TcpStream::connect_timeout(&address, PORTAL_LIMIT) {
        Ok(_) => Portal::Answers,
        Err(_) => Portal::Silent,
    }
}

/// For a person: a line for each, and what to do about it below.
pub fn text(checks: &[Check]) -> String {
    let mut out = String::new();
    for Check { name, verdict, detail, remedy } in checks {
        let verdict = match verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{verdict:<8} {name:<13} {}", one_line(detail, LONGEST));
        if let Some(remedy) = remedy {
            let _ = writeln!(out, "{:<8} {:<13} -> {}", "", "", one_line(remedy, SHOWN));
        }
    }
    out
}

/// The most characters of what was seen: an error has a path in it and a remedy at its end.
const LONGEST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::net::TcpListener;

    #[test]
    fn what_a_bare_machine_lacks_is_named_step_by_step() {
        let folder = tempfile::tempdir().unwrap();
        let configfs = folder.path().join("config/target");
        let remedy = || kernel(&configfs, Path::exists).remedy.unwrap_or_default();
        assert!(remedy().contains("sys-kernel-config.mount"), "{}", remedy());
        std::fs::create_dir(folder.path().join("config")).unwrap();
        assert!(!is_configfs(&folder.path().join("config")), "a folder for it is not it");
        assert!(remedy().contains("rtslib-fb-targetctl"), "{}", remedy());
        std::fs::create_dir(&configfs).unwrap();
        assert!(remedy().starts_with("provision the target"), "{}", remedy());
        std::fs::create_dir(configfs.join("iscsi")).unwrap();
        assert_eq!(kernel(&configfs, Path::exists).verdict, Verdict::Ok);
    }

    #[test]
    fn the_engine_configfs_wants_a_drop_in_that_lets_the_unit_write_there() {
        let folder = tempfile::tempdir().unwrap();
        let settings = |engine: &str| {
            let flags = [format!("lio.engine={engine}"), "lio.iqn=iqn.2023-06.csm.iscsi:vm1".into()];
            let flags = flags.iter().map(|flag| flag.parse().unwrap()).collect();
            let file = folder.path().join("config.toml");
            config::load(&config::Sources { file, flags, ..Default::default() }).unwrap().settings
        };
        let verdict = |engine: &str| super::engine(&settings(engine), &[folder.path()]).map(|c| c.verdict);
        assert_eq!(verdict("targetclid"), None);
        assert_eq!(verdict("configfs"), Some(Verdict::Warning));
        let shipped = include_str!("../systemd/lio-engine-configfs.conf");
        std::fs::write(folder.path().join("10-engine.conf.bak"), shipped).unwrap();
        assert_eq!(verdict("configfs"), Some(Verdict::Warning), "systemd takes no notice of it");
        std::fs::write(folder.path().join("10-engine.conf"), shipped).unwrap();
        assert_eq!(verdict("configfs"), Some(Verdict::Ok));
    }

    #[test]
    fn a_portal_answers_is_silent_or_belongs_to_another_machine() {
        let listener = TcpListener::bind("127.0.0.23:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(state(&address), Portal::Answers);
        drop(listener);
        assert_eq!(state(&address), Portal::Silent);
        assert_eq!(state("192.0.2.1:3260"), Portal::Elsewhere);
        assert_eq!(state("no address"), Portal::Elsewhere);
    }

    #[test]
    fn a_person_reads_a_line_for_each_and_the_remedy_below_it() {
        let checks = [Check::ok("mount", "it answers"), Check::failed("ims", "401", "see `identity`")];
        assert_eq!(
            text(&checks),
            "ok       mount         it answers\nfailed   ims           401\n                       -> see `identity`\n"
        );
        assert_eq!((exit_code(&checks), exit_code(&checks[..1])), (2, 0));
        assert_eq!(exit_code(&[Check::warning("ims", "", "")]), 1);
    }
}
