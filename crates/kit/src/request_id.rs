//! The id that names one request in its answer, in the log and at every service it passes.

use std::convert::Infallible;
use std::fmt;

use aide::OperationInput;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::{NoContext, Uuid};

/// The header that carries it.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A client's own id where it is well-formed, else a new UUIDv7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id that a request came with, or a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut sent = headers.get_all(X_REQUEST_ID).iter();
        match (sent.next(), sent.next()) {
            (Some(value), None) if is_well_formed(value.as_bytes()) => Self(value.clone()),
            _ => Self::new(),
        }
    }

    /// A new id.
    #[expect(clippy::new_without_default, reason = "each call gives another value")]
    pub fn new() -> Self {
        // Two of one millisecond may stand in either order: to agree on one, threads would wait for each other.
        let id = Uuid::new_v7(uuid::Timestamp::now(NoContext));
        let mut buffer = Uuid::encode_buffer();
        let text = id.hyphenated().encode_lower(&mut buffer);
        Self(HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown")))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as a header's value.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // The edge has put it there.
        Ok(Self::of(&parts.headers))
    }
}

impl OperationInput for RequestId {}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

fn is_well_formed(id: &[u8]) -> bool {
    (1..=128).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}
