//! The client as it may be shown to the account's owner: its address and its device.

use std::convert::Infallible;
use std::net::IpAddr;

use aide::OperationInput;
use axum::extract::FromRequestParts;
use http::header::USER_AGENT;
use http::request::Parts;

use crate::server::client_address;

/// How much of a `User-Agent` is kept, in characters.
const MAX_DEVICE: usize = 200;

/// The client's address and device.
#[derive(Clone, Debug)]
pub struct Client {
    /// Unknown where no socket was involved.
    pub address: Option<IpAddr>,
    /// What the client calls itself (`User-Agent`).
    pub device: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let device = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self {
            address: client_address(&parts.extensions),
            device: device.map(|text| {
                text.chars().filter(|character| !character.is_control()).take(MAX_DEVICE).collect()
            }),
        })
    }
}

impl OperationInput for Client {}
