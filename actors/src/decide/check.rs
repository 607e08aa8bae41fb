//! What `sbps-marshal check` says of a node: for each prerequisite whether it is met, and what to do if not. Pure.

use crate::decide::save::{Save, save};
use crate::model::{Actual, Cause, Inventory, LunEntry, Site, Source};
use serde::Serialize;

/// How a prerequisite is met; the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is.
    Ok,
    /// The agent works, and an operator should look at it.
    Warning,
    /// Images are not projected, or not safely.
    Failed,
}

/// One prerequisite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which: short, from a bounded set.
    pub name: &'static str,
    /// Whether it is met.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// What to do; none if it is met.
    pub remedy: Option<String>,
}

impl Check {
    /// It is met.
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Check { name, verdict: Verdict::Ok, detail: detail.into(), remedy: None }
    }

    /// It works, and should be looked at.
    pub fn warning(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Check { name, verdict: Verdict::Warning, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    /// It is not met.
    pub fn failed(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Check { name, verdict: Verdict::Failed, detail: detail.into(), remedy: Some(remedy.into()) }
    }
}

/// The worst of all.
pub fn worst(checks: &[Check]) -> Verdict {
    checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok)
}

/// A source that was asked and did not answer as it should.
pub fn unanswered(name: &'static str, cause: &Cause) -> Check {
    let remedy = match (cause.source_name, cause.kind) {
        (Source::Ims, "unauthorized") => {
            "see the line `identity`: where no token is sent, IMS wants one; a token file may be out of date; of a SPIFFE ID \
             the gateway's policy decides whether it may read images"
        }
        (Source::Ims, "connect" | "timeout") => {
            "check ims.gateway, the network to it, and ims.ca_bundle if the cause is a certificate"
        }
        (Source::Ims, _) => "IMS itself fails, or something else answers at ims.gateway",
        (Source::S3, "credentials") => "put ACCESS_KEY:SECRET_KEY into s3.credential_file, mode 0600",
        (Source::S3, "denied") => {
            "check the keys in s3.credential_file, and that they may list and read s3.bucket"
        }
        (Source::S3, _) => {
            "check s3.host, s3.proto, s3.bucket, and s3.ca_bundle if the cause is a certificate"
        }
        (Source::Mount, "not_mounted") => {
            "mount the boot bucket with s3fs at mount.path, and see that it stays mounted: docs/day-one.md has a unit"
        }
        (Source::Mount, "wrong_type") => {
            "unmount what is there and mount the boot bucket, or set mount.fstype"
        }
        (Source::Mount, _) => "see whether s3fs hangs or has died; `umount -l` the path and mount it again",
        (Source::Lio, "busy") => {
            "if it is sbps-marshal, a command of a pass is under way; else wait until that client has ended, or end it"
        }
        (Source::Lio, "locked") => {
            "wait until that targetcli has ended, or exit it: LUNs come without its lock, and removals wait for it"
        }
        (Source::Lio, "connect") => {
            "run this as root; install targetcli 2.1.53 or later, and systemctl enable --now targetclid.socket"
        }
        (Source::Lio, "configfs") => "run this as root; see what `dmesg` says",
        (Source::Lio, _) => {
            "see `systemctl status targetclid`, and the last commands it was sent in the agent's log"
        }
    };
    // Whoever is in the way goes away by himself.
    match cause.kind {
        "busy" | "locked" => Check::warning(name, &cause.detail, remedy),
        _ => Check::failed(name, &cause.detail, remedy),
    }
}

/// The target, its TPG and whether it is read-only (R10).
pub fn target(actual: &Actual, site: &Site) -> Vec<Check> {
    let tpg_path = &actual.tpg_path;
    let Some(tpg) = &actual.tpg else {
        let remedy = "provision the target (CSM: provision_iscsi_server.sh; others: docs/day-one.md), or correct lio.iqn and lio.tpg";
        return vec![Check::failed("target", format!("{tpg_path} is not there"), remedy)];
    };
    let enabled = match tpg.enabled {
        true => Check::ok("target", format!("{tpg_path} is enabled")),
        false => {
            let remedy = format!("targetcli /{} enable, then targetcli saveconfig", shell_path(actual));
            Check::failed("target", format!("{tpg_path} is disabled: no initiator can log in"), remedy)
        }
    };
    let ours = site.ours_live(actual);
    let is_ours = |lun: &LunEntry| ours.iter().any(|(backstore, _)| lun.leads_to(&backstore.name));
    let writable: Vec<String> = actual
        .writable_mappings(is_ours)
        .into_iter()
        .map(|mapping| format!("{} lun {}", mapping.initiator, mapping.lun))
        .collect();
    let read_only = match tpg.write_protected {
        true if writable.is_empty() => Check::ok("read_only", "both write protections are on"),
        true => {
            let detail = format!("node ACLs map LUNs of ours that can be written to: {}", few(&writable));
            Check::failed(
                "read_only",
                detail,
                "delete these mappings and make them again with write_protect=1",
            )
        }
        false => {
            let remedy = format!(
                "targetcli /{} set attribute demo_mode_write_protect=1 prod_mode_write_protect=1, then targetcli saveconfig",
                shell_path(actual)
            );
            let detail =
                "demo_mode_write_protect and prod_mode_write_protect are not both 1: no LUN is added";
            Check::failed("read_only", detail, remedy)
        }
    };
    vec![enabled, read_only]
}

/// How many a line names.
const MOST_SHOWN: usize = 5;

fn few(all: &[String]) -> String {
    let shown = all.iter().take(MOST_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(MOST_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// As targetcli spells it: `iscsi/<iqn>/tpg1`.
fn shell_path(actual: &Actual) -> String {
    actual.tpg_path.as_str().replace("tpgt_", "tpg")
}

/// The addresses on which our TPG can be reached, as configfs names them: `10.0.0.1:3260`, `[fd00::1]:3260`.
pub fn portals(actual: &Actual) -> Vec<&str> {
    let folder = format!("{}/np/", actual.tpg_path);
    actual.others.iter().filter_map(|other| other.strip_prefix(&folder)).collect()
}

/// What was seen of a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portal {
    /// It accepts connections.
    Answers,
    /// This node has the address, and nobody listens.
    Silent,
    /// This node does not have the address.
    Elsewhere,
}

/// All portals of our TPG.
pub fn of_portals(actual: &Actual, seen: &[(String, Portal)]) -> Check {
    const NAME: &str = "portals";
    let path = shell_path(actual);
    if seen.is_empty() {
        let remedy = format!("targetcli /{path}/portals create ADDRESS, then targetcli saveconfig");
        return Check::failed(NAME, "the TPG has no portal: no initiator can find it", remedy);
    }
    let wrong: Vec<String> = seen
        .iter()
        .filter_map(|(portal, state)| match state {
            Portal::Answers => None,
            Portal::Silent => Some(format!("{portal} does not answer")),
            Portal::Elsewhere => Some(format!("this node does not have the address of {portal}")),
        })
        .collect();
    if wrong.is_empty() {
        let answer: Vec<&str> = seen.iter().map(|(portal, _)| portal.as_str()).collect();
        return Check::ok(NAME, format!("{} answers", answer.join(", ")));
    }
    let remedy = format!(
        "bring the address up, or open the firewall; else delete the portal below /{path}/portals and create it again, then \
         targetcli saveconfig"
    );
    Check::failed(NAME, few(&wrong), remedy)
}

/// saveconfig.json against what is live (R11).
pub fn saved(actual: &Actual, site: &Site) -> Check {
    const NAME: &str = "saveconfig";
    let by_the_agent = "nothing, if the agent runs: its next pass does it";
    match save(actual, &Inventory::default(), site) {
        Save::Equal => Check::ok(NAME, "what is live of ours is saved"),
        Save::Due => Check::warning(NAME, "it does not say what is live", by_the_agent),
        Save::SetAside => Check::warning(NAME, "it is torn", by_the_agent),
        Save::Refused(why) => Check::failed(
            NAME,
            why,
            "nothing while a pass is under way; else see `save_problem` in docs/operations.md",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::sample::{actual, backstore, lun, saved as is_saved, site};
    use crate::model::{AclMapping, Saved, Tpg};
    use std::collections::BTreeSet;

    fn tpg() -> Tpg {
        Tpg { enabled: true, write_protected: true, ..Tpg::default() }
    }

    fn with(tpg: Tpg) -> Vec<Check> {
        target(&Actual { tpg: Some(tpg), ..actual(vec![backstore()], vec![lun(7)]) }, &site())
    }

    fn verdicts(checks: &[Check]) -> Vec<Verdict> {
        checks.iter().map(|check| check.verdict).collect()
    }

    /// Every line that is not ok says what to do.
    fn fails(check: &Check, detail: &str, remedy: &str) {
        assert_eq!(check.verdict, Verdict::Failed, "{check:?}");
        assert!(check.detail.contains(detail), "{check:?}");
        assert!(check.remedy.as_deref().is_some_and(|text| text.contains(remedy)), "{check:?}");
    }

    #[test]
    fn r10_a_target_is_there_enabled_and_read_only_or_the_line_says_how_to_make_it_so() {
        assert_eq!(verdicts(&with(tpg())), [Verdict::Ok; 2]);
        fails(&target(&actual(Vec::new(), Vec::new()), &site())[0], "is not there", "provision");
        fails(&with(Tpg { enabled: false, ..tpg() })[0], "disabled", "/tpg1 enable");
        fails(&with(Tpg { write_protected: false, ..tpg() })[1], "not both 1", "prod_mode_write_protect=1");
        let writable = |lun| BTreeSet::from([AclMapping { initiator: "iqn.x:b".into(), lun }]);
        fails(&with(Tpg { writable: writable(7), ..tpg() })[1], "iqn.x:b lun 7", "write_protect=1");
        assert_eq!(
            verdicts(&with(Tpg { writable: writable(8), ..tpg() })),
            [Verdict::Ok; 2],
            "not a LUN of ours"
        );
    }

    #[test]
    fn a_portal_has_to_be_on_an_address_of_this_node_and_to_answer() {
        let node = actual(Vec::new(), Vec::new());
        let seen = |all: &[(&str, Portal)]| {
            let all: Vec<_> = all.iter().map(|(portal, state)| ((*portal).to_owned(), *state)).collect();
            of_portals(&node, &all)
        };
        assert_eq!(seen(&[("10.0.0.1:3260", Portal::Answers)]).verdict, Verdict::Ok);
        fails(&seen(&[]), "no portal", "portals create");
        let good = ("10.0.0.1:3260", Portal::Answers);
        fails(&seen(&[good, ("10.0.0.2:3260", Portal::Silent)]), "10.0.0.2:3260 does not answer", "firewall");
        let both = seen(&[("10.0.0.2:3260", Portal::Silent), ("10.0.0.3:3260", Portal::Elsewhere)]);
        fails(
            &both,
            "10.0.0.2:3260 does not answer, this node does not have the address of 10.0.0.3",
            "create it again",
        );
        let mut node = actual(Vec::new(), Vec::new());
        node.others =
            BTreeSet::from([format!("{}/np/10.0.0.1:3260", node.tpg_path), "iscsi/x/tpgt_1/np/y:1".into()]);
        assert_eq!(portals(&node), ["10.0.0.1:3260"]);
    }

    #[test]
    fn r11_what_is_saved_is_compared_with_what_is_live() {
        let live = || actual(vec![backstore()], vec![lun(7)]);
        assert_eq!(saved(&is_saved(live()), &site()).verdict, Verdict::Ok);
        assert_eq!(saved(&live(), &site()).verdict, Verdict::Warning);
        let torn = Saved::Unreadable { why: String::new(), torn: true, backup: Inventory::default() };
        assert_eq!(saved(&Actual { saved: torn, ..live() }, &site()).verdict, Verdict::Warning);
        let lost = Actual { luns: Vec::new(), ..is_saved(live()) };
        fails(&saved(&lost, &site()), "would forget", "save_problem");
    }

    #[test]
    fn every_source_that_does_not_answer_has_a_remedy_of_its_own() {
        let of = |source_name, kind| {
            unanswered("x", &Cause { source_name, kind, detail: "what was seen".into() }).remedy.unwrap()
        };
        let all = [
            of(Source::Ims, "unauthorized"),
            of(Source::Ims, "connect"),
            of(Source::Ims, "body"),
            of(Source::S3, "credentials"),
            of(Source::S3, "denied"),
            of(Source::S3, "failed"),
            of(Source::Mount, "not_mounted"),
            of(Source::Mount, "wrong_type"),
            of(Source::Mount, "hung"),
            of(Source::Lio, "busy"),
            of(Source::Lio, "locked"),
            of(Source::Lio, "connect"),
            of(Source::Lio, "configfs"),
            of(Source::Lio, "timeout"),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for kind in ["busy", "locked"] {
            let cause = Cause { source_name: Source::Lio, kind, detail: String::new() };
            assert_eq!(unanswered("x", &cause).verdict, Verdict::Warning, "it goes away by itself");
        }
    }

    #[test]
    fn the_worst_line_counts() {
        let (ok, warning) = (Check::ok("a", ""), Check::warning("b", "", ""));
        assert_eq!(worst(&[]), Verdict::Ok);
        assert_eq!(worst(&[ok.clone(), warning.clone(), ok.clone()]), Verdict::Warning);
        assert_eq!(worst(&[warning, Check::failed("c", "", ""), ok]), Verdict::Failed);
    }
}
