//! Who we are to IMS: where bearer tokens come from, by `spire.mode`.

mod cache;
mod helper;
mod svid;
mod ways;
mod workload;

pub use cache::Cached;
#[cfg(fuzzing)]
pub use helper::fuzz;
pub use svid::Svid;
pub use ways::Ways;

use crate::config::{Settings, SpireMode};
use crate::status::document::IdentityStatus;
use crate::status::epoch_in;
use crate::token::FileToken;
use actors::decide::retry::IDENTITY_LIMIT as LIMIT;
use actors::ports::{IdentityError, Token, TokenError, TokenPort};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

/// What issues tokens that are good for a while.
pub trait Source: Send + Sync + 'static {
    /// A token that was issued now, or `None` where there is nobody to ask. May hang: whoever calls it has a deadline.
    fn fetch(&self) -> impl Future<Output = Result<Option<Svid>, IdentityError>> + Send;

    /// Where it is asked, for an error.
    fn socket(&self) -> &Path;
}

/// Where bearer tokens come from at this site.
#[derive(Debug)]
pub enum Tokens {
    /// From a file that somebody else keeps fresh, or from nowhere.
    File(FileToken),
    /// From SPIRE.
    Spire(Box<Cached<Ways>>),
}

impl Tokens {
    /// As `spire.mode` says. Nobody is asked yet.
    pub fn new(settings: &Settings) -> Self {
        let of_file = |path| Tokens::File(FileToken::new(path, settings.ims.timeout));
        match way(settings) {
            SpireMode::TokenFile => of_file(settings.ims.token_file.clone()),
            SpireMode::None => of_file(None),
            _ => Tokens::Spire(Box::new(Cached::new(Ways::new(settings.spire.clone(), LIMIT), LIMIT))),
        }
    }
}

/// Who we are to IMS, at any time.
pub type Watch = Arc<dyn Fn() -> IdentityStatus + Send + Sync>;

impl Tokens {
    /// For whoever wants to know who we are, without asking anybody for it.
    pub fn watch(&self) -> Watch {
        match self {
            Tokens::File(file) => {
                let way = if file.is_used() { SpireMode::TokenFile } else { SpireMode::None };
                Arc::new(move || IdentityStatus { way: Some(way.name().into()), ..IdentityStatus::default() })
            }
            Tokens::Spire(spire) => Arc::new(spire.watch(|ways, svid| IdentityStatus {
                way: ways.told().map(str::to_owned),
                spiffe_id: svid.map(|(svid, _)| svid.spiffe_id.clone()),
                expires: svid.map(|(svid, age)| epoch_in(svid.life) - age.as_secs_f64()),
            })),
        }
    }
}

impl TokenPort for Tokens {
    async fn token(&self, renew: bool) -> Result<Option<Token>, TokenError> {
        match self {
            Tokens::File(file) => file.token(renew).await,
            Tokens::Spire(spire) => spire.token(renew).await,
        }
    }
}

/// Who we are to IMS, for a person.
pub struct Identity {
    /// By which way it came, and what is known of it.
    pub shown: String,
    /// What is sent, if anything.
    pub token: Option<Token>,
}

/// Asks for a token, as the agent would.
pub async fn identify(settings: &Settings) -> Result<Identity, TokenError> {
    if let Tokens::File(file) = Tokens::new(settings) {
        let token = file.token(false).await?;
        let shown = match settings.ims.token_file.as_deref().filter(|_| token.is_some()) {
            Some(path) => format!("the token of {}", path.display()),
            None => "no token is sent to IMS".to_owned(),
        };
        return Ok(Identity { shown, token });
    }
    let ways = Ways::new(settings.spire.clone(), LIMIT);
    let svid = tokio::time::timeout(LIMIT, ways.fetch()).await.map_err(|_| IdentityError::Timeout {
        socket: ways.socket().display().to_string(),
        seconds: LIMIT.as_secs_f32(),
    })??;
    Ok(match svid {
        Some(Svid { token, spiffe_id, life }) => Identity {
            shown: format!("{spiffe_id} by {}, good for {} s", ways.way_name(), life.as_secs()),
            token: Some(token),
        },
        None => Identity { shown: "there is no SPIRE here: no token is sent to IMS".to_owned(), token: None },
    })
}

/// A site that has a token file had it before there were other ways.
fn way(settings: &Settings) -> SpireMode {
    match settings.spire.mode {
        SpireMode::Auto if settings.ims.token_file.is_some() => SpireMode::TokenFile,
        mode => mode,
    }
}

/// Whether tokens are sent, as far as can be told without asking. It looks at files, so it may block.
pub fn sends_tokens(settings: &Settings) -> bool {
    match way(settings) {
        SpireMode::None => false,
        SpireMode::Auto => settings.spire.agent_sock_path.exists() || settings.spire.agent_path.exists(),
        _ => true,
    }
}

/// What should be said once of how it is configured.
pub fn note(settings: &Settings) -> Option<String> {
    let file = settings.ims.token_file.as_deref()?;
    let unused = way(settings) != SpireMode::TokenFile;
    unused.then(|| {
        format!(
            "{} is not read: spire.mode is {}; unset ims.token_file, or set spire.mode to token-file",
            file.display(),
            settings.spire.mode.name()
        )
    })
}

/// What an administrator of SPIRE does about a program without an entry.
fn remedy(program: &str) -> String {
    format!(
        "spire-server entry create -parentID <SPIFFE ID of this node's agent> -spiffeID \
         spiffe://<domain>/ncn/workload/sbps-marshal -selector unix:path:{program}; a new entry takes some seconds"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn settings(flags: &[&str]) -> Settings {
        let paths = ["spire.agent_path=/no/such", "spire.agent_sock_path=/no/such"];
        let flags = paths.iter().chain(flags).map(|flag| flag.parse().unwrap()).collect();
        load(&Sources { flags, ..Sources::default() }).unwrap().settings
    }

    #[test]
    fn a_site_that_has_a_token_file_goes_on_with_it_and_one_that_has_nothing_sends_nothing() {
        let file = "ims.token_file=/t";
        for (flags, of_file, sent) in [
            (&[][..], false, false),
            (&[file], true, true),
            (&["spire.agent_sock_path=/dev/null"], false, true),
            (&["spire.agent_path=/dev/null"], false, true),
            (&["spire.mode=none"], true, false),
            (&["spire.mode=none", file], true, false),
            (&["spire.mode=token-file", file], true, true),
            (&["spire.mode=helper", file], false, true),
            (&["spire.mode=workload-api"], false, true),
        ] {
            let settings = settings(flags);
            assert_eq!(matches!(Tokens::new(&settings), Tokens::File(_)), of_file, "{flags:?}");
            assert_eq!(sends_tokens(&settings), sent, "{flags:?}");
        }
    }

    #[tokio::test]
    async fn without_tokens_none_is_sent_though_there_is_a_file() {
        let tokens = Tokens::new(&settings(&["spire.mode=none", "ims.token_file=/no/such"]));
        assert_eq!(tokens.token(false).await.unwrap(), None);
    }

    #[test]
    fn a_token_file_that_is_not_read_is_noted() {
        assert_eq!(note(&settings(&["ims.token_file=/t"])), None);
        assert_eq!(note(&settings(&["spire.mode=helper"])), None);
        let told = note(&settings(&["ims.token_file=/t", "spire.mode=helper"])).unwrap();
        assert!(told.starts_with("/t is not read: spire.mode is helper"), "{told}");
    }
}
