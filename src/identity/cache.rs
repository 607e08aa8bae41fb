//! A token that is kept as long as it is good, and renewed before that ends, beside the calls that need it.

use super::Source;
use super::svid::Svid;
use crate::causes;
use actors::events::emit;
use actors::ports::{IdentityError, Token, TokenError, TokenPort};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Bearer tokens of a source that issues them for a while. No call takes longer than its deadline.
#[derive(Debug)]
pub struct Cached<S> {
    shared: Arc<Shared<S>>,
}

#[derive(Debug)]
struct Shared<S> {
    source: S,
    limit: Duration,
    held: Mutex<Held>,
    /// Whose turn it is to ask: what one asks for serves all.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    svid: Option<(Svid, Instant)>,
    handed_out: Option<Token>,
    is_not_renewed: bool,
}

/// What the cache has.
enum AtHand {
    Young(Token),
    /// Past half of its life.
    Ageing(Token),
    Nothing,
}

impl Held {
    fn at_hand(&self) -> AtHand {
        let Some((svid, since)) = &self.svid else { return AtHand::Nothing };
        // Not by the clock of the day: it may be set in between.
        match since.elapsed() {
            age if age < svid.life / 2 => AtHand::Young(svid.token.clone()),
            age if age < svid.life => AtHand::Ageing(svid.token.clone()),
            _ => AtHand::Nothing,
        }
    }
}

impl<S: Source> Cached<S> {
    /// Asks this source, and waits up to `limit` for it.
    pub fn new(source: S, limit: Duration) -> Self {
        let (held, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Cached { shared: Arc::new(Shared { source, limit, held, turn }) }
    }
}

impl<S: Source> Cached<S> {
    /// What `of` makes, at any time, of the source, of the token that is held, also after its end, and of its age.
    pub fn watch<T>(
        &self,
        of: impl Fn(&S, Option<(&Svid, Duration)>) -> T + Send + Sync + 'static,
    ) -> impl Fn() -> T + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || {
            let held = shared.held();
            let svid = held.svid.as_ref().map(|(svid, since)| (svid, since.elapsed()));
            of(&shared.source, svid)
        }
    }
}

impl<S: Source> TokenPort for Cached<S> {
    async fn token(&self, renew: bool) -> Result<Option<Token>, TokenError> {
        let refused = renew.then(|| self.shared.drop_refused()).flatten();
        let at_hand = self.shared.held().at_hand();
        let token = match at_hand {
            AtHand::Young(token) => Some(token),
            AtHand::Ageing(token) => {
                self.shared.renew_beside();
                Some(token)
            }
            AtHand::Nothing => self.shared.wait_for_new(refused).await?,
        };
        self.shared.held().handed_out.clone_from(&token);
        Ok(token)
    }
}

impl<S: Source> Shared<S> {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token that was handed out last, and is not held any more.
    fn drop_refused(&self) -> Option<Token> {
        let mut held = self.held();
        let refused = held.handed_out.clone();
        held.svid.take_if(|(svid, _)| Some(&svid.token) == refused.as_ref());
        refused
    }

    async fn wait_for_new(&self, refused: Option<Token>) -> Result<Option<Token>, IdentityError> {
        let asked = async {
            let _turn = self.turn.lock().await;
            // Whoever had the turn before has asked for us too.
            match self.held().at_hand() {
                AtHand::Young(token) | AtHand::Ageing(token) if Some(&token) != refused.as_ref() => {
                    return Ok(Some(token));
                }
                _ => {}
            }
            self.ask(refused.as_ref()).await
        };
        timeout(self.limit, asked).await.unwrap_or_else(|_| Err(self.late()))
    }

    /// At most one at a time; the token at hand is good meanwhile.
    fn renew_beside(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(_turn) = shared.turn.try_lock() else { return };
            let asked = timeout(shared.limit, shared.ask(None)).await;
            let Err(error) = asked.unwrap_or_else(|_| Err(shared.late())) else { return };
            if !std::mem::replace(&mut shared.held().is_not_renewed, true) {
                let (reason, detail) = (error.kind(), causes::with_causes(&error));
                emit!(IDENTITY_NOT_RENEWED, reason, detail);
            }
        });
    }

    /// Keeps what comes; what does not come leaves things as they are.
    async fn ask(&self, refused: Option<&Token>) -> Result<Option<Token>, IdentityError> {
        let asked_at = Instant::now();
        let svid = self.source.fetch().await?;
        if let Some(svid) = svid.as_ref().filter(|svid| Some(&svid.token) == refused) {
            return Err(IdentityError::Refused { spiffe_id: svid.spiffe_id.clone() });
        }
        let token = svid.as_ref().map(|svid| svid.token.clone());
        let mut held = self.held();
        held.svid = svid.map(|svid| (svid, asked_at));
        if std::mem::take(&mut held.is_not_renewed) {
            emit!(IDENTITY_RENEWED);
        }
        Ok(token)
    }

    fn late(&self) -> IdentityError {
        let socket = self.source.socket().display().to_string();
        IdentityError::Timeout { socket, seconds: self.limit.as_secs_f32() }
    }
}

#[cfg(test)]
mod tests;
