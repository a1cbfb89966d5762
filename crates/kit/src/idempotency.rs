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
use db::{Db, Row, Tx, Value};
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::Method;
use http::request::Parts;
use uuid::Uuid;

use crate::answer::Answer;
use crate::clock::Timestamp;
use crate::identity::Caller;
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
    /// The claim of one caller's request to this key; each API key has keys of its own.
    pub fn claim(self, shared: &Shared, caller: &Caller, body: &[u8]) -> Claim {
        let parts = [self.method.as_str().as_bytes(), self.target.as_bytes(), body];
        let fingerprint = if self.key.is_some() { shared.fingerprint_key.sign(&parts) } else { [0; 32] };
        Claim { key: self.key, account: caller.verified().principal(), fingerprint, now: shared.clock.now() }
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
    if claim.key.is_none() {
        return work().await;
    }
    if let Some(earlier) = claim_all(tx, &[claim]).await?.pop().flatten() {
        return earlier;
    }
    let answer = work().await?;
    claim.keep(tx, &answer).await?;
    Ok(answer)
}

/// Claims the keys of requests that share a transaction, and gives each the answer that it had before, or the refusal of another's key; who is given
/// nothing goes on, and then keeps its answer or gives its key up. Two with the same key can't share a transaction: that is an error.
pub async fn claim_all<const STATUS: u16, T>(
    tx: &Tx,
    claims: &[&Claim],
) -> Result<Vec<Option<Result<Answer<STATUS, T>, Problem>>>, Problem> {
    if !claims.iter().any(|claim| claim.is_made()) {
        return Ok(claims.iter().map(|_| None).collect());
    }
    let taken = take_all(tx, claims).await?;
    let earlier = claims.iter().zip(taken).map(async |(claim, is_taken)| match &claim.key {
        Some(key) if !is_taken => Some(stored_answer(tx, claim, key).await),
        _ => None,
    });
    Ok(join_all(earlier).await)
}

impl Claim {
    /// Whether a key was sent.
    pub fn is_made(&self) -> bool {
        self.key.is_some()
    }

    /// Stores the answer, to be repeated.
    pub async fn keep<const STATUS: u16, T>(
        &self,
        tx: &Tx,
        answer: &Answer<STATUS, T>,
    ) -> Result<(), Problem> {
        let Some(key) = &self.key else { return Ok(()) };
        let sql = "UPDATE idempotency_keys SET location = $3, etag = $4, body = $5 WHERE account_id = $1 AND key = $2";
        let (location, etag) = (answer.location.as_deref(), answer.etag.as_deref());
        let args =
            [self.account.into(), key.into(), location.into(), etag.into(), answer.body.as_ref().into()];
        Ok(tx.later(&[(sql, &args)]).await?)
    }

    /// Leaves no key behind of a request that is refused, where others of its transaction are not.
    pub async fn give_up(&self, tx: &Tx) -> Result<(), Problem> {
        let Some(key) = &self.key else { return Ok(()) };
        let sql = "DELETE FROM idempotency_keys WHERE account_id = $1 AND key = $2";
        Ok(tx.later(&[(sql, &[self.account.into(), key.into()])]).await?)
    }

    /// The key, and the moment up to which another's claim to it is over.
    fn forget_args<'a>(&'a self, key: &'a str) -> [Value<'a>; 3] {
        [self.account.into(), key.into(), self.now.minus(LIFETIME).0.into()]
    }

    /// The key's new row, without an answer.
    fn take_args<'a>(&'a self, key: &'a str) -> [Value<'a>; 4] {
        [self.account.into(), key.into(), self.now.0.into(), self.fingerprint.as_slice().into()]
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

/// Which of the keys were free, or are after their time. They are taken in their order, so that nobody waits in a circle; a second request waits here
/// until the first has committed or failed.
async fn take_all(tx: &Tx, claims: &[&Claim]) -> Result<Vec<bool>, Problem> {
    const FORGET: &str =
        "DELETE FROM idempotency_keys WHERE account_id = $1 AND key = $2 AND created_at <= $3";
    const TAKE: &str =
        "INSERT INTO idempotency_keys (account_id, key, created_at, fingerprint) VALUES ($1, $2, $3, $4)
                        ON CONFLICT (account_id, key) DO NOTHING";
    let mut taken = vec![false; claims.len()];
    let mut made: Vec<(Uuid, &str, usize)> = claims
        .iter()
        .enumerate()
        .filter_map(|(at, claim)| Some((claim.account, claim.key.as_deref()?, at)))
        .collect();
    made.sort_unstable();
    if made.windows(2).any(|two| (two[0].0, two[0].1) == (two[1].0, two[1].1)) {
        return Err(Problem::internal("two requests with the same key are in one transaction"));
    }
    let forget: Vec<_> = made.iter().map(|(_, key, at)| claims[*at].forget_args(key)).collect();
    let take: Vec<_> = made.iter().map(|(_, key, at)| claims[*at].take_args(key)).collect();
    tx.later(&forget.iter().map(|args| (FORGET, args.as_slice())).collect::<Vec<_>>()).await?;
    let counts = tx.all(&take.iter().map(|args| (TAKE, args.as_slice())).collect::<Vec<_>>()).await?;
    for ((.., at), count) in made.into_iter().zip(counts) {
        taken[at] = count == 1;
    }
    Ok(taken)
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

/// Removes the answers that were about these things, by their locations: when what they tell must not be kept. It looks through all keys.
pub async fn forget(tx: &Tx, locations: &[String]) -> Result<(), db::Error> {
    let places: Vec<String> = (1..=locations.len()).map(|number| format!("${number}")).collect();
    let sql = format!("DELETE FROM idempotency_keys WHERE location IN ({})", places.join(", "));
    let args: Vec<Value<'_>> = locations.iter().map(Value::from).collect();
    if locations.is_empty() { Ok(()) } else { tx.execute(&sql, &args).await.map(drop) }
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
