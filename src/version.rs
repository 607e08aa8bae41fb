//! Which program this is: the packages' build says so (packaging/build), and a plain `cargo build` knows no commit.

/// The release: what the package is called.
pub const VERSION: &str = match option_env!("SBPS_MARSHAL_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// With the commit and the build, as `--version` prints it.
pub const BUILD: &str = match option_env!("SBPS_MARSHAL_BUILD") {
    Some(build) => build,
    None => concat!(env!("CARGO_PKG_VERSION"), " (built by cargo, from no named commit)"),
};
