//! The gateway and the listener under it, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod access_log;
mod backends;
mod connections;
mod front;
mod hanging;
mod port;
mod support;
mod upstream;
