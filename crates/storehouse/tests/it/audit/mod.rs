//! The audit log: who did what, complete and safe.

/// Each act, and what its entry says.
mod acts;
/// Edits behind the program's back, each noticed.
mod broken;
/// Many writers and sealers in several processes, killed ones too.
mod chain;
/// Acts on what lets somebody in, and on all that is kept of them.
mod people;
/// What is personal, and goes.
mod personal;
/// What is refused is counted.
mod refused;

use ::audit::AuditFound;
use ::db::{Db, Error};
use futures_util::FutureExt;
use serde_json::Value;

use crate::harness::{App, Client};

/// The entries that a query finds, the newest first, once all that was done is sealed.
async fn entries(admin: &Client<'_>, query: &str) -> Vec<Value> {
    admin.app.keep_audit().await;
    let query = if query.contains("limit=") { query.to_owned() } else { format!("limit=100&{query}") };
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/audit?{query}{cursor}")).await.expect(200).json();
        found.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// The one entry that a query finds.
#[track_caller]
fn only(found: Vec<Value>) -> Value {
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().unwrap()
}

/// How often something was refused, over all entries.
fn counted(found: &[Value]) -> i64 {
    found.iter().map(|entry| entry["count"].as_i64().unwrap()).sum()
}

async fn verified(db: &Db) -> AuditFound {
    let found: Result<AuditFound, Error> =
        db.read((), |tx, ()| ::audit::verify(tx, None, |_| ()).boxed()).await;
    found.unwrap()
}

/// Runs a statement behind the program's back; an error if it is refused.
async fn run(db: &Db, sql: &str) -> Result<u64, Error> {
    db.write(sql.to_owned(), |tx, sql| async move { tx.execute(sql, &[]).await }.boxed()).await
}

/// The chain holds, and all is in it.
async fn check(app: &App) {
    app.keep_audit().await;
    let found = verified(&app.db).await;
    assert_eq!((found.faults.len(), found.unsealed), (0, 0), "{found:?}");
    assert_eq!(found.entries, u64::try_from(found.head.0).unwrap());
}
