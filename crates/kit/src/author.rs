//! Who does something, by which request, from where, and when: what is written down with whatever a request changes.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use aide::OperationInput;
use axum::extract::FromRequestParts;
use http::request::Parts;
use uuid::Uuid;

use crate::client::address_of;
use crate::clock::Timestamp;
use crate::identity::Verified;
use crate::request_id::RequestId;
use crate::shared::Shared;

/// Who does something, by which request, from where, and when.
#[derive(Clone, Debug)]
pub struct Author {
    /// Nobody if it happens by itself, or if nobody is logged in yet.
    pub actor_id: Option<Uuid>,
    /// The API key that acts for them, if one does.
    pub key_id: Option<Uuid>,
    /// The request, if one asked for it.
    pub request_id: Option<String>,
    /// The client's address, where a request came from one.
    pub address: Option<IpAddr>,
    /// The moment.
    pub now: Timestamp,
}

impl Author {
    /// Nobody, at this moment.
    pub fn nobody(now: Timestamp) -> Self {
        Self { actor_id: None, key_id: None, request_id: None, address: None, now }
    }

    /// The same as this account, which the request has only just logged in.
    pub fn by(&self, account: Uuid) -> Self {
        Self { actor_id: Some(account), ..self.clone() }
    }
}

/// In a handler it stands behind the caller, who is known only then.
impl<S> FromRequestParts<Arc<S>> for Author
where
    S: AsRef<Shared> + Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<S>) -> Result<Self, Infallible> {
        let shared: &Shared = (**state).as_ref();
        Ok(Self {
            actor_id: parts.extensions.get::<Verified>().map(Verified::account),
            key_id: parts.extensions.get::<Verified>().and_then(Verified::key).map(|key| key.id),
            request_id: Some(RequestId::of(&parts.headers).to_string()),
            address: address_of(parts, &shared.client_key),
            now: shared.clock.now(),
        })
    }
}

impl OperationInput for Author {}
