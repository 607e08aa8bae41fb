//! A pass that an operator asks for and looks on at: what it is at, what it tells, and what it came to, one object a
//! line.

use super::Current;
use super::routes::{Body, refusal};
use crate::telemetry::Tap;
use actors::agent::Phase;
use actors::decide::plan::Confirmation;
use actors::decide::status::Status;
use actors::events::emit;
use actors::reconciler::Tick;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Bytes;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Lines that may wait for the client.
const AHEAD: usize = 64;

/// A client that takes no line for so long is left alone; the pass goes on.
const LINE_WITHIN: Duration = Duration::from_secs(30);

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The sources are asked.
    Looking,
    /// LIO is told.
    Changing {
        /// Changes that have ended.
        done: usize,
        /// All of them.
        of: usize,
    },
    /// What the log says.
    Told(Value),
    /// The pass has ended.
    Done {
        /// Its number.
        scan_id: u64,
        /// Whether everything is as it should be.
        converged: bool,
        /// In one line.
        summary: String,
        /// What became of the code that was given.
        confirmation: Option<Judged>,
    },
    /// There will be no answer.
    Lost {
        /// Why.
        why: String,
    },
}

/// The part of a question that has the code of confirmed removals.
pub(super) const CONFIRM: &str = "confirm=";

/// What became of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// What it stands for may go.
    Confirmed,
    /// Nothing of this code waits any more.
    Unmatched,
    /// A source did not answer: it does not count.
    Dropped,
}

fn judged(confirmation: Confirmation) -> Judged {
    match confirmation {
        Confirmation::Matched => Judged::Confirmed,
        Confirmation::Unmatched => Judged::Unmatched,
        Confirmation::NotJudged => Judged::Dropped,
    }
}

/// Asks for a pass, and answers with its lines.
pub(super) fn answer(current: &Arc<Current>, tap: &Tap, query: Option<&str>) -> Response<Body> {
    let Some(query) = query else { return stream(current, tap, None) };
    let Some(code) = query.strip_prefix(CONFIRM) else {
        return refusal(StatusCode::BAD_REQUEST, &format!("{query:?} is not {CONFIRM}CODE"));
    };
    let code = percent_decode_str(code).decode_utf8_lossy().into_owned();
    match current.held_codes() {
        Some(held) if held.contains(&code) => stream(current, tap, Some(code)),
        Some(held) => refusal(StatusCode::CONFLICT, &other_code(&code, &held)),
        None => refusal(StatusCode::SERVICE_UNAVAILABLE, "no pass has seen the node yet: ask again"),
    }
}

/// Only what is held can be confirmed.
fn other_code(code: &str, held: &[String]) -> String {
    match held {
        [] => format!("it holds no removals, so {code:?} confirms nothing"),
        held => format!(
            "it holds removals under {}, not {code:?}: look at `sbps-marshal status` again",
            held.join(", ")
        ),
    }
}

fn stream(current: &Arc<Current>, tap: &Tap, confirmed: Option<String>) -> Response<Body> {
    let (sender, body) = Channel::<Bytes, Infallible>::new(AHEAD);
    match &confirmed {
        Some(code) => emit!(CONFIRMATION, code = code.as_str()),
        None => emit!(RESYNC, reason = "operator"),
    }
    let told = tap.listen();
    tokio::spawn(watch(current.clone(), confirmed, told, sender));
    let mut response = Response::new(body.boxed());
    let lines = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, lines);
    response
}

async fn watch(
    current: Arc<Current>,
    confirmed: Option<String>,
    mut told: tokio::sync::broadcast::Receiver<Arc<str>>,
    mut client: Sender<Bytes, Infallible>,
) {
    let mut phase = current.phase.clone();
    // A pass that is under way began before this was asked for: its successor answers.
    let mut pass = pin!(current.reconciler.send(Tick { confirmed }));
    let ended = loop {
        let line = tokio::select! {
            biased;
            Ok(event) = told.recv() => event_line(&event),
            Ok(()) = phase.changed() => phase_line(*phase.borrow_and_update()),
            ended = &mut pass => break ended,
        };
        if let Some(line) = line
            && !send(&mut client, &line).await
        {
            // It has gone; a pass whose answer nobody waits for would not be begun.
            let _ = pass.await;
            return;
        }
    };
    while let Ok(event) = told.try_recv() {
        if let Some(line) = event_line(&event) {
            send(&mut client, &line).await;
        }
    }
    let last = match ended {
        Ok(status) if !status.given_up => done(&status),
        _ => Line::Lost { why: "the agent was stopped or reloaded meanwhile: ask again".into() },
    };
    send(&mut client, &last).await;
}

fn event_line(event: &str) -> Option<Line> {
    serde_json::from_str(event).ok().map(Line::Told)
}

fn phase_line(phase: Phase) -> Option<Line> {
    match phase {
        Phase::Idle => None,
        Phase::Looking => Some(Line::Looking),
        Phase::Changing { done, of } => Some(Line::Changing { done, of }),
    }
}

fn done(status: &Status) -> Line {
    Line::Done {
        scan_id: status.scan_id,
        converged: status.converged,
        summary: status.to_string(),
        confirmation: status.confirmation.map(judged),
    }
}

/// Whether the client still listens.
async fn send(client: &mut Sender<Bytes, Infallible>, line: &Line) -> bool {
    let Ok(mut text) = serde_json::to_string(line) else { return true };
    text.push('\n');
    matches!(timeout(LINE_WITHIN, client.send_data(text.into())).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l10_a_code_that_nothing_has_is_told_with_what_is_held() {
        assert_eq!(other_code("1a2b3c4d", &[]), "it holds no removals, so \"1a2b3c4d\" confirms nothing");
        let held = ["0badc0de".to_owned(), "11111111".to_owned()];
        let told = other_code("1a2b\n", &held);
        assert!(told.starts_with("it holds removals under 0badc0de, 11111111, not \"1a2b\\n\""), "{told}");
    }
}
