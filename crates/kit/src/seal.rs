//! Sealing what must be read again, but not by whoever reads the database or a backup: ChaCha20-Poly1305 (RFC 8439) under a key
//! that isn't there. With another `JWT_SECRET` nothing that was sealed can be opened.

use std::io;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::random;
use crate::secret::Secret;
use crate::token::SigningKey;

/// Seals and opens what has one purpose.
pub struct SealingKey(LessSafeKey);

impl SealingKey {
    /// The key for `purpose`, derived from the shared secret.
    pub fn derive(secret: &Secret, purpose: &str) -> Self {
        let key = SigningKey::derive(secret, purpose).sign(&[]);
        #[expect(clippy::expect_used, reason = "the algorithm takes keys of 32 bytes")]
        Self(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key).expect("a key of 32 bytes")))
    }

    /// The content under a nonce of its own, which stands before it. It can be opened for this owner alone, so that what
    /// is sealed for one can't be given to another. A random nonce is good for some billions of contents.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn seal(&self, owner: &[u8], content: &[u8]) -> io::Result<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = random::bytes()?;
        let mut sealed = content.to_vec();
        let tag = self.0.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(owner),
            &mut sealed,
        );
        let tag = tag.map_err(|_| io::Error::other("the content is too long to be sealed"))?;
        Ok([&nonce[..], &sealed, tag.as_ref()].concat())
    }

    /// The content that was sealed for this owner, with this key; none of anything else.
    pub fn open(&self, owner: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut rest = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let content = self.0.open_in_place(nonce, Aad::from(owner), &mut rest).ok()?;
        Some(content.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_the_key_open_what_was_sealed() {
        let key = |secret, purpose| SealingKey::derive(&Secret::new(secret), purpose);
        let ours = key("one", "test");
        let sealed = ours.seal(b"ada", b"content").unwrap();
        assert_eq!(ours.open(b"ada", &sealed).unwrap(), b"content");
        assert_eq!(ours.open(b"bob", &sealed), None);
        assert_eq!(key("two", "test").open(b"ada", &sealed), None);
        assert_eq!(key("one", "other").open(b"ada", &sealed), None);
        assert_ne!(ours.seal(b"ada", b"content").unwrap(), sealed, "a nonce of its own");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(ours.open(b"ada", &changed), None, "byte {at}");
        }
        for short in [&sealed[..0], &sealed[..11], &sealed[..20]] {
            assert_eq!(ours.open(b"ada", short), None);
        }
    }
}
