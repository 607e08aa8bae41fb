//! The adapters against real servers and sockets.

#[cfg(test)]
mod targetclid;
