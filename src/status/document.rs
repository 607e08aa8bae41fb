//! What is known of a node, as one JSON object: `status --json`, and what the running agent answers on its socket.
//!
//! Times are seconds since 1970 with a fraction. Reasons and kinds are short and from bounded sets; `detail` is for a
//! person. A reader skips keys that it does not know, and `schema` grows when one changes its meaning.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of the form below.
pub const SCHEMA: u32 = 1;

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The node's host name.
    pub node: String,
    /// Of our target.
    pub iqn: String,
    /// Of the agent.
    pub version: String,
    /// When all this was looked at.
    pub taken: f64,
    /// The running agent; without one, the rest is what configfs and saveconfig.json show.
    pub agent: Option<AgentStatus>,
    /// Every image that is a LUN, waits to be one, or waits to be none; by LUN number, those without one last.
    pub projections: Vec<Projected>,
    /// What is wrong, the errors first.
    pub conditions: Vec<OpenCondition>,
    /// Where initiators log in: `10.0.0.1:3260`.
    pub portals: Vec<String>,
    /// The initiators that are logged in.
    pub sessions: Vec<String>,
    /// The same on each worker that has the same LUNs under the same numbers.
    pub map_digest: String,
}

/// What only the running agent knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Of its process.
    pub pid: u32,
    /// When it started.
    pub started: f64,
    /// The last pass that ended.
    pub pass: Option<PassStatus>,
    /// Whether one is under way.
    pub passing: bool,
    /// When the next one is due; `None` while one is under way.
    pub next_pass: Option<f64>,
    /// `ims`, `s3`, `mount` and `lio`.
    pub sources: BTreeMap<String, SourceStatus>,
    /// Who we are to IMS.
    pub identity: IdentityStatus,
    /// The session with targetclid.
    pub session: SessionStatus,
    /// LUN numbers that were freed and are given to no other image yet.
    #[serde(default)]
    pub quarantined: usize,
}

/// A pass that has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PassStatus {
    /// As in the log.
    pub scan_id: u64,
    /// When it ended.
    pub ended: f64,
    /// How long it took.
    pub seconds: f64,
    /// `converged` or `not_converged`.
    pub result: String,
    /// LUNs.
    pub added: usize,
    /// LUNs.
    pub remade: usize,
    /// LUNs.
    pub removed: usize,
    /// Changes that did not come about.
    pub failed: usize,
}

/// What is asked in each pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Whether it answered when it was last asked.
    pub up: bool,
    /// When it last did.
    pub last_answer: Option<f64>,
    /// Why it did not.
    pub reason: Option<String>,
    /// The same, for a person.
    pub detail: Option<String>,
}

/// Who we are to IMS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IdentityStatus {
    /// `workload-api`, `helper`, `token-file` or `none`.
    pub way: Option<String>,
    /// Of the token in use.
    pub spiffe_id: Option<String>,
    /// When that token ends.
    pub expires: Option<f64>,
}

/// The session with targetclid.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// `open`, `closed`, or `released` by an operator.
    pub state: String,
    /// Until when, if released.
    pub released_until: Option<f64>,
    /// How often the daemon was waited for.
    #[serde(default)]
    pub waits: u64,
    /// How long in all.
    #[serde(default)]
    pub waited_seconds: f64,
}

/// An image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Projected {
    /// `live`, `pending` or `held` (live, and due to be removed).
    pub state: String,
    /// Why it is not simply live.
    pub reason: Option<String>,
    /// The same, for a person.
    pub detail: Option<String>,
    /// With which an operator lets it go.
    pub confirm_code: Option<String>,
    /// `rootfs` or `pe`.
    pub kind: String,
    /// IMS' id of a root file system, the key of a PE image.
    pub image_id: String,
    /// What IMS calls it.
    pub image_name: Option<String>,
    /// In the boot bucket.
    pub key: Option<String>,
    /// `s3://bucket/key`.
    pub s3_path: Option<String>,
    /// Without quotes.
    pub etag: Option<String>,
    /// Under the mount.
    pub file: Option<String>,
    /// Bytes.
    pub size_bytes: Option<u64>,
    /// LUN number in our TPG.
    pub lun: Option<u16>,
    /// Of the backstore; the SCSI product.
    pub name: Option<String>,
    /// Unit serial.
    pub wwn: Option<String>,
    /// By which an initiator's multipath knows it.
    pub wwid: Option<String>,
    /// Commands that initiators have sent to this LUN since it was made.
    pub commands: Option<u64>,
    /// Bytes that they have read from it, in whole MiB.
    pub read_bytes: Option<u64>,
}

/// Something that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenCondition {
    /// As in the log: `image_pending`, `source_unknown`, ...
    pub event: String,
    /// `warn` or `error`.
    pub level: String,
    /// An image, a source, a file, a code.
    pub subject: String,
    /// Short, from a bounded set.
    pub reason: String,
    /// For a person, with the remedy.
    pub detail: String,
    /// Since when it holds.
    pub since: Option<f64>,
}
