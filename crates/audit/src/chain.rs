//! The hashes that bind each entry to the one before: SHA-256 over the hash before and all that the entry says, each part with its kind and length, so that
//! no two entries are written alike.

use db::Value;
use kit::clock::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::record::Row;

/// The hash of an entry with its place in the chain.
pub(crate) fn hash(before: &[u8], number: i64, row: &Row, sealed_at: Timestamp) -> Vec<u8> {
    let parts: [Value<'_>; 15] = [
        before.into(),
        number.into(),
        row.id.into(),
        (&row.action).into(),
        row.object_id.into(),
        row.actor_id.into(),
        row.key_id.into(),
        row.request_id.as_ref().into(),
        row.before.as_ref().into(),
        row.after.as_ref().into(),
        row.count.into(),
        row.actor_hash.as_ref().into(),
        row.object_hash.as_ref().into(),
        row.created_at.0.into(),
        sealed_at.0.into(),
    ];
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| add(&mut digest, part));
    digest.finalize().to_vec()
}

fn add(digest: &mut Sha256, part: &Value<'_>) {
    let mut add = |kind: u8, bytes: &[u8]| {
        digest.update([kind]);
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    match part {
        Value::Null => add(b'n', &[]),
        Value::Bool(value) => add(b't', &[u8::from(*value)]),
        Value::Int(value) => add(b'i', &value.to_be_bytes()),
        Value::Text(text) => add(b's', text.as_bytes()),
        Value::Blob(bytes) => add(b'b', bytes),
        Value::Id(id) => add(b'u', id.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// What stands before the first entry.
    const START: [u8; 32] = [0; 32];

    fn row() -> Row {
        Row {
            id: Uuid::nil(),
            action: "login".to_owned(),
            object_id: None,
            actor_id: None,
            key_id: None,
            request_id: Some("a".to_owned()),
            before: None,
            after: Some("b".to_owned()),
            count: 1,
            actor_hash: None,
            object_hash: None,
            created_at: Timestamp(1),
        }
    }

    #[test]
    fn every_part_of_an_entry_counts() {
        let first = hash(&START, 1, &row(), Timestamp(2));
        assert_eq!(first, hash(&START, 1, &row(), Timestamp(2)));
        let other = [
            Row { id: Uuid::max(), ..row() },
            Row { action: "logi".to_owned(), ..row() },
            Row { object_id: Some(Uuid::nil()), ..row() },
            Row { actor_id: Some(Uuid::nil()), ..row() },
            Row { key_id: Some(Uuid::nil()), ..row() },
            Row { request_id: None, before: Some("a".to_owned()), ..row() },
            Row { request_id: Some("ab".to_owned()), after: Some(String::new()), ..row() },
            Row { after: None, before: Some("b".to_owned()), ..row() },
            Row { count: 2, ..row() },
            Row { actor_hash: Some(vec![]), ..row() },
            Row { object_hash: Some(vec![]), ..row() },
            Row { created_at: Timestamp(2), ..row() },
        ];
        let mut hashes: Vec<_> = other.iter().map(|row| hash(&START, 1, row, Timestamp(2))).collect();
        hashes.extend([
            first.clone(),
            hash(&START, 2, &row(), Timestamp(2)),
            hash(&START, 1, &row(), Timestamp(3)),
            hash(&first, 1, &row(), Timestamp(2)),
        ]);
        let count = hashes.len();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }
}
