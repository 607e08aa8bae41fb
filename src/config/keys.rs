//! The one table of what can be configured. Checks, the shipped file and the README's table come from it.

use super::kind::{Kind, SHORTEST_SECONDS};
use Kind::*;

/// One thing that can be configured.
#[derive(Debug)]
pub struct Key {
    /// Section and key, `s3.bucket`.
    pub name: &'static str,
    /// As text; empty is unset, and `<hostname>` stands for the node's name.
    pub default: &'static str,
    /// The variable by which the Python agent knew it; empty: it did not.
    pub predecessor: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it means, in one line.
    pub doc: &'static str,
}

impl Key {
    /// The variable that sets it. Keys have underscores too: a variable is found here, never taken apart.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.replace('.', "_").to_uppercase())
    }
}

/// What our variables start with.
pub(super) const VARIABLE_PREFIX: &str = "SBPS_MARSHAL_";

/// A variable of the predecessor that sites set and that has nothing left to say.
pub(super) const UNUSED_VARIABLE: &str = "TARGETCLI_BIN";

/// From a second, below which an agent would do nothing else, to a day: nothing here is waited for longer.
const PERIOD: Kind = Seconds { min: 1.0, max: 86_400 };
/// Up to an hour: a call that takes longer has failed.
const LIMIT: Kind = Seconds { min: SHORTEST_SECONDS, max: 3_600 };
/// 16383 is the last number that SCSI's flat addressing can say.
const LUN: Kind = Whole { min: 1, max: 16_383 };

/// Every key, in the order of the shipped file: TOML wants those without a section first.
#[rustfmt::skip] // a table
pub const KEYS: &[Key] = &[
    key("runtime_dir", "/run/sbps-marshal", "", Path, "Folder of the lock file and of confirmations; a change needs a restart"),
    key("state_dir", "/var/lib/sbps-marshal", "", Path, "Folder of what is remembered over a restart; a change needs a restart"),

    key("scan.frequency", "180", "SCAN_FREQUENCY", PERIOD, "From one full pass to the next"),
    key("scan.tag_frequency", "20", "", PERIOD, "From one look at the IMS tags to the next; a changed tag causes a pass at once"),

    key("guard.confirm_after", "20", "", PERIOD, "From the first look that finds an image gone to the second, which lets it be removed"),
    key("guard.max_removal_percent", "10", "", Whole { min: 1, max: 100 }, "Percent of our projections that may be removed within guard.window; more waits for confirm-removal"),
    key("guard.max_removals", "3", "", Whole { min: 1, max: 1_000 }, "So many removals are always allowed"),
    key("guard.window", "3600", "", PERIOD, "Removals of this time are counted together"),

    key("ims.gateway", "https://api-gw-service-nmn.local", "API_GATEWAY", Url, "The API gateway in front of IMS"),
    key("ims.uri", "apis/ims/v3/images", "IMS_URI", Text, "Where the gateway has the images"),
    key("ims.tagging", "true", "IMS_TAGGING", Flag, "Whether only images tagged sbps-project=true are projected"),
    key("ims.timeout", "10", "IMS_TIMEOUT", LIMIT, "Limit of a whole call"),
    key("ims.connect_timeout", "5", "", LIMIT, "Limit of connecting"),
    key("ims.ca_bundle", "", "", Optional(&Path), "PEM file of further trusted CAs"),
    key("ims.token_file", "", "", Optional(&SecretPath), "File that holds the bearer token"),
    key("ims.verify_md5", "true", "", Flag, "Whether an image whose ETag is not its manifest's may be proven by the manifest's MD5: read once, slowly"),

    key("s3.host", "rgw-vip.nmn", "S3_HOST", Host, "The S3 server"),
    key("s3.proto", "https", "S3_PROTO", OneOf(&["https", "http"]), "How it is spoken to"),
    key("s3.region", "us-east-1", "", Name, "Region that requests are signed for"),
    key("s3.bucket", "boot-images", "S3_BUCKET", Name, "The bucket of the images; part of every PE identity"),
    key("s3.credential_file", "/root/.ims.s3fs", "S3_CREDENTIAL_FILE", SecretPath, "File that holds KEY:SECRET, as s3fs wants it"),
    key("s3.timeout", "60", "", LIMIT, "Limit of a whole listing, and of a whole manifest"),
    key("s3.connect_timeout", "5", "", LIMIT, "Limit of connecting"),
    key("s3.ca_bundle", "", "", Optional(&Path), "PEM file of further trusted CAs"),

    key("pe.prefix", "PE/", "", Text, "Keys that start so are PE images"),
    key("pe.suffix", "", "", Optional(&Text), "... if they end so too"),

    key("mount.path", "/var/lib/cps-local/boot-images", "SQUASHFS_S3FS_MOUNT", MountPath, "Where s3fs mounts the bucket"),
    key("mount.timeout", "10", "", LIMIT, "Limit of one question to the mount"),
    key("mount.fstype", "fuse.s3fs", "", Name, "Type that the mount must have in mountinfo"),

    key("lio.iqn", "iqn.2023-06.csm.iscsi:<hostname>", "", Iqn, "Our target"),
    key("lio.tpg", "1", "", Whole { min: 1, max: u16::MAX }, "Tag of our target portal group"),
    key("lio.configfs", "/sys/kernel/config/target", "", Path, "Root of LIO's configfs tree"),
    key("lio.socket", "/run/targetclid.sock", "", Path, "Socket of targetclid"),
    key("lio.command_timeout", "60", "", LIMIT, "Limit of one command"),
    key("lio.tree_timeout", "300", "", LIMIT, "Limit of refresh and saveconfig, which grow with the number of LUNs"),
    key("lio.save_file", "", "LIO_SAVE_FILE", Optional(&Path), "saveconfig.json; unset: the one in the folder that configfs' dbroot names"),
    key("lio.first_lun", "1", "", LUN, "Lowest number for a new LUN"),
    key("lio.last_lun", "16383", "", LUN, "Highest number for a new LUN"),

    key("spire.agent_path", "/opt/cray/cray-spire/sbps-marshal-spire-agent", "SPIRE_AGENT_PATH", Path, "The helper that fetches the JWT-SVID"),
    key("spire.jwt_audience", "system-compute", "SPIRE_JWT_AUDIENCE", Text, "Audience of the JWT-SVID"),
    key("spire.agent_sock_path", "/var/lib/spire/agent.sock", "SPIRE_AGENT_SOCK_PATH", Path, "Socket of the Workload API"),

    key("log.level", "info", "", LogFilter, "How much of our own events is logged; of the libraries' only warnings, unless named"),
    key("log.format", "json", "", OneOf(&["json", "text"]), "How lines look: for machines or for a person"),
];

const fn key(
    name: &'static str,
    default: &'static str,
    predecessor: &'static str,
    kind: Kind,
    doc: &'static str,
) -> Key {
    Key { name, default, predecessor, kind, doc }
}

/// The known name that is the fewest edits away: what a mistyped one was meant to be.
pub(super) fn nearest(odd: &str, known: impl Iterator<Item = String>) -> String {
    known.min_by_key(|name| edits(odd, name)).unwrap_or_default()
}

/// Levenshtein's distance, one row at a time.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        row[0] = left;
        for (j, b) in to.iter().enumerate() {
            let above = row[j + 1];
            left = (above + 1).min(left + 1).min(diagonal + usize::from(a != *b));
            row[j + 1] = left;
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or_default()
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
        let nearest = |odd| nearest(odd, KEYS.iter().map(|key| key.name.to_owned()));
        assert_eq!(nearest("s3.bukcet"), "s3.bucket");
        assert_eq!(nearest("scan.freqency"), "scan.frequency");
        assert_eq!(nearest("bucket"), "s3.bucket");
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!((edits("", ""), edits("", "abc"), edits("abc", "")), (0, 3, 3));
        assert_eq!((edits("kitten", "sitting"), edits("same", "same")), (3, 0));
    }
}
