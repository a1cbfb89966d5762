//! Signing secrets: `whsec_` and an HMAC of the webhook's id and the secret's generation. They are computed, never stored, so nothing in the database or in a
//! copy of it can be used to sign.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kit::clock::Timestamp;
use kit::secret::Secret;
use kit::token::SigningKey;
use uuid::Uuid;

use crate::model::Webhook;

/// How long the secret before the last rotation signs too.
pub(crate) const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

/// What the secrets of all webhooks are computed with.
pub struct SecretKey(SigningKey);

/// The 32 bytes that sign a webhook's messages.
pub struct SigningSecret([u8; 32]);

impl SecretKey {
    /// Derived from the shared secret (`JWT_SECRET`): with another one all secrets are others.
    pub fn derive(secret: &Secret) -> Self {
        Self(SigningKey::derive(secret, "webhook secret"))
    }

    /// The secret of a webhook's generation.
    pub fn secret(&self, webhook: Uuid, generation: i64) -> SigningSecret {
        SigningSecret(self.0.sign(&[webhook.as_bytes(), &generation.to_be_bytes()]))
    }

    /// The secrets that sign at this moment, the present one first.
    pub(crate) fn signing(&self, webhook: &Webhook, now: Timestamp) -> Vec<SigningSecret> {
        let overlaps = webhook.rotated_at.is_some_and(|rotated_at| now < rotated_at.plus(OVERLAP));
        let generations = [Some(webhook.generation), overlaps.then_some(webhook.generation - 1)];
        generations.into_iter().flatten().map(|generation| self.secret(webhook.id, generation)).collect()
    }
}

impl SigningSecret {
    /// The key of the HMAC.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As the receiver is given it.
    pub fn show(&self) -> Secret {
        Secret::new(format!("whsec_{}", STANDARD.encode(self.0)))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}
