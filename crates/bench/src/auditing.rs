//! What a placement leaves in the audit log, by the statements that it executes (`crates/audit/src/store.rs`): staff who set a price that no catalogue
//! knows are told of there, and the entry is sealed later.

use anyhow::Result;
use kit::clock::{Clock, new_id};
use rusqlite::{Connection, params};
use tokio_postgres::{Client, IsolationLevel, Statement};
use uuid::Uuid;

use crate::placement::Placement;

const INSERT_ENTRY: &str = "INSERT INTO audit_unsealed (id, action, object_id, actor_id, key_id, request_id, before_facts, after_facts, count, actor_hash, object_hash, created_at)
                            VALUES ($1, 'order.priced', $2, $3, NULL, $4, NULL, $5, 1, $6, NULL, $7)";

const INSERT_PERSONAL: &str = "INSERT INTO audit_personal (entry_id, whose, account_id, salt, value) VALUES ($1, 'actor', $2, $3, '127.0.0.1')";

/// Gives as many their place in the chain as the program does at once. The hashes are not computed.
const SEAL: &str = "INSERT INTO audit_entries (id, action, object_id, actor_id, key_id, request_id, before_facts, after_facts, count, actor_hash, object_hash, created_at, number, sealed_at, hash)
                    SELECT id, action, object_id, actor_id, key_id, request_id, before_facts, after_facts, count, actor_hash, object_hash, created_at,
                           row_number() OVER (ORDER BY seq) + (SELECT number FROM audit_head), created_at, actor_hash
                    FROM (SELECT * FROM audit_unsealed ORDER BY seq LIMIT 128) AS page";
const CLEAR: &str =
    "DELETE FROM audit_unsealed WHERE seq IN (SELECT seq FROM audit_unsealed ORDER BY seq LIMIT $1)";
const MOVE: &str = "UPDATE audit_head SET number = (SELECT MAX(number) FROM audit_entries)";

/// What of an entry has to be computed.
struct Entry {
    id: Uuid,
    facts: String,
    request: String,
    salt: [u8; 16],
    hash: [u8; 32],
}

/// The entry that a placement leaves; none if each of its prices is the catalogue's.
fn entry(placement: &Placement) -> Option<Entry> {
    let priced = placement.lines.iter().filter(|line| line.item.is_none()).count();
    if priced == 0 {
        return None;
    }
    let facts =
        format!(r#"{{"currency":"USD","total_price":{},"priced_lines":{priced}}}"#, placement.total());
    let (mut salt, mut hash) = ([0; 16], [0; 32]);
    fastrand::fill(&mut salt);
    fastrand::fill(&mut hash);
    Some(Entry { id: new_id(), facts, request: new_id().to_string(), salt, hash })
}

/// Writes it down on SQLite, inside a transaction of the caller's.
pub(crate) fn record(connection: &Connection, placement: &Placement, order: Uuid, user: Uuid) -> Result<()> {
    let Some(Entry { id, facts, request, salt, hash }) = entry(placement) else { return Ok(()) };
    let (id, order, user) =
        (id.as_bytes().as_slice(), order.as_bytes().as_slice(), user.as_bytes().as_slice());
    let now = Clock::default().now().0;
    let entry = params![id, order, user, request, facts, hash.as_slice(), now];
    connection.prepare_cached(INSERT_ENTRY)?.execute(entry)?;
    connection.prepare_cached(INSERT_PERSONAL)?.execute(params![id, user, salt.as_slice()])?;
    Ok(())
}

/// Seals on SQLite all that was written, each statement's worth in a transaction of its own.
pub(crate) fn seal(connection: &mut Connection) -> Result<()> {
    loop {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let sealed = transaction.prepare_cached(SEAL)?.execute([])?;
        if sealed == 0 {
            return Ok(());
        }
        transaction.prepare_cached(CLEAR)?.execute([i64::try_from(sealed)?])?;
        transaction.prepare_cached(MOVE)?.execute([])?;
        transaction.commit()?;
    }
}

/// The same on PostgreSQL, prepared.
pub(crate) struct Statements {
    entry: Statement,
    personal: Statement,
}

impl Statements {
    pub(crate) async fn prepare(client: &Client) -> Result<Self> {
        Ok(Self {
            entry: client.prepare(INSERT_ENTRY).await?,
            personal: client.prepare(INSERT_PERSONAL).await?,
        })
    }

    pub(crate) async fn record(
        &self,
        client: &Client,
        placement: &Placement,
        order: Uuid,
        user: Uuid,
    ) -> Result<()> {
        let Some(Entry { id, facts, request, salt, hash }) = entry(placement) else { return Ok(()) };
        let now = Clock::default().now().0;
        client.execute(&self.entry, &[&id, &order, &user, &request, &facts, &hash.as_slice(), &now]).await?;
        client.execute(&self.personal, &[&id, &user, &salt.as_slice()]).await?;
        Ok(())
    }
}

/// Seals on PostgreSQL all that was written.
pub(crate) async fn seal_on_postgres(client: &mut Client) -> Result<()> {
    loop {
        // What is committed meanwhile is for the next time.
        let snapshot = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
        let transaction = snapshot.start().await?;
        let sealed = transaction.execute(SEAL, &[]).await?.cast_signed();
        if sealed == 0 {
            return Ok(());
        }
        transaction.execute(CLEAR, &[&sealed]).await?;
        transaction.execute(MOVE, &[]).await?;
        transaction.commit().await?;
    }
}
