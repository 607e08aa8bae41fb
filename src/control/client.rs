//! The other end: a command of the command line asks the running agent.

use super::resync::{CONFIRM, Line};
use super::socket;
use crate::status::document::{Document, SessionStatus};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, Response};
use serde::Deserialize;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use super::resync::{Judged, Line as ResyncLine};

/// For an answer that needs no pass.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Without a line for so long a pass is taken to hang: it is the longest that one step may take.
const LINE_WITHIN: Duration = Duration::from_secs(600);

/// Why the agent did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no agent answers on {}: {}", path.display(), remedy(source))]
    NoAgent {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It says why not.
    #[error("the agent refuses: {0}")]
    Refused(String),
    /// It broke off.
    #[error("the agent broke off its answer")]
    Broken(#[from] reqwest::Error),
    /// It is of another version.
    #[error("the agent's answer is not understood: is it of another version?")]
    Foreign(#[from] serde_json::Error),
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "run this as root",
        _ => "is it running? systemctl status sbps-marshal",
    }
}

impl AskError {
    /// Whether there is no agent that could be asked.
    pub fn is_about_nobody(&self) -> bool {
        let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
        matches!(self, AskError::NoAgent { source, .. } if nobody.contains(&source.kind()))
    }
}

/// The running agent.
pub struct Agent {
    client: Client,
}

impl Agent {
    /// Of this folder. Whether it is there is seen at once.
    pub fn find(runtime_dir: &Path) -> Result<Self, AskError> {
        let path = socket(runtime_dir);
        std::os::unix::net::UnixStream::connect(&path)
            .map_err(|source| AskError::NoAgent { path: path.clone(), source })?;
        let client = Client::builder().unix_socket(path).no_proxy().read_timeout(LINE_WITHIN).build()?;
        Ok(Agent { client })
    }

    /// How things are.
    pub async fn status(&self) -> Result<Document, AskError> {
        self.object(Method::GET, "/v1/status").await
    }

    /// Gives the session with targetclid away for so many minutes; 0 takes it back.
    pub async fn release(&self, minutes: u64) -> Result<SessionStatus, AskError> {
        self.object(Method::POST, &format!("/v1/release?minutes={minutes}")).await
    }

    /// Asks for a pass, with the code of removals that an operator has confirmed, and hands on its lines as they come. Gives
    /// the last one.
    pub async fn resync(
        &self,
        confirmed: Option<&str>,
        mut each: impl FnMut(&Line),
    ) -> Result<Line, AskError> {
        let code = confirmed.map(|code| utf8_percent_encode(code, NON_ALPHANUMERIC));
        let query = code.map(|code| format!("?{CONFIRM}{code}")).unwrap_or_default();
        let mut answer = self.ask(Method::POST, &format!("/v1/resync{query}"), None).await?;
        let (mut rest, mut last) = (Vec::new(), None);
        while let Some(bytes) = answer.chunk().await? {
            rest.extend_from_slice(&bytes);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Line = serde_json::from_slice(&rest[..end])?;
                rest.drain(..=end);
                each(&line);
                last = Some(line);
            }
        }
        Ok(last.unwrap_or_else(|| Line::Lost { why: "the agent has ended".into() }))
    }

    async fn object<T: for<'de> Deserialize<'de>>(&self, method: Method, path: &str) -> Result<T, AskError> {
        let answer = self.ask(method, path, Some(ANSWER_WITHIN)).await?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    async fn ask(&self, method: Method, path: &str, within: Option<Duration>) -> Result<Response, AskError> {
        let mut request = self.client.request(method, format!("http://agent{path}"));
        if let Some(within) = within {
            request = request.timeout(within);
        }
        let answer = request.send().await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let text = answer.text().await?;
        let error: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let why = error.and_then(|error| error["error"].as_str().map(str::to_owned));
        Err(AskError::Refused(why.unwrap_or(text)))
    }
}
