//! How a plan is carried out when LIO, the mount or somebody else gets in the way.

mod busy;
mod direct;
mod given_up;
mod looks;
mod saves;
mod watched;
