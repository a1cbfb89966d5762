//! What a process counts and measures, and how it is read: `GET /metrics` on every port.
//!
//! `requests` counts what passes the edge; `process` tells how the process and its disk are. Whoever else has something to tell
//! holds a [`Counter`], [`Labelled`] or [`Histogram`] and adds a function to [`Metrics`] that writes it.

mod process;
mod requests;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

pub use ::metrics::{Counter, Histogram, Labelled, Metrics, Text};
pub use process::{build_info, free_disk, process};
pub use requests::RequestCounts;

use crate::problem::Problem;

/// Where a port shows its process's metrics.
pub const PATH: &str = "/metrics";

/// `GET /metrics`: every metric of the process, as it is now.
pub async fn metrics_view(metrics: Arc<Metrics>) -> Result<Response, Problem> {
    // It reads files of the system, and looks through every series.
    let text = tokio::task::spawn_blocking(move || metrics.text()).await.map_err(Problem::internal)?;
    Ok(([(CONTENT_TYPE, ::metrics::CONTENT_TYPE)], text).into_response())
}
