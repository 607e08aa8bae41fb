//! The image management service over HTTPS.

use crate::config;
use crate::plain::Plain;
use crate::tls::{TlsError, Trust};
use actors::ports::{ImsError, ImsPort, Token};
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::Value;

/// Bytes of the longest list we read. A record is about 500 bytes, so this is a hundred times what a large site has.
const MAX_BODY: usize = 64 << 20;

/// Asks IMS for its list of images.
#[derive(Debug)]
pub struct ImsClient {
    client: Client,
    url: String,
}

impl ImsClient {
    /// Nothing is asked yet; only a bad CA bundle fails here.
    pub fn new(config: &config::Ims) -> Result<Self, TlsError> {
        let client = Trust::load(config.ca_bundle.as_deref())?
            .reqwest()?
            .connect_timeout(config.connect_timeout)
            // Of everything, the body included: a slow answer and one that trickles end alike.
            .timeout(config.timeout)
            // A proxy of the environment is for the internet; calls within the site would be lost in it.
            .no_proxy()
            // The token is for this server alone.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|source| TlsError::Setup { source: source.into() })?;
        Ok(ImsClient { client, url: config.url.clone() })
    }

    fn unanswered(&self, error: reqwest::Error) -> ImsError {
        let (url, source) = (self.url.clone(), Plain::cause_of(&error).into());
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
        let mut request = self.client.get(&self.url);
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
            _ => Err(ImsError::Status { url, status: status.as_u16() }),
        }
    }
}
