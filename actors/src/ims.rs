//! The Ims actor: owns the IMS client and the token source.

use crate::decide::images::{ImageList, read_records};
use crate::model::Snapshot;
use crate::ports::{ImsError, ImsPort, TokenPort};
use actix::prelude::*;
use std::rc::Rc;

/// Owns the IMS client and the token source.
pub struct Ims<P, T> {
    port: Rc<P>,
    tokens: Rc<T>,
}

impl<P: ImsPort, T: TokenPort> Ims<P, T> {
    /// An actor over these two ports.
    pub fn new(port: P, tokens: T) -> Self {
        Ims { port: Rc::new(port), tokens: Rc::new(tokens) }
    }
}

impl<P: ImsPort, T: TokenPort> Actor for Ims<P, T> {
    type Context = Context<Self>;
}

/// Request: the whole list of images.
#[derive(Message)]
#[rtype(result = "Snapshot<ImageList>")]
pub struct ListImages;

impl<P: ImsPort, T: TokenPort> Handler<ListImages> for Ims<P, T> {
    type Result = ResponseFuture<Snapshot<ImageList>>;

    fn handle(&mut self, _: ListImages, _: &mut Self::Context) -> Self::Result {
        let (port, tokens) = (self.port.clone(), self.tokens.clone());
        Box::pin(async move { list_images(&*port, &*tokens).await })
    }
}

/// Asks once; if the token was refused, once more with a new one.
async fn list_images(port: &impl ImsPort, tokens: &impl TokenPort) -> Snapshot<ImageList> {
    let mut renew = false;
    loop {
        let token = match tokens.token(renew).await {
            Ok(token) => token,
            Err(error) => return Snapshot::Unknown((&error).into()),
        };
        match port.list_images(token.as_ref()).await {
            Ok(values) => return Snapshot::Known(read_records(&values)),
            Err(ImsError::Unauthorized { .. }) if !renew && token.is_some() => renew = true,
            Err(error) => return Snapshot::Unknown((&error).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{Token, TokenError};
    use serde_json::Value;
    use serde_json::json;

    /// Hands out a new token only when asked to renew; IMS takes only that one.
    struct Gateway(std::cell::RefCell<Vec<Option<String>>>);

    impl TokenPort for Gateway {
        async fn token(&self, renew: bool) -> Result<Option<Token>, TokenError> {
            Ok(Some(Token::new(if renew { "new" } else { "old" })))
        }
    }

    impl ImsPort for Gateway {
        async fn list_images(&self, token: Option<&Token>) -> Result<Vec<Value>, ImsError> {
            self.0.borrow_mut().push(token.map(|token| token.reveal().to_owned()));
            match token.map(Token::reveal) {
                Some("new") => Ok(vec![json!({"id": "a", "metadata": {}})]),
                _ => Err(ImsError::Unauthorized { url: "test".into(), status: 401 }),
            }
        }
    }

    #[tokio::test]
    async fn a_token_that_was_refused_is_renewed_once() {
        let gateway = Gateway(Default::default());
        let list = list_images(&gateway, &gateway).await;
        assert_eq!(list.known().unwrap().records.len(), 1);
        assert_eq!(*gateway.0.borrow(), [Some("old".to_owned()), Some("new".to_owned())]);
    }
}
