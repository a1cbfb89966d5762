//! The client as limits count it and as it may be shown to the account's owner: its address and its device.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use aide::OperationInput;
use axum::extract::FromRequestParts;
use http::header::USER_AGENT;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use quick_cache::sync::Cache;

use crate::secret::Secret;
use crate::server::Peer;
use crate::shared::Shared;
use crate::token::{SigningKey, from_base64, to_base64};

/// How much of a `User-Agent` is kept, in characters.
const MAX_DEVICE: usize = 200;

/// The client's address, as a gateway tells it.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The gateway's signature under that address.
pub const X_FORWARDED_SIGNATURE: HeaderName = HeaderName::from_static("x-forwarded-signature");

/// As much of the code as is sent, in bytes.
const SIGNATURE_LENGTH: usize = 16;

/// How many addresses are kept with their signatures, in all some 3 MB.
const KNOWN: usize = 10_000;

/// What a gateway signs the client's address with, so that a service in another process can believe it whatever
/// stands between the two, and nobody else can name an address.
#[derive(Clone)]
pub struct ClientKey {
    key: SigningKey,
    /// A client asks more than once, and signing costs more than all else that is told of it.
    known: Arc<Cache<IpAddr, SignedAddress>>,
}

/// A client's address with the signature that makes it believed, as headers say them.
#[derive(Clone, Debug)]
pub struct SignedAddress {
    /// What [`X_FORWARDED_FOR`] says.
    pub address: HeaderValue,
    /// What [`X_FORWARDED_SIGNATURE`] says.
    pub signature: HeaderValue,
}

impl ClientKey {
    /// The same in all processes that share the secret.
    pub fn new(secret: &Secret) -> Self {
        Self { key: SigningKey::derive(secret, "client address"), known: Arc::new(Cache::new(KNOWN)) }
    }

    /// What to tell a service of this address.
    pub fn sign(&self, address: IpAddr) -> Option<SignedAddress> {
        if let Some(known) = self.known.get(&address) {
            return Some(known);
        }
        let text = address.to_string();
        let code = self.key.sign(&[text.as_bytes()]);
        let signature = HeaderValue::try_from(to_base64(code.get(..SIGNATURE_LENGTH)?)).ok()?;
        let signed = SignedAddress { address: HeaderValue::try_from(text).ok()?, signature };
        self.known.insert(address, signed.clone());
        Some(signed)
    }

    /// The address, if a gateway of ours signed it.
    fn believe(&self, signed: &SignedAddress) -> Option<IpAddr> {
        let signature = from_base64(signed.signature.to_str().ok()?)?;
        let is_ours = self.key.verify(&[signed.address.as_bytes()], &signature);
        signed.address.to_str().ok().filter(|_| is_ours)?.parse().ok()
    }
}

impl SignedAddress {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let (address, signature) = (headers.get(X_FORWARDED_FOR)?, headers.get(X_FORWARDED_SIGNATURE)?);
        Some(Self { address: address.clone(), signature: signature.clone() })
    }
}

/// The client's address and device.
#[derive(Clone, Debug)]
pub struct Client {
    /// Unknown where no socket was involved.
    pub address: Option<IpAddr>,
    /// What the client calls itself (`User-Agent`).
    pub device: Option<String>,
}

/// What a request says of where it comes from, before anything of it is believed.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    told: Option<IpAddr>,
    signed: Option<SignedAddress>,
    peer: Option<IpAddr>,
}

impl Sender {
    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap) -> Self {
        let peer = extensions.get::<Peer>();
        let told = peer.and_then(|peer| peer.client);
        let signed = if told.is_none() { SignedAddress::of(headers) } else { None };
        Self { told, signed, peer: peer.map(|peer| peer.address.ip().to_canonical()) }
    }

    /// The word of the gateway in this process, or of one that signs it, else the other end of the connection.
    pub(crate) fn address(&self, key: &ClientKey) -> Option<IpAddr> {
        let signed = || self.signed.as_ref().and_then(|signed| key.believe(signed));
        self.told.or_else(signed).or(self.peer)
    }
}

pub(crate) fn address_of(parts: &Parts, key: &ClientKey) -> Option<IpAddr> {
    Sender::of(&parts.extensions, &parts.headers).address(key)
}

impl<S> FromRequestParts<Arc<S>> for Client
where
    S: AsRef<Shared> + Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<S>) -> Result<Self, Infallible> {
        let device = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self {
            address: address_of(parts, &(**state).as_ref().client_key),
            device: device.map(|text| {
                text.chars().filter(|character| !character.is_control()).take(MAX_DEVICE).collect()
            }),
        })
    }
}

impl OperationInput for Client {}

/// The client's address alone.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub Option<IpAddr>);

impl<S> FromRequestParts<Arc<S>> for Address
where
    S: AsRef<Shared> + Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<S>) -> Result<Self, Infallible> {
        Ok(Self(address_of(parts, &(**state).as_ref().client_key)))
    }
}

impl OperationInput for Address {}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(address: &str, signature: Option<HeaderValue>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_str(address).unwrap());
        headers.extend(signature.map(|signature| (X_FORWARDED_SIGNATURE, signature)));
        headers
    }

    #[test]
    fn only_a_signed_address_is_believed() {
        let key = |secret| ClientKey::new(&Secret::new(secret));
        let sign =
            |secret, address: &str| key(secret).sign(address.parse().unwrap()).map(|signed| signed.signature);
        let believed = |headers: HeaderMap| {
            let address = SignedAddress::of(&headers).and_then(|signed| key("ours").believe(&signed));
            address.map(|address| address.to_string())
        };
        assert_eq!(believed(headers("192.0.2.1", sign("ours", "192.0.2.1"))).unwrap(), "192.0.2.1");
        assert_eq!(believed(headers("2001:db8::1", sign("ours", "2001:db8::1"))).unwrap(), "2001:db8::1");
        assert_eq!(believed(headers("192.0.2.2", sign("ours", "192.0.2.1"))), None);
        assert_eq!(believed(headers("192.0.2.1", sign("other", "192.0.2.1"))), None);
        assert_eq!(believed(headers("192.0.2.1", None)), None);
        assert_eq!(believed(headers("192.0.2.1", Some(HeaderValue::from_static("AAAA")))), None);
        assert_eq!(believed(HeaderMap::new()), None);
        let ours = key("ours");
        for address in ["192.0.2.1", "2001:db8::1", "192.0.2.1"] {
            let signed = ours.sign(address.parse().unwrap()).unwrap();
            assert_eq!(signed.address, address);
            assert_eq!(Some(signed.signature), sign("ours", address), "known or not");
        }
    }
}
