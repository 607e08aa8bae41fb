//! The image management service over HTTPS.

use crate::config;
use crate::plain::Plain;
use crate::tls::{Https, Service, TlsError, unreached};
use actors::decide::retry::retry_after;
use actors::ports::{ImsError, ImsPort, Token};
use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Bytes of the longest list we read. A record is about 500 bytes, so this is a hundred times what a large site has.
const MAX_BODY: usize = 64 << 20;

/// Asks IMS for its list of images.
#[derive(Debug)]
pub struct ImsClient {
    https: Https,
    url: String,
    /// Until when it is left alone, and the status that it said so with.
    left_alone: Mutex<Option<(Instant, StatusCode)>>,
}

impl ImsClient {
    /// Nothing is asked yet; only a bad CA bundle fails here.
    pub fn new(config: &config::Ims) -> Result<Self, TlsError> {
        let https = Https::new(Service {
            name: "ims",
            ca_bundle: config.ca_bundle.clone(),
            insecure: config.insecure,
            connect_timeout: config.connect_timeout,
            // A slow answer and one that trickles end alike.
            timeout: Some(config.timeout),
        })?;
        Ok(ImsClient { https, url: config.url.clone(), left_alone: Mutex::default() })
    }

    fn unanswered(&self, error: reqwest::Error) -> ImsError {
        let (url, source) = (self.url.clone(), unreached("ims", &error).into());
        match error.is_timeout() && !error.is_connect() {
            true => ImsError::Timeout { url, source },
            false => ImsError::Connect { url, source },
        }
    }

    fn broken_off(&self, error: reqwest::Error) -> ImsError {
        let source = Plain::cause_of(&error);
        match error.is_timeout() {
            true => ImsError::Timeout { url: self.url.clone(), source: source.into() },
            false => self.no_list(source),
        }
    }

    fn no_list(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ImsError {
        ImsError::Body { url: self.url.clone(), source: source.into() }
    }

    /// The status with which IMS, or the gateway before it, asked not to be asked yet.
    fn is_left_alone(&self) -> Option<StatusCode> {
        let left_alone = *self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        left_alone.filter(|(until, _)| Instant::now() < *until).map(|(_, status)| status)
    }

    /// Whoever is overloaded says for how long; passes and polls meet the same answer meanwhile, and cost it nothing.
    fn leave_alone(&self, response: &Response) {
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        if let Some(pause) = header.and_then(retry_after) {
            tracing::debug!(url = self.url, seconds = pause.as_secs(), "IMS asks to be left alone");
            let left_alone = Some((Instant::now() + pause, response.status()));
            *self.left_alone.lock().unwrap_or_else(PoisonError::into_inner) = left_alone;
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ImsError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken_off(error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(self.no_list(format!("more than {MAX_BODY} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl ImsPort for ImsClient {
    async fn list_images(&self, token: Option<&Token>) -> Result<Vec<Value>, ImsError> {
        if let Some(status) = self.is_left_alone() {
            return Err(ImsError::Status { url: self.url.clone(), status: status.as_u16() });
        }
        self.https.look().await;
        let mut request = self.https.client().get(&self.url);
        if let Some(token) = token {
            request = request.bearer_auth(token.reveal());
        }
        let response = request.send().await.map_err(|error| self.unanswered(error))?;
        let (url, status) = (self.url.clone(), response.status());
        tracing::debug!(url, status = status.as_u16(), "IMS answered");
        match status {
            StatusCode::OK => {
                let body = self.body(response).await?;
                serde_json::from_slice(&body).map_err(|error| self.no_list(error))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(ImsError::Unauthorized { url, status: status.as_u16() })
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                self.leave_alone(&response);
                Err(ImsError::Status { url, status: status.as_u16() })
            }
            _ => Err(ImsError::Status { url, status: status.as_u16() }),
        }
    }
}
