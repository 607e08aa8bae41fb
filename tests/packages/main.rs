//! The packages, as `tests/packages/run` has built them: `built` looks at them on this host, the rest installs them in the
//! throw-away VM, one after the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod built;
mod deb;
mod first_hour;
mod made_root;
mod release;
mod rpm;
mod site;
