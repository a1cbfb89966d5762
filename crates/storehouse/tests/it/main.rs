//! The integration tests: one binary, read from top to bottom as a table of contents.
//!
//! Every test has a database of its own and runs on both engines where that makes sense. See `harness` for what a test may ask for.

/// Databases, servers and time limits for the tests.
#[cfg(test)]
mod harness;

/// The database layer: statements, failures, disks, processes, servers.
#[cfg(test)]
mod db;

/// A day of the business, through the gateway.
#[cfg(test)]
mod story;

/// Every wrong request, derived from the served OpenAPI document.
#[cfg(test)]
mod contract;

/// Who may do what.
#[cfg(test)]
mod authorization;

/// The served OpenAPI document, as a snapshot.
#[cfg(test)]
mod openapi;

/// What must be absent from the source.
#[cfg(test)]
mod tidy;
