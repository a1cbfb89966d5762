//! `Idempotency-Key`: a repeated request gets its first answer again. The key's row, the effect and the stored
//! answer are one transaction; a request that fails leaves no key behind.
//!
//! Table: `idempotency_keys`. Its statements stand here, as the only ones outside a `store.rs`, because every
//! service shares them.

use std::time::Duration;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::FromRequestParts;
use db::{Db, Row, Tx};
use futures_util::FutureExt;
use http::Method;
use http::request::Parts;
use uuid::Uuid;

use crate::answer::Answer;
use crate::clock::Timestamp;
use crate::openapi;
use crate::problem::Problem;
use crate::shared::Shared;

/// How long a key is remembered.
pub const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The raw header's value, if one was sent, and what it was sent for.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    key: Option<String>,
    method: Method,
    target: String,
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut sent = parts.headers.get_all("idempotency-key").iter();
        let key = match (sent.next(), sent.next()) {
            (None, _) => None,
            (Some(value), None) if is_well_formed(value.as_bytes()) => value.to_str().ok().map(str::to_owned),
            _ => {
                return Err(Problem::malformed(
                    "invalid_idempotency_key",
                    "`Idempotency-Key` must be one value of 1 to 255 visible ASCII characters.",
                ));
            }
        };
        Ok(Self { key, method: parts.method.clone(), target: parts.uri.to_string() })
    }
}

fn is_well_formed(key: &[u8]) -> bool {
    (1..=255).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
}

impl OperationInput for IdempotencyKey {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let text = "Repeat a request safely: with the same key, the first answer comes again for 24 hours.";
        openapi::add_header_parameter(ctx, operation, "Idempotency-Key", text);
        openapi::add_problem(ctx, operation, 400, "A header is malformed.");
        openapi::add_problem(ctx, operation, 409, "At odds with the present state.");
    }
}

impl IdempotencyKey {
    /// The claim of one account's request to this key.
    pub fn claim(self, shared: &Shared, account: Uuid, body: &[u8]) -> Claim {
        let parts = [self.method.as_str().as_bytes(), self.target.as_bytes(), body];
        let fingerprint = if self.key.is_some() { shared.fingerprint_key.sign(&parts) } else { [0; 32] };
        Claim { key: self.key, account, fingerprint, now: shared.clock.now() }
    }
}

/// One request's claim to a key; without a key it claims nothing.
#[derive(Clone, Debug)]
pub struct Claim {
    key: Option<String>,
    account: Uuid,
    fingerprint: [u8; 32],
    now: Timestamp,
}

/// Does `work` once for a claim: the first time really, later by repeating the stored answer.
/// Call it after permission was checked, since a repeated answer is an answer. It takes a function, because a future that is
/// handed over is kept in this one three times.
pub async fn once<const STATUS: u16, T, W>(
    tx: &Tx,
    claim: &Claim,
    work: impl FnOnce() -> W,
) -> Result<Answer<STATUS, T>, Problem>
where
    W: Future<Output = Result<Answer<STATUS, T>, Problem>>,
{
    let Some(key) = &claim.key else { return work().await };
    forget_expired(tx, claim, key).await?;
    if !take(tx, claim, key).await? {
        return stored_answer(tx, claim, key).await;
    }
    let answer = work().await?;
    store_answer(tx, claim, key, &answer).await?;
    Ok(answer)
}

impl Claim {
    /// Whether a key was sent.
    pub fn is_made(&self) -> bool {
        self.key.is_some()
    }

    /// `result`, unless it is a fault that a key of another request outranks.
    pub async fn outrank<T>(&self, db: &Db, result: Result<T, Problem>) -> Result<T, Problem> {
        if result.is_err() {
            self.refuse_reuse(db).await?;
        }
        result
    }

    /// 422 if the key belongs to another request: outranks the faults of a body.
    pub async fn refuse_reuse(&self, db: &Db) -> Result<(), Problem> {
        self.is_repeated(db).await.map(drop)
    }

    /// Whether the same request was answered before; 422 if another one was.
    pub async fn is_repeated(&self, db: &Db) -> Result<bool, Problem> {
        let Some(key) = &self.key else { return Ok(false) };
        let input = (self, key);
        let first = db.lookup(input, |tx, (claim, key)| fingerprint_of_first(tx, claim, key).boxed()).await?;
        match first {
            Some(fingerprint) if fingerprint != self.fingerprint => Err(reused()),
            first => Ok(first.is_some()),
        }
    }
}

fn reused() -> Problem {
    Problem::new(
        http::StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency_key_reused",
        "This Idempotency-Key was used for another request: use a new one.",
    )
}

async fn fingerprint_of_first(tx: &Tx, claim: &Claim, key: &str) -> Result<Option<Vec<u8>>, Problem> {
    let sql =
        "SELECT fingerprint FROM idempotency_keys WHERE account_id = $1 AND key = $2 AND created_at > $3";
    let oldest = claim.now.minus(LIFETIME).0;
    Ok(tx.optional(sql, &[claim.account.into(), key.into(), oldest.into()], |row| row.get(0)).await?)
}

async fn forget_expired(tx: &Tx, claim: &Claim, key: &str) -> Result<(), Problem> {
    let sql = "DELETE FROM idempotency_keys WHERE account_id = $1 AND key = $2 AND created_at <= $3";
    tx.execute(sql, &[claim.account.into(), key.into(), claim.now.minus(LIFETIME).0.into()]).await?;
    Ok(())
}

/// Whether the key was free. A second request waits here until the first has committed or failed.
async fn take(tx: &Tx, claim: &Claim, key: &str) -> Result<bool, Problem> {
    let sql =
        "INSERT INTO idempotency_keys (account_id, key, fingerprint, created_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (account_id, key) DO NOTHING";
    let fingerprint: &[u8] = &claim.fingerprint;
    let args = [claim.account.into(), key.into(), fingerprint.into(), claim.now.0.into()];
    Ok(tx.execute(sql, &args).await? == 1)
}

async fn stored_answer<const STATUS: u16, T>(
    tx: &Tx,
    claim: &Claim,
    key: &str,
) -> Result<Answer<STATUS, T>, Problem> {
    let sql =
        "SELECT fingerprint, location, etag, body FROM idempotency_keys WHERE account_id = $1 AND key = $2";
    let read = |row: &Row<'_>| {
        let fingerprint: Vec<u8> = row.get(0)?;
        let body: Option<Vec<u8>> = row.get(3)?;
        Ok((fingerprint, Answer::stored(row.get(1)?, row.get(2)?, body.unwrap_or_default(), true)))
    };
    let stored = tx.optional(sql, &[claim.account.into(), key.into()], read).await?;
    // It was there a moment ago: its time ran out just now, so another try finds the key free.
    let (fingerprint, answer) = stored.ok_or(db::Error::Busy)?;
    if fingerprint == claim.fingerprint { Ok(answer) } else { Err(reused()) }
}

async fn store_answer<const STATUS: u16, T>(
    tx: &Tx,
    claim: &Claim,
    key: &str,
    answer: &Answer<STATUS, T>,
) -> Result<(), Problem> {
    let sql =
        "UPDATE idempotency_keys SET location = $3, etag = $4, body = $5 WHERE account_id = $1 AND key = $2";
    let (location, etag) = (answer.location.as_deref(), answer.etag.as_deref());
    let args = [claim.account.into(), key.into(), location.into(), etag.into(), answer.body.as_ref().into()];
    Ok(tx.later(&[(sql, &args)]).await?)
}

/// Removes keys that are past their time, at most `limit` at once; says how many went.
pub async fn sweep(db: &Db, now: Timestamp, limit: i64) -> Result<u64, db::Error> {
    db.write((now.minus(LIFETIME).0, limit), |tx, (oldest, limit)| {
        async move {
            let sql = "DELETE FROM idempotency_keys WHERE (account_id, key) IN
                       (SELECT account_id, key FROM idempotency_keys WHERE created_at <= $1 ORDER BY created_at LIMIT $2)";
            tx.execute(sql, &[(*oldest).into(), (*limit).into()]).await
        }
        .boxed()
    })
    .await
}
