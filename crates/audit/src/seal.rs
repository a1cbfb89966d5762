//! Numbers and hashes for what was committed. Whoever seals has the head's row until the end of its transaction, so in all processes there is one at
//! a time; one that is killed in the midst has sealed nothing.

use std::sync::Arc;

use db::{Db, Error, Tx};
use futures_util::FutureExt;
use kit::clock::Timestamp;

use crate::chain;
use crate::counts::AuditCounts;
use crate::store::{self, Sealed};

/// How many entries one transaction seals: few enough that who writes meanwhile waits no more than a millisecond or two for it.
const AT_ONCE: i64 = 128;

/// Seals all that is committed; says how many entries.
pub async fn seal_all(db: &Db, now: Timestamp) -> Result<u64, Error> {
    seal_counting(db, now, &Arc::default()).await
}

pub(crate) async fn seal_counting(db: &Db, now: Timestamp, counts: &Arc<AuditCounts>) -> Result<u64, Error> {
    let mut sealed = 0;
    loop {
        let input = (now, Arc::clone(counts));
        let count = db.write(input, |tx, (now, counts)| seal_some(tx, *now, counts).boxed()).await?;
        sealed += count;
        if count < AT_ONCE.unsigned_abs() {
            return Ok(sealed);
        }
    }
}

async fn seal_some(tx: &Tx, now: Timestamp, counts: &Arc<AuditCounts>) -> Result<u64, Error> {
    let head = store::lock_head(tx).await?;
    let rows = store::list_unsealed(tx, AT_ONCE).await?;
    let (mut number, mut hash) = (head.number, head.hash);
    let (mut places, mut sealed) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for (place, row) in rows {
        places.push(place);
        number += 1;
        hash = chain::hash(&hash, number, &row, now);
        sealed.push(Sealed { number, row, sealed_at: now, hash: hash.clone() });
    }
    if sealed.is_empty() {
        return Ok(0);
    }
    store::insert_sealed(tx, &sealed, &places).await?;
    store::store_head(tx, number, &hash).await?;
    counts.sealed(tx, sealed.len() as u64);
    Ok(sealed.len() as u64)
}
