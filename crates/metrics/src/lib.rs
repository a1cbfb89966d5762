//! What is counted and measured, and how Prometheus reads it.
//!
//! A metric is a value that its owner holds ([`Counter`], [`Labelled`], [`Histogram`]): counting is an atomic addition, with no
//! lock and no allocation, and no name is looked up. A [`Metrics`] holds what writes them; it is asked only when somebody reads.
//! How many series there are never depends on what a client sends: labels are words of ours, or from a list made at the start.
//!
//! It knows no HTTP, no database and no business. Files in reading order: `value`, `text`, `registry`.

mod registry;
mod text;
mod value;

pub use registry::Metrics;
pub use text::{CONTENT_TYPE, Text};
pub use value::{Counter, Histogram, Labelled, SECONDS};
