//! Tokens that are mailed: who shows one has read what came to that address. Each works once, and only the last of its account and purpose.
//!
//! One is made when its mail is sent and stands nowhere but in that mail; its hash is kept (SHA-256: of 256 random bits, which nobody guesses, a slow hash would keep no more).

use std::time::Duration;

use db::{Error, Tx};
use kit::clock::Timestamp;
use kit::secret::Secret;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::store;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To confirm that an address is the person's own.
    VerifyEmail,
    /// To set a new password.
    ResetPassword,
}

impl Purpose {
    /// Its word in storage.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }

    /// How long its tokens work.
    pub(crate) fn lifetime(self) -> Duration {
        match self {
            Self::VerifyEmail => Duration::from_secs(24 * 60 * 60),
            Self::ResetPassword => Duration::from_secs(15 * 60),
        }
    }
}

/// What a token proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Whose it is.
    pub account_id: Uuid,
    /// The address that it was mailed to.
    pub email: String,
}

/// Makes a token, and the earlier ones of this account and purpose void.
pub(crate) async fn mint(tx: &Tx, purpose: Purpose, proof: &Proof, now: Timestamp) -> Result<Secret, Error> {
    let no_chance = |error| Error::Internal(format!("no random bytes: {error}"));
    let token = Secret::generate().map_err(no_chance)?;
    store::replace_token(tx, purpose, proof, &hash(&token), now.plus(purpose.lifetime())).await?;
    Ok(token)
}

/// What a token proves, if it is good. It stays good: this is for what must be known before it is used.
pub async fn look_at(
    tx: &Tx,
    purpose: Purpose,
    token: &Secret,
    now: Timestamp,
) -> Result<Option<Proof>, Error> {
    store::find_token(tx, purpose, &hash(token), now).await
}

/// Uses a token: of all who show the same one, one gets its proof.
pub async fn redeem(
    tx: &Tx,
    purpose: Purpose,
    token: &Secret,
    now: Timestamp,
) -> Result<Option<Proof>, Error> {
    store::take_token(tx, purpose, &hash(token), now).await
}

fn hash(token: &Secret) -> Vec<u8> {
    Sha256::digest(token.expose()).to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn s08_ten_thousand_tokens_differ_and_hold_256_bits() {
        let tokens: HashSet<String> =
            (0..10_000).map(|_| Secret::generate().unwrap().expose().to_owned()).collect();
        assert!(tokens.len() == 10_000 && tokens.iter().all(|token| token.len() == 64));
    }

    #[test]
    fn what_is_kept_of_a_token_is_its_digest() {
        let digest = hash(&Secret::new("abc"));
        assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(digest.len(), 32);
    }
}
