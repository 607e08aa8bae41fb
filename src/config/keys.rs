//! The one table of what can be configured: of every key its name, default, kind, meaning and the place that its value
//! goes to. Checks, the shipped file, the table in docs/configuration.md and the manual page come from it.

use std::sync::LazyLock;
use std::time::Duration;

use super::input::Input;
use super::settings::{LogFormat, SpireMode};
use super::value_type::*;
use actors::decide::in_use::UsedBy;
use actors::decide::policy::OnChange;
use actors::model::Engine;

/// Puts the value of a text into its place; false if it is none.
type ReadInto = Box<dyn Fn(&str, &mut Input) -> bool + Send + Sync>;

/// One thing that can be configured.
pub struct Key {
    /// Section and key, `s3.bucket`.
    pub name: &'static str,
    /// As text; empty is unset, and `<hostname>` stands for the node's name.
    pub default: &'static str,
    /// The variable by which the Python agent knew it; empty: it did not.
    pub predecessor: &'static str,
    /// What it may be, in one line.
    pub allowed: String,
    /// What it means, in one line.
    pub doc: &'static str,
    /// Whether TOML writes it without quotes.
    pub(super) bare: bool,
    secret: bool,
    read: ReadInto,
    beside: fn(&Input) -> Option<String>,
}

impl Key {
    /// The variable that sets it. Keys have underscores too: a variable is found here, never taken apart.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.replace('.', "_").to_uppercase())
    }

    /// The variables that set it: ours, and the predecessor's if it had one.
    pub fn variables(&self) -> Vec<String> {
        let predecessor = Some(self.predecessor.to_owned()).filter(|name| !name.is_empty());
        std::iter::once(self.variable()).chain(predecessor).collect()
    }

    /// Its section, empty if it has none, and its name there.
    pub fn split(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }

    /// Puts the value that `text` says into its place, if it is one of this key's kind.
    pub(super) fn read(&self, text: &str, input: &mut Input) -> bool {
        (self.read)(text.trim(), input)
    }

    /// What it must be beside another key, if it is not that: both were read.
    pub(super) fn astray(&self, input: &Input) -> Option<String> {
        (self.beside)(input)
    }

    /// Whether a wrong value may be shown. A user part of an address may be a password.
    pub(super) fn may_show(&self, text: &str) -> bool {
        !self.secret && !text.contains('@')
    }

    fn was(self, predecessor: &'static str) -> Key {
        Key { predecessor, ..self }
    }

    fn beside(self, beside: fn(&Input) -> Option<String>) -> Key {
        Key { beside, ..self }
    }
}

/// A row: its kind and its place have one type, or it does not compile.
fn key<T: 'static>(
    name: &'static str,
    default: &'static str,
    kind: ValueType<T>,
    doc: &'static str,
    place: fn(&mut Input) -> &mut Option<T>,
) -> Key {
    let ValueType { allowed, read, bare, secret } = kind;
    let read = Box::new(move |text: &str, input: &mut Input| {
        *place(input) = read(text);
        place(input).is_some()
    });
    Key { name, default, predecessor: "", allowed, doc, bare, secret, read, beside: |_| None }
}

/// What our variables start with.
pub(super) const VARIABLE_PREFIX: &str = "SBPS_MARSHAL_";

/// A variable of the predecessor that sites set and that has nothing left to say.
pub(super) const UNUSED_VARIABLE: &str = "TARGETCLI_BIN";

/// From a second, below which an agent would do nothing else, to a day: nothing here is waited for longer.
fn period() -> ValueType<Duration> {
    seconds(1.0..=86_400.0)
}

/// Up to an hour: a call that takes longer has failed.
fn limit() -> ValueType<Duration> {
    seconds(SHORTEST_SECONDS..=3_600.0)
}

/// 16383 is the last number that SCSI's flat addressing can say.
fn lun() -> ValueType<u16> {
    whole(1..=16_383)
}

/// Every key, in the order of the shipped file: TOML wants those without a section first.
pub static KEYS: LazyLock<Vec<Key>> = LazyLock::new(keys);

#[rustfmt::skip] // a table
fn keys() -> Vec<Key> {
    vec![
        key("runtime_dir", "/run/sbps-marshal", path(), "Folder of the lock file and of the control socket; a change needs a restart", |input| &mut input.runtime_dir),
        key("state_dir", "/var/lib/sbps-marshal", path(), "Folder of what is remembered over a restart; a change needs a restart", |input| &mut input.state_dir),

        key("scan.frequency", "180", period(), "Interval between full passes", |input| &mut input.scan.frequency).was("SCAN_FREQUENCY"),
        key("scan.tag_frequency", "15", period(), "Interval between polls of the IMS tags; a changed tag starts a pass at once", |input| &mut input.scan.tag_frequency),

        key("guard.confirm_after", "20", period(), "Delay from the observation that an image is gone to the second one, which allows its removal", |input| &mut input.guard.confirm_after),
        key("guard.max_removal_percent", "10", whole(1..=100), "Percentage of our projections that may be removed within guard.window; more wait for confirm-removal", |input| &mut input.guard.max_removal_percent),
        key("guard.max_removals", "3", whole(1..=1_000), "Number of removals within guard.window that are always allowed", |input| &mut input.guard.max_removals),
        key("guard.window", "3600", period(), "Time within which removals are counted together", |input| &mut input.guard.window),
        key("guard.in_use", "reads", one_of([("reads", UsedBy::Reads), ("attached", UsedBy::Commands), ("off", UsedBy::Nothing)]), "What makes a LUN be in use, so that it is not removed: reads; attached: any command, such as that of a path checker; off: nothing", |input| &mut input.guard.in_use),
        key("guard.quiet_period", "900", period(), "How long a LUN must not have been used before it may be removed", |input| &mut input.guard.quiet_period),

        key("ims.gateway", "https://api-gw-service-nmn.local", url(), "The API gateway in front of IMS", |input| &mut input.ims.gateway).was("API_GATEWAY"),
        key("ims.uri", "apis/ims/v3/images", line(), "Where the gateway has the images", |input| &mut input.ims.uri).was("IMS_URI").beside(Input::uri_is_astray),
        key("ims.tagging", "true", flag(), "Whether only images tagged sbps-project=true are projected", |input| &mut input.ims.tagging).was("IMS_TAGGING"),
        key("ims.timeout", "10", limit(), "Total request timeout", |input| &mut input.ims.timeout).was("IMS_TIMEOUT"),
        key("ims.connect_timeout", "5", limit(), "Connect timeout", |input| &mut input.ims.connect_timeout),
        key("ims.ca_bundle", "", path().optional(), "PEM file of additional trusted CAs", |input| &mut input.ims.ca_bundle),
        key("ims.token_file", "", secret_path().optional(), "File that holds the bearer token", |input| &mut input.ims.token_file),
        key("ims.verify_md5", "true", flag(), "Whether an image whose ETag is not its manifest's may be proven by the manifest's MD5: read once, slowly", |input| &mut input.ims.verify_md5),

        key("s3.host", "rgw-vip.nmn", host(), "The S3 server", |input| &mut input.s3.host).was("S3_HOST"),
        key("s3.proto", "https", one_of([("https", "https://"), ("http", "http://")]), "Protocol", |input| &mut input.s3.proto).was("S3_PROTO"),
        key("s3.region", "us-east-1", name(), "Region that requests are signed for", |input| &mut input.s3.region),
        key("s3.bucket", "boot-images", name(), "The bucket of the images; part of every PE identity", |input| &mut input.s3.bucket).was("S3_BUCKET"),
        key("s3.credential_file", "/root/.ims.s3fs", secret_path(), "File that holds KEY:SECRET, as s3fs wants it", |input| &mut input.s3.credential_file).was("S3_CREDENTIAL_FILE"),
        key("s3.timeout", "60", limit(), "Total timeout of a listing, and of a manifest", |input| &mut input.s3.timeout),
        key("s3.connect_timeout", "5", limit(), "Connect timeout", |input| &mut input.s3.connect_timeout),
        key("s3.ca_bundle", "", path().optional(), "PEM file of additional trusted CAs", |input| &mut input.s3.ca_bundle),

        key("tls.insecure", "false", flag(), "Whether IMS and S3 are asked without a look at their certificates, as the predecessor did; warned of at each start", |input| &mut input.tls.insecure),

        key("pe.prefix", "PE/", line(), "Key prefix of PE images", |input| &mut input.pe.prefix),
        key("pe.suffix", "", line_or_empty(), "Optional key suffix", |input| &mut input.pe.suffix),
        key("pe.on_change", "hold", one_of([("hold", OnChange::Hold), ("replace", OnChange::Replace)]), "What happens to the LUN of a PE object that was replaced under its key; hold: it stays until confirm-removal; replace: it is withdrawn and made anew once nobody uses it", |input| &mut input.pe.on_change),

        key("mount.path", "/var/lib/cps-local/boot-images", mount_path(), "Where s3fs mounts the bucket", |input| &mut input.mount.path).was("SQUASHFS_S3FS_MOUNT"),
        key("mount.timeout", "10", limit(), "Timeout of one request to the mount", |input| &mut input.mount.timeout),
        key("mount.fstype", "fuse.s3fs", name(), "Type that the mount must have in mountinfo", |input| &mut input.mount.fstype),

        key("lio.iqn", "iqn.2023-06.csm.iscsi:<hostname>", iqn(), "Our target", |input| &mut input.lio.iqn),
        key("lio.tpg", "1", whole(1..=u16::MAX), "Tag of our target portal group", |input| &mut input.lio.tpg),
        key("lio.engine", "targetclid", one_of([("targetclid", Engine::Targetclid), ("configfs", Engine::Configfs)]), "Who changes LIO: targetclid, or the agent itself in configfs, which is many times faster and needs the drop-in lio-engine-configfs.conf; targetclid is told afterwards", |input| &mut input.lio.engine),
        key("lio.configfs", "/sys/kernel/config/target", path(), "Root of LIO's configfs tree", |input| &mut input.lio.configfs),
        key("lio.socket", "/run/targetclid.sock", path(), "Socket of targetclid", |input| &mut input.lio.socket),
        key("lio.command_timeout", "60", limit(), "Timeout of one command", |input| &mut input.lio.command_timeout),
        key("lio.tree_timeout", "300", limit(), "Timeout of refresh and saveconfig, whose duration grows with the number of LUNs", |input| &mut input.lio.tree_timeout),
        key("lio.save_file", "", path().optional(), "Path of saveconfig.json; unset: the one in the folder that configfs' dbroot names", |input| &mut input.lio.save_file).was("LIO_SAVE_FILE"),
        key("lio.first_lun", "1", lun(), "Lowest number for a new LUN", |input| &mut input.lio.first_lun),
        key("lio.last_lun", "16383", lun(), "Highest number for a new LUN", |input| &mut input.lio.last_lun).beside(Input::luns_are_reversed),
        key("lio.quarantine", "86400", seconds(0.0..=2_592_000.0), "How long the number of a removed LUN is given to no other image", |input| &mut input.lio.quarantine),

        key("spire.mode", "auto", one_of(SpireMode::NAMES), "Where tokens for IMS come from; auto: ims.token_file if set, else the Workload API, else the helper, else none", |input| &mut input.spire.mode).beside(Input::token_file_is_missing),
        key("spire.agent_path", "/opt/cray/cray-spire/sbps-marshal-spire-agent", path(), "The helper that fetches the JWT-SVID, a hard link to spire-agent", |input| &mut input.spire.agent_path).was("SPIRE_AGENT_PATH"),
        key("spire.jwt_audience", "system-compute", line(), "Audience of the JWT-SVID", |input| &mut input.spire.jwt_audience).was("SPIRE_JWT_AUDIENCE"),
        key("spire.agent_sock_path", "/var/lib/spire/agent.sock", path(), "Socket of the Workload API", |input| &mut input.spire.agent_sock_path).was("SPIRE_AGENT_SOCK_PATH"),

        key("log.level", "info", log_filter(), "Level of our own events; libraries log warnings and errors, unless named", |input| &mut input.log.level),
        key("log.format", "json", one_of([("json", LogFormat::Json), ("hec", LogFormat::Hec), ("text", LogFormat::Text)]), "Line format; json: a flat object; hec: the same in the envelope of Splunk's HTTP Event Collector; text: for a person", |input| &mut input.log.format),

        key("http.listen", "", address().optional(), "Where /metrics, /healthz and /readyz are served over TCP to whoever reaches it; a change needs a restart", |input| &mut input.http.listen),
        key("metrics.textfile", "", path().optional(), "File that the metrics are written to after each pass, for node_exporter's textfile collector; a change needs a restart", |input| &mut input.metrics.textfile),
    ]
}

/// The known name that is the fewest edits away: what a mistyped one was meant to be.
pub(super) fn nearest(unknown: &str, known: impl Iterator<Item = String>) -> String {
    known.min_by_key(|name| strsim::levenshtein(unknown, name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_keys_share_a_name_or_a_variable() {
        let names: BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
        let variables: BTreeSet<_> = KEYS.iter().map(Key::variable).collect();
        let old: Vec<_> = KEYS.iter().map(|key| key.predecessor).filter(|name| !name.is_empty()).collect();
        assert_eq!((names.len(), variables.len()), (KEYS.len(), KEYS.len()));
        assert_eq!(old.iter().collect::<BTreeSet<_>>().len(), old.len());
    }

    #[test]
    fn every_variable_of_the_predecessor_is_known() {
        let old: BTreeSet<_> = KEYS.iter().map(|key| key.predecessor).collect();
        for name in [
            "SCAN_FREQUENCY",
            "API_GATEWAY",
            "IMS_URI",
            "IMS_TAGGING",
            "IMS_TIMEOUT",
            "S3_HOST",
            "S3_PROTO",
            "S3_CREDENTIAL_FILE",
            "S3_BUCKET",
            "SQUASHFS_S3FS_MOUNT",
            "SPIRE_AGENT_PATH",
            "SPIRE_JWT_AUDIENCE",
            "SPIRE_AGENT_SOCK_PATH",
            "LIO_SAVE_FILE",
        ] {
            assert!(old.contains(name), "{name}");
        }
    }

    #[test]
    fn a_mistyped_name_is_nearest_to_what_was_meant() {
        let nearest = |unknown| nearest(unknown, KEYS.iter().map(|key| key.name.to_owned()));
        assert_eq!(nearest("s3.bukcet"), "s3.bucket");
        assert_eq!(nearest("scan.freqency"), "scan.frequency");
        assert_eq!(nearest("bucket"), "s3.bucket");
        assert_eq!(nearest("scan.tagfrequency"), "scan.tag_frequency");
    }
}
