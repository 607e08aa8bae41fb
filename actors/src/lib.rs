//! The inside of sbps-marshal: five actors and every decision, no I/O.
//!
//! | actor | owns | is asked |
//! |---|---|---|
//! | [`ims::Ims`] | IMS client, token source | `ListImages` |
//! | [`s3::S3`] | S3 client, manifests by (key, ETag) | `ListObjects`, `FetchManifests` |
//! | [`pe::Pe`] | PE rules, the mount | `DiscoverPe`, `CheckFiles` |
//! | [`lio::Lio`] | the one targetclid session, configfs (a thread of its own) | `Observe`, `Apply`, `EndSession` |
//! | [`reconciler::Reconciler`] | passes, timer, history, status | `Tick`, `Resync`, `Preview` |
//!
//! The reconciler asks, the others answer; nobody else speaks. A pass is `gather::look` (ask everyone), `desired`
//! (what should be), `plan` with `guard` (what may be done), and `lio` (do it, and believe only configfs).
//! The outside comes in through the traits of [`ports`].

pub mod agent;
pub mod decide;
pub mod ims;
pub mod lio;
pub mod model;
pub mod mount;
pub mod ports;
pub mod reconciler;
pub mod s3;
pub mod sim;
