//! From where somebody has logged in lately. Whoever comes from there is let in however many others guess at the account.
//!
//! What is stored is an HMAC over account and address: it tells nothing of where somebody was, nor who was at the same place.

use std::net::IpAddr;

use kit::limit::Origin;
use kit::secret::Secret;
use kit::token::SigningKey;
use uuid::Uuid;

/// Makes the marks of addresses.
pub struct KnownAddresses(SigningKey);

/// What is remembered of an address of an account.
#[derive(Clone, Debug)]
pub struct AddressMark([u8; 32]);

impl KnownAddresses {
    /// With a key derived from the shared secret: with another one nobody is known.
    pub fn new(secret: &Secret) -> Self {
        Self(SigningKey::derive(secret, "login address"))
    }

    /// The mark of an address, or of the network that an IPv6 client has to itself.
    pub fn mark(&self, account: Uuid, address: Option<IpAddr>) -> AddressMark {
        AddressMark(self.0.sign(&[account.as_bytes(), &Origin::of(address).bytes()]))
    }
}

impl AddressMark {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
