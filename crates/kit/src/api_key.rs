//! API keys, with which machines show who they are: 256 random bits, of which only a hash is kept.
//!
//! `sk_storehouse_` and 48 characters of base64url: the 32 random bytes, and the first 4 of their hash, by which whoever looks for leaked secrets
//! tells a key from what only looks like one. A hash of passwords would protect nothing here, since nobody guesses 256 bits.

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::permission::Scope;
use crate::secret::Secret;
use crate::token::{from_base64, to_base64};

/// How every key begins.
const PREFIX: &str = "sk_storehouse_";

const RANDOM: usize = 32;
const CHECK: usize = 4;

/// What is kept of a key: SHA-256 of its random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    fn of(random: &[u8]) -> Self {
        Self(Sha256::digest(random).into())
    }

    /// As it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash of a key]")
    }
}

/// A new key, and what is kept of it.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn generate() -> std::io::Result<(Secret, KeyHash)> {
    let mut bytes = [0; RANDOM + CHECK];
    let (random, check) = bytes.split_at_mut(RANDOM);
    getrandom::fill(random)?;
    let hash = KeyHash::of(random);
    check.copy_from_slice(&hash.0[..CHECK]);
    Ok((Secret::new(format!("{PREFIX}{}", to_base64(&bytes))), hash))
}

/// Whether a bearer token is to be an API key, which begins as no other does.
pub(crate) fn is_key(token: &[u8]) -> bool {
    token.starts_with(b"sk_")
}

/// The hash of a key; nothing of what is none. A key has one spelling.
pub(crate) fn hash_of(token: &[u8]) -> Option<KeyHash> {
    let text = std::str::from_utf8(token.strip_prefix(PREFIX.as_bytes())?).ok()?;
    let bytes: [u8; RANDOM + CHECK] = from_base64(text)?.try_into().ok()?;
    let (random, check) = bytes.split_at(RANDOM);
    let hash = KeyHash::of(random);
    (hash.0[..CHECK] == *check).then_some(hash)
}

/// A key that is good: who made it, and for what.
#[derive(Debug)]
pub struct ApiKey {
    /// The key's id.
    pub id: Uuid,
    /// What is kept of the key itself.
    pub hash: KeyHash,
    /// The account of who made it, for whom it acts.
    pub account: Uuid,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

impl ApiKey {
    /// Whether it was made for this.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|own| own == scope)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn s08_a_key_is_256_random_bits_and_has_one_spelling() {
        let made: HashSet<String> = (0..10_000).map(|_| generate().unwrap().0.expose().to_owned()).collect();
        assert_eq!(made.len(), 10_000);
        for text in made.iter().take(100) {
            assert_eq!(text.len(), 62);
            assert_eq!(
                hash_of(text.as_bytes()).map(|hash| hash.0[..CHECK].to_vec()),
                from_base64(&text[14..]).map(|bytes| bytes[RANDOM..].to_vec())
            );
            for at in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                assert_eq!(hash_of(&other), None, "{at}");
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_key_is_none() {
        let text = generate().unwrap().0.expose().to_owned();
        for other in ["", "sk_", PREFIX, &text[1..], &text[..61], &format!("{text}A"), &format!("{text}=")] {
            assert_eq!(hash_of(other.as_bytes()), None, "{other}");
        }
        assert_eq!(hash_of(&[PREFIX.as_bytes(), &[0xFF; 48]].concat()), None);
    }
}
