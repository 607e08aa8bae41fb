//! What can be asked, and what is answered: JSON, one object or one a line.

use super::Current;
use super::resync;
use super::server::Shared;
use crate::metrics;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use serde::Serialize;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// What is sent.
pub(super) type Body = BoxBody<Bytes, Infallible>;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Root, over the Unix socket.
    Operators,
    /// Whoever reaches the TCP port: only what a monitor needs.
    Anybody,
}

/// The longest time for which the session may be given away, min.
pub const LONGEST_RELEASE: u64 = 24 * 60;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers one request.
pub(super) async fn answer(
    request: Request<Incoming>,
    audience: Audience,
    shared: Shared,
) -> Result<Response<Body>, Infallible> {
    let Some(current) = shared.current.borrow().clone() else {
        return Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, "the agent is starting or stopping: ask again"));
    };
    let operator = audience == Audience::Operators;
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            let (text, content_type) =
                metrics::answer(&current.document().await, &shared.counters, accepts(&request));
            response(StatusCode::OK, content_type, text)
        }
        (&Method::GET, "/healthz") => health(current.reconciler.connected(), "the reconciler has ended"),
        (&Method::GET, "/readyz") => {
            health(current.status.borrow().is_ready(), "not ready: see `sbps-marshal status`")
        }
        (&Method::GET, "/v1/status") if operator => object(&current.document().await),
        (&Method::POST, "/v1/resync") if operator => {
            resync::answer(&current, &shared.tap, request.uri().query())
        }
        (&Method::POST, "/v1/release") if operator => release(&request, &current).await,
        _ => refusal(StatusCode::NOT_FOUND, "there is no such thing here"),
    })
}

fn accepts(request: &Request<Incoming>) -> &str {
    request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn release(request: &Request<Incoming>, current: &Arc<Current>) -> Response<Body> {
    let minutes = request.uri().query().and_then(|query| query.strip_prefix("minutes="));
    let Some(minutes) = minutes.and_then(|text| text.parse::<u64>().ok()).filter(|n| *n <= LONGEST_RELEASE)
    else {
        let remedy = format!(
            "minutes={} is not a number of minutes from 0 to {LONGEST_RELEASE}",
            minutes.unwrap_or_default()
        );
        return refusal(StatusCode::BAD_REQUEST, &remedy);
    };
    current.access.release((minutes > 0).then(|| Duration::from_secs(60 * minutes)));
    object(&current.document().await.agent.map(|agent| agent.session))
}

fn health(good: bool, otherwise: &str) -> Response<Body> {
    match good {
        true => response(StatusCode::OK, TEXT, "ok\n".into()),
        false => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{otherwise}\n")),
    }
}

fn object(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_string(value) {
        Ok(text) => response(StatusCode::OK, JSON, text),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

pub(super) fn refusal(status: StatusCode, why: &str) -> Response<Body> {
    response(status, JSON, json!({ "error": why }).to_string())
}

fn response(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
