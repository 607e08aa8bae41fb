//! JWT-SVIDs from the Workload API, asked by this process: SPIRE looks at our own path.

use super::remedy;
use actors::ports::IdentityError;
use spiffe::transport::{Endpoint, TransportError};
use spiffe::{JwtSvid, WorkloadApiClient, WorkloadApiError};
use std::path::Path;

/// All that we are entitled to. Connects anew: the agent, and its socket, may be others than last time.
pub async fn fetch(socket: &Path, audience: &str) -> Result<Vec<JwtSvid>, IdentityError> {
    let asked = async {
        let client = WorkloadApiClient::connect(Endpoint::Unix(socket.to_owned())).await?;
        client.fetch_all_jwt_svids([audience], None).await
    };
    asked.await.map_err(|error| plain(error, socket))
}

/// Who SPIRE sees when we ask.
pub fn program() -> String {
    std::env::current_exe().map_or_else(|_| "sbps-marshal".to_owned(), |path| path.display().to_string())
}

/// The errors of tokens may quote them: of those, only the outermost is told.
fn plain(error: WorkloadApiError, socket: &Path) -> IdentityError {
    let denied = |problem| {
        let program = program();
        let remedy = remedy(&program);
        IdentityError::Denied { program, problem, remedy }
    };
    let socket = socket.display().to_string();
    match error {
        WorkloadApiError::NoIdentityIssued => denied("no identity issued".to_owned()),
        WorkloadApiError::PermissionDenied(problem) => denied(shown(&problem)),
        // An agent that has just started has no entries yet, and may say so in this way.
        WorkloadApiError::EmptyResponse
        | WorkloadApiError::MissingRequiredField { field: "JWTSVIDResponse.svids" } => {
            denied("an empty list".to_owned())
        }
        WorkloadApiError::Transport(TransportError::Status(status)) => {
            IdentityError::Unreachable { socket, problem: shown(&status.to_string()) }
        }
        WorkloadApiError::Transport(error) => {
            IdentityError::Unreachable { socket, problem: innermost(&error) }
        }
        other => IdentityError::Answer { program: program(), problem: shown(&other.to_string()) },
    }
}

fn shown(text: &str) -> String {
    crate::causes::one_line(text, crate::causes::SHOWN)
}

/// "No such file or directory" says more than the layers of transport around it.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    crate::causes::chain(error).last().map_or_else(String::new, |cause| shown(&cause.to_string()))
}
