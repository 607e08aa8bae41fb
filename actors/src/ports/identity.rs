//! Why SPIRE gives no token. Each says what to do about it; tokens are never part of it.

/// Why there is no JWT-SVID.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Nobody answers at the socket of the Workload API.
    #[error("SPIRE's Workload API at {socket} cannot be reached ({problem}): see whether spire-agent runs")]
    Unreachable {
        /// The socket.
        socket: String,
        /// Why.
        problem: String,
    },
    /// No answer in time.
    #[error("SPIRE at {socket} gave no token within {seconds} s: see whether spire-agent hangs")]
    Timeout {
        /// The socket.
        socket: String,
        /// The deadline.
        seconds: f32,
    },
    /// SPIRE has no entry for the program that asked.
    #[error("SPIRE issues no identity to {program} ({problem}): {remedy}")]
    Denied {
        /// Whose path SPIRE looks for.
        program: String,
        /// What SPIRE said.
        problem: String,
        /// The command that helps.
        remedy: String,
    },
    /// SPIRE has an entry for the program that asked, but not under a name that is ours.
    #[error("SPIRE issues {issued} to {program}, and not {wanted}: {remedy}")]
    Foreign {
        /// Who asked.
        program: String,
        /// The identities that were offered.
        issued: String,
        /// Those that would do.
        wanted: String,
        /// The command that helps.
        remedy: String,
    },
    /// The helper cannot be run, or fails.
    #[error("the helper {path} {problem}")]
    Helper {
        /// The program.
        path: String,
        /// What is wrong with it, and what helps.
        problem: String,
    },
    /// What came is no JWT-SVID for our audience.
    #[error("{program} got something from SPIRE that is no JWT-SVID for us: {problem}")]
    Answer {
        /// Who asked.
        program: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A token was refused by IMS, and SPIRE issues the same once more.
    #[error(
        "SPIRE still issues the token of {spiffe_id} that was refused: see whether the gateway trusts this SPIRE \
         server and admits this identity, and whether the clocks agree"
    )]
    Refused {
        /// Whose token it is.
        spiffe_id: String,
    },
}

impl IdentityError {
    /// Short, from a bounded set.
    pub fn kind(&self) -> &'static str {
        match self {
            IdentityError::Unreachable { .. } => "spire_unreachable",
            IdentityError::Timeout { .. } => "spire_timeout",
            IdentityError::Denied { .. } => "spire_denied",
            IdentityError::Foreign { .. } => "spire_foreign",
            IdentityError::Helper { .. } => "spire_helper",
            IdentityError::Answer { .. } => "spire_answer",
            IdentityError::Refused { .. } => "spire_refused",
        }
    }
}
