//! The integration tests: one binary, read from top to bottom as a table of contents.
//!
//! Every test has a database of its own and runs on both engines where that makes sense. See `harness` for what a test may ask for.

/// Databases, servers and time limits for the tests.
#[cfg(test)]
mod harness;

/// The database layer: statements, failures, disks, processes, servers.
#[cfg(test)]
mod db;

/// Registering, logging in, tokens, sessions, passwords.
#[cfg(test)]
mod auth;

/// Users as people and admins see and change them.
#[cfg(test)]
mod users;

/// Orders, their lifecycle and history.
#[cfg(test)]
mod orders;

/// Products, locations, levels and the ledger.
#[cfg(test)]
mod inventory;

/// What happened, told in an order that never skips.
#[cfg(test)]
mod events;

/// Who did what: complete, chained, and erasable where it is personal.
#[cfg(test)]
mod audit;

/// Events, told to the systems of others.
#[cfg(test)]
mod webhooks;

/// What people are told by mail.
#[cfg(test)]
mod mails;

/// What all endpoints have in common.
#[cfg(test)]
mod shared;

/// How often one may ask and log in.
#[cfg(test)]
mod limits;

/// A day of the business, through the gateway.
#[cfg(test)]
mod story;

/// Every wrong request, derived from the served OpenAPI document.
#[cfg(test)]
mod contract;

/// What a process counts and measures.
#[cfg(test)]
mod metrics;

/// Who may do what.
#[cfg(test)]
mod authorization;

/// What `docs/security.md` asks for and no other place tests.
#[cfg(test)]
mod security;

/// The served OpenAPI document, as a snapshot.
#[cfg(test)]
mod openapi;

/// What must be absent from the source.
#[cfg(test)]
mod tidy;

/// Many at once, and clients that go away.
#[cfg(test)]
mod races;

/// What many clients are told, explained by one order of events.
#[cfg(test)]
mod linearizability;

/// Writers over real connections, and what must be found of what they were told.
#[cfg(test)]
mod load;

/// Processes and servers that are killed, disks that fail.
#[cfg(test)]
mod crash;

/// The program as its operator meets it.
#[cfg(test)]
mod process;

/// Backups, restoring them, and moving to PostgreSQL.
#[cfg(test)]
mod backup;

/// Assertions that stay on.
#[cfg(test)]
mod invariants;

/// Clocks that jump, and clocks that stand.
#[cfg(test)]
mod clocks;

/// What breaks closes the door.
#[cfg(test)]
mod fail_closed;

/// PostgreSQL stopped, paused, slow, and back.
#[cfg(test)]
mod outage;

/// Containers, units and monitoring, held to what the program offers.
#[cfg(test)]
mod deploy;
