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
//! The reconciler asks, the others answer; nobody else speaks. A pass is `pass::look` (ask everyone), `desired`
//! (what should be), `plan` with `guard` (what may be done), and `lio` (do it, and believe only configfs).
//! The outside comes in through the traits of [`ports`].

mod adding;
pub mod cast;
pub mod desired;
pub mod evidence;
pub mod findings;
pub mod guard;
pub mod history;
pub mod identity;
pub mod ims;
pub mod lio;
pub mod live;
pub mod manifest;
pub mod model;
pub mod pass;
pub mod pe;
pub mod plan;
pub mod ports;
pub mod reason;
pub mod reconciler;
pub mod s3;
pub mod sim;
pub mod squashfs;
pub mod status;
mod step;
mod store;
mod telling;
pub mod word;
