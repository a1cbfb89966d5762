//! What is stored of a token of ours: its digest, by which it is found and from which it can't be told. A token has so much chance
//! in it that it needs no slow hash.

use sha2::{Digest, Sha256};

/// SHA-256 of `parts`, each kept apart from the next by its length.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
