//! The history port behind one type, so that the reconciler need not know which it is.

use crate::model::Boot;
use crate::ports::{HistoryError, HistoryPort};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

type Pending<T> = Pin<Box<dyn Future<Output = Result<T, HistoryError>>>>;

/// What is remembered over a restart, and the clock that its times are of.
#[derive(Clone)]
pub struct Store {
    load: Rc<dyn Fn() -> Pending<Option<Vec<u8>>>>,
    store: Rc<dyn Fn(Vec<u8>) -> Pending<()>>,
    boot: Rc<dyn Fn() -> Boot>,
}

impl Store {
    /// Over this port.
    pub fn new(port: impl HistoryPort) -> Self {
        let port = Rc::new(port);
        let (loads, stores) = (port.clone(), port.clone());
        Store {
            load: Rc::new(move || {
                let port = loads.clone();
                Box::pin(async move { port.load().await })
            }),
            store: Rc::new(move |bytes| {
                let port = stores.clone();
                Box::pin(async move { port.store(bytes).await })
            }),
            boot: Rc::new(move || port.boot()),
        }
    }

    /// See [`HistoryPort::load`].
    pub async fn load(&self) -> Result<Option<Vec<u8>>, HistoryError> {
        (self.load)().await
    }

    /// See [`HistoryPort::store`].
    pub async fn store(&self, bytes: Vec<u8>) -> Result<(), HistoryError> {
        (self.store)(bytes).await
    }

    /// See [`HistoryPort::boot`].
    pub fn boot(&self) -> Boot {
        (self.boot)()
    }
}
