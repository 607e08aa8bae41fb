//! The inside of sbps-marshal: five actors and their decisions, no I/O.
//!
//! | actor | owns | is asked |
//! |---|---|---|
//! | [`ims::Ims`] | IMS client, token source | `ListImages` |
//! | [`s3::S3`] | S3 client, manifests by (key, ETag) | `ListObjects`, `ConfirmGone`, `FetchManifests`, `ComputeMd5` |
//! | [`mount::Mount`] | the s3fs mount, for all images | `DiscoverPe`, `CheckFiles`, `ExamineFiles`, `LookAgain` |
//! | [`lio::Lio`] | the one targetclid session, configfs (a thread of its own) | `Observe`, `Apply`, `TryDaemon`, `EndSession` |
//! | [`reconciler::Reconciler`] | passes, timer, history, status | `Tick`, `Resync`, `PollTags`, `Preview` |
//!
//! [`agent`] starts them. The reconciler asks and the others answer; the one exception is `LookAgain`, which the Lio
//! thread asks the mount. A pass gathers what every source says, plans, and applies; configfs is the only source of
//! truth about what came about.
//!
//! Storeys, from the ground up: [`model`] (values), [`ports`] (what the outside has to provide, one trait per party) and
//! [`decide`] (the decisions, as plain functions) beside each other, [`events`] (what is logged), the actors above them,
//! [`sim`] as another outside. An arrow only goes down; `tests/house/storeys.rs` keeps it so. "facts N" in a comment is a heading of docs/facts.md.

pub mod agent;
pub mod decide;
pub mod events;
mod ims;
mod lio;
pub mod model;
mod mount;
pub mod ports;
pub mod reconciler;
mod s3;
pub mod sim;
