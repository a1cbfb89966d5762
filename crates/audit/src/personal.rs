//! What is personal in an entry: where the actor was, and whom it is about. It stands apart and can be erased; the chain knows its hash alone, whose salt
//! goes with it, so that nobody finds the value by trying all there are.

use std::net::IpAddr;

use db::{Error, Tx};
use kit::secret::salt;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::facts::PersonFacts;
use crate::record::to_json;
use crate::store;

/// Of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Actor,
    Object,
}

impl Whose {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Object => "object",
        }
    }
}

/// A value that can be erased.
#[derive(Clone, Debug)]
pub(crate) struct Personal {
    pub(crate) entry_id: Uuid,
    pub(crate) whose: Whose,
    /// With which account it goes; without one it stays as long as the entry.
    pub(crate) account_id: Option<Uuid>,
    pub(crate) salt: [u8; 16],
    /// The address, or JSON.
    pub(crate) value: String,
}

#[derive(Serialize)]
struct OfObject<'a> {
    before: Option<&'a PersonFacts>,
    after: Option<&'a PersonFacts>,
}

impl Personal {
    pub(crate) fn of_actor(entry_id: Uuid, account_id: Option<Uuid>, address: IpAddr) -> Result<Self, Error> {
        Self::new(entry_id, Whose::Actor, account_id, address.to_string())
    }

    pub(crate) fn of_object(
        entry_id: Uuid,
        account_id: Option<Uuid>,
        before: Option<&PersonFacts>,
        after: Option<&PersonFacts>,
    ) -> Result<Self, Error> {
        Self::new(entry_id, Whose::Object, account_id, to_json(&OfObject { before, after })?)
    }

    fn new(entry_id: Uuid, whose: Whose, account_id: Option<Uuid>, value: String) -> Result<Self, Error> {
        let salt = salt().map_err(|error| Error::Internal(format!("no randomness for a salt: {error}")))?;
        Ok(Self { entry_id, whose, account_id, salt, value })
    }

    pub(crate) fn hash(&self) -> Vec<u8> {
        hash_of(&self.salt, &self.value)
    }
}

/// What the chain knows of a value.
pub(crate) fn hash_of(salt: &[u8], value: &str) -> Vec<u8> {
    Sha256::new().chain_update(salt).chain_update(value).finalize().to_vec()
}

/// Erases what the log says of a person, in the transaction that removes the account. The entries stay, and the chain holds.
pub async fn forget(tx: &Tx, account_id: Uuid) -> Result<(), Error> {
    store::erase(tx, account_id).await
}
