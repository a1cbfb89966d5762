//! Who the client is where proxies stand between: what they say counts only if we trust them.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use http::header::HOST;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use kit::server::Peer;

use crate::headers::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};

/// What the gateway tells a service about the client.
pub(crate) struct Client {
    /// Its address; unknown only where no connection stands behind the request.
    pub(crate) address: Option<IpAddr>,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// The host that the client asked for.
    pub(crate) host: Option<HeaderValue>,
}

impl Client {
    /// From the connection, and from what its other end says if that is a trusted proxy.
    pub(crate) fn of(request: &Request, trusted: &[IpNet]) -> Self {
        let headers = request.headers();
        let peer = request.extensions().get::<Peer>().map(|peer| peer.address.ip().to_canonical());
        let host = headers.get(HOST);
        match peer {
            Some(proxy) if is_trusted(proxy, trusted) => Self {
                address: Some(first_untrusted(proxy, headers, trusted)),
                scheme: scheme_of(headers),
                host: headers.get(X_FORWARDED_HOST).filter(|told| is_host(told)).or(host).cloned(),
            },
            _ => Self { address: peer, scheme: "http", host: host.cloned() },
        }
    }
}

/// Goes from hop to hop, from the nearest to the farthest, until one isn't ours. What is no address ends the
/// way too: whoever wrote it, nothing to the left of it can be believed.
fn first_untrusted(proxy: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut address = proxy;
    for line in headers.get_all(X_FORWARDED_FOR).into_iter().rev() {
        for hop in line.as_bytes().rsplit(|byte| *byte == b',') {
            match parse_hop(hop) {
                Some(hop) => address = hop,
                None => return address,
            }
            if !is_trusted(address, trusted) {
                return address;
            }
        }
    }
    address
}

/// An address, with or without a port.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

fn scheme_of(headers: &HeaderMap) -> &'static str {
    let told = headers.get(X_FORWARDED_PROTO).map(HeaderValue::as_bytes);
    if told.is_some_and(|told| told.eq_ignore_ascii_case(b"https")) { "https" } else { "http" }
}

fn is_host(value: &HeaderValue) -> bool {
    let is_host_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
    (1..=255).contains(&value.len()) && value.as_bytes().iter().all(is_host_byte)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn client(peer: &str, trusted: &[&str], headers: &[(&str, &str)]) -> Client {
        let mut builder = http::Request::builder().uri("/").header("host", "shop.example");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let mut request = builder.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer::new(SocketAddr::new(peer.parse().unwrap(), 4000)));
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        Client::of(&request, &trusted)
    }

    fn address(peer: &str, trusted: &[&str], forwarded: &[&str]) -> String {
        let headers: Vec<_> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
        client(peer, trusted, &headers).address.unwrap().to_string()
    }

    #[test]
    fn g04_an_untrusted_peer_is_the_client_whatever_it_says() {
        assert_eq!(address("203.0.113.9", &[], &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(address("203.0.113.9", &["10.0.0.0/8"], &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(address("::ffff:203.0.113.9", &[], &[]), "203.0.113.9");
    }

    #[test]
    fn g04_the_right_most_untrusted_hop_is_the_client() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(address("10.0.0.1", &trusted, &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &trusted, &["1.2.3.4, 198.51.100.1, 10.0.0.7"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &trusted, &["1.2.3.4", "198.51.100.1", "10.0.0.7"]), "198.51.100.1");
        assert_eq!(address("fd00::1", &trusted, &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(address("::ffff:10.0.0.1", &trusted, &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(address("10.0.0.1", &trusted, &["198.51.100.1:5000"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &trusted, &["10.0.0.9, 10.0.0.8"]), "10.0.0.9");
    }

    #[test]
    fn nothing_left_of_garbage_is_believed() {
        let trusted = ["10.0.0.0/8"];
        for forwarded in ["1.2.3.4, unknown", "1.2.3.4, ", "1.2.3.4, 999.1.1.1", "\u{e9}", "", "_hidden"] {
            assert_eq!(address("10.0.0.1", &trusted, &[forwarded]), "10.0.0.1", "{forwarded:?}");
        }
        assert_eq!(address("10.0.0.1", &trusted, &["1.2.3.4, junk, 10.0.0.5"]), "10.0.0.5");
    }

    #[test]
    fn scheme_and_host_are_believed_from_trusted_proxies_only() {
        let told = [("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "outside.example")];
        let believed = client("10.0.0.1", &["10.0.0.0/8"], &told);
        assert_eq!((believed.scheme, believed.host.unwrap().to_str().unwrap()), ("https", "outside.example"));
        let ignored = client("10.0.0.1", &[], &told);
        assert_eq!((ignored.scheme, ignored.host.unwrap().to_str().unwrap()), ("http", "shop.example"));
        let odd = client(
            "10.0.0.1",
            &["10.0.0.0/8"],
            &[("x-forwarded-proto", "gopher"), ("x-forwarded-host", "a b")],
        );
        assert_eq!((odd.scheme, odd.host.unwrap().to_str().unwrap()), ("http", "shop.example"));
    }
}
