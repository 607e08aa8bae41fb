//! The API gateway in front of IMS.

use super::Node;
use crate::tls::{Authority, Gateway};

impl Node {
    /// Begins to serve, with a certificate of this CA.
    pub fn gateway(&self, authority: &Authority) -> Gateway {
        self.runtime.block_on(Gateway::before(self.ims.address(), authority.certificate("127.0.0.1")))
    }
}
