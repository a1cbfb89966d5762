//! Refresh tokens: `sid.generation.HMAC(key, sid ‖ generation)`. The successor is computed, never stored, so
//! nothing in the database can be used as a token.

use kit::secret::Secret;
use kit::token::{SigningKey, from_base64, to_base64};
use uuid::Uuid;

/// Makes and reads refresh tokens.
pub struct RefreshTokens(SigningKey);

impl RefreshTokens {
    /// With a key derived from the shared secret.
    pub fn new(secret: &Secret) -> Self {
        Self(SigningKey::derive(secret, "refresh token"))
    }

    /// The token of a session's generation.
    pub fn sign(&self, session: Uuid, generation: i64) -> Secret {
        let code = self.0.sign(&[session.as_bytes(), &generation.to_be_bytes()]);
        Secret::new(format!("{}.{generation}.{}", session.simple(), to_base64(&code)))
    }

    /// The session and generation of a token that we made.
    pub fn verify(&self, token: &Secret) -> Option<(Uuid, i64)> {
        let mut parts = token.expose().split('.');
        let (session, generation, code) = (parts.next()?, parts.next()?, parts.next()?);
        let session = Uuid::try_parse(session).ok()?;
        let generation: i64 = generation.parse().ok()?;
        let code = from_base64(code).filter(|code| code.len() == 32 && parts.next().is_none())?;
        self.0
            .verify(&[session.as_bytes(), &generation.to_be_bytes()], &code)
            .then_some((session, generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_tokens_are_read() {
        let tokens = RefreshTokens::new(&Secret::new("one"));
        let session = kit::clock::new_id();
        let token = tokens.sign(session, 7);
        assert_eq!(tokens.verify(&token), Some((session, 7)));
        assert_eq!(RefreshTokens::new(&Secret::new("two")).verify(&token), None);
        let token = token.expose();
        assert_eq!(tokens.verify(&Secret::new(token.replace(".7.", ".8."))), None);
        for changed in [
            format!("{token}."),
            format!("{token}A"),
            token[..token.len() - 1].to_owned(),
            String::new(),
            "a.b.c".to_owned(),
        ] {
            assert_eq!(tokens.verify(&Secret::new(changed.as_str())), None, "{changed}");
        }
    }
}
