//! How the node is now.

use crate::status::Document;
use crate::status::document::{AgentStatus, Projected};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

/// A number with a fraction.
type Seconds = Gauge<f64, AtomicU64>;

/// Each label by its name: a family has the same ones throughout.
type Labels = Vec<(&'static str, String)>;

/// Characters of an image's name in a label.
const LONGEST_NAME: usize = 100;

/// States and kinds are shown when there are none of them too.
const STATES: [&str; 3] = ["live", "held", "pending"];
const KINDS: [&str; 2] = ["rootfs", "pe"];

pub(super) fn register(registry: &mut Registry, document: &Document) {
    // Before the first pass has seen the node nothing is known of it: no number is not zero.
    if document.agent.as_ref().is_none_or(|agent| agent.pass.is_some()) {
        of_node(registry, document);
    }
    info(registry, "build_info", "The agent's version", vec![("version", document.version.clone())]);
    conditions(registry, document);
    if let Some(agent) = &document.agent {
        of_agent(registry, agent);
    }
}

fn of_node(registry: &mut Registry, document: &Document) {
    projections(registry, &document.projections);
    gauge(registry, "sessions", "Initiators that are logged in", document.sessions.len() as i64);
    info(
        registry,
        "lun_map_info",
        "Digest of LUN numbers and identities: equal on all workers that show the same",
        vec![("digest", document.map_digest.clone())],
    );
}

fn of_agent(registry: &mut Registry, agent: &AgentStatus) {
    let up = Family::<Labels, Gauge>::default();
    let answered = Family::<Labels, Seconds>::default();
    for (name, source) in &agent.sources {
        let labels = vec![("source", name.clone())];
        up.get_or_create(&labels).set(i64::from(source.up));
        if let Some(at) = source.last_answer {
            answered.get_or_create(&labels).set(at);
        }
    }
    registry.register(
        "source_up",
        "Whether IMS, S3, the mount and LIO answered when they were last asked",
        up,
    );
    registry.register("source_last_answer_timestamp_seconds", "When they last did", answered);
    let pass = agent.pass.as_ref().map(|pass| pass.ended);
    time(registry, "last_pass_timestamp_seconds", "When the last pass ended", pass);
    let expiry = agent.identity.expires;
    time(registry, "token_expiry_timestamp_seconds", "When the token for IMS ends", expiry);
    time(registry, "start_timestamp_seconds", "When the agent started", Some(agent.started));
    let is = |state: &str| i64::from(agent.session.state == state);
    gauge(registry, "session_open", "Whether the session with targetclid is open", is("open"));
    gauge(registry, "session_released", "Whether an operator has the session", is("released"));
    counter(registry, "session_waits", "How often targetclid was waited for", agent.session.waits as f64);
    let waited = agent.session.waited_seconds;
    counter(registry, "session_wait_seconds", "How long targetclid was waited for", waited);
    let quarantined = agent.quarantined as i64;
    gauge(
        registry,
        "quarantined_numbers",
        "LUN numbers that were freed and are given to no other image",
        quarantined,
    );
}

fn projections(registry: &mut Registry, all: &[Projected]) {
    let images = Family::<Labels, Gauge>::default();
    for state in STATES {
        for kind in KINDS {
            let of = |one: &&Projected| one.state == state && one.kind == kind;
            let labels = vec![("kind", kind.to_owned()), ("state", state.to_owned())];
            images.get_or_create(&labels).set(all.iter().filter(of).count() as i64);
        }
    }
    registry.register("projections", "Images that are LUNs (live, held) or wait to be (pending)", images);
    let (read, commands) = (Family::<Labels, Counter>::default(), Family::<Labels, Counter>::default());
    for one in all {
        let Some(lun) = one.lun else { continue };
        // Whatever IMS was given: nobody reads a longer one.
        let name = one.image_name.iter().flat_map(|name| name.chars()).take(LONGEST_NAME).collect();
        let labels = vec![
            ("image", one.image_id.clone()),
            ("image_name", name),
            ("kind", one.kind.clone()),
            ("lun", lun.to_string()),
        ];
        if let Some(bytes) = one.read_bytes {
            read.get_or_create(&labels).inc_by(bytes);
        }
        if let Some(count) = one.commands {
            commands.get_or_create(&labels).inc_by(count);
        }
    }
    registry.register("lun_read_bytes", "Bytes that initiators have read from a LUN", read);
    registry.register("lun_commands", "Commands that initiators have sent to a LUN", commands);
}

fn conditions(registry: &mut Registry, document: &Document) {
    let mut counts = BTreeMap::<(&str, &str), i64>::new();
    for condition in &document.conditions {
        *counts.entry((&condition.event, &condition.level)).or_default() += 1;
    }
    let open = Family::<Labels, Gauge>::default();
    for ((event, level), count) in counts {
        open.get_or_create(&vec![("event", event.to_owned()), ("level", level.to_owned())]).set(count);
    }
    registry.register("conditions", "What is wrong now, by the event that told it", open);
    let held = document.conditions.iter().any(|condition| condition.event == "removals_held");
    gauge(registry, "breaker_open", "Whether removals wait for an operator (R3)", i64::from(held));
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn time(registry: &mut Registry, name: &str, help: &str, value: Option<f64>) {
    let Some(value) = value else { return };
    let gauge = Seconds::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let counter = Counter::<f64, AtomicU64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

fn info(registry: &mut Registry, name: &str, help: &str, labels: Labels) {
    let info = Family::<Labels, Gauge>::default();
    info.get_or_create(&labels).set(1);
    registry.register(name, help, info);
}
