//! Placeholder.
pub mod docs;
pub mod secret;
pub mod telemetry;
