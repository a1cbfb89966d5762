//! The contract, held against the running system: every operation of the OpenAPI document, on both engines, through the gateway
//! and at the service's own door. Each wrong request gets its status and code, and changes nothing.
//!
//! `document` reads what is served, `examples` has a valid body for every operation, `stage` the people and things, `dump` every row;
//! the tests stand in `documented`, `credentials`, `paths`, `queries`, `headers` and `bodies`, whose wrong values come from `faults`.

pub(crate) mod document;
pub(crate) mod dump;
pub(crate) mod examples;
pub(crate) mod stage;

mod bodies;
mod credentials;
mod documented;
mod faults;
mod headers;
mod paths;
mod queries;

use self::document::{Document, Operation};
use self::stage::{Findings, Stage};
use crate::harness::each_app;

/// Runs a check for every operation that has no part in health, through both doors, and sees that nothing changes.
pub(crate) async fn each_operation(check: impl AsyncFn(&Stage<'_>, &Operation, &'static str, &mut Findings)) {
    each_app(async |app| {
        let stage = Stage::new(app, "each").await;
        let mut findings = Findings::default();
        for operation in Document::new().operations().iter().filter(|operation| !operation.is_health()) {
            for door in ["gateway", operation.service()] {
                let before = stage.dump().await;
                check(&stage, operation, door, &mut findings).await;
                findings.unchanged(&before, &stage.dump().await, &format!("{} {door}", operation.key()));
            }
        }
        findings.finish();
    })
    .await;
}
