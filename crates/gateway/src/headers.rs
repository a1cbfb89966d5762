//! Which headers travel on: not those of one connection only, and none that claims to be somebody.

use std::borrow::Cow;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, FORWARDED, HOST,
    SERVER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use kit::client::{ClientKey, X_FORWARDED_SIGNATURE};
use kit::request_id::X_REQUEST_ID;

use crate::client_address::Client;

pub(crate) use kit::client::X_FORWARDED_FOR;

pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What `Connection` can't name away: without them the request would mean something else.
const KEPT: [HeaderName; 8] = [
    AUTHORIZATION,
    HOST,
    CONTENT_TYPE,
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    X_REQUEST_ID,
    TRACEPARENT,
    TRACESTATE,
];

/// Headers of one connection (RFC 9110, section 7.6.1), and the expectation that is met here.
const OF_ONE_CONNECTION: [HeaderName; 6] = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, EXPECT];

/// What some service somewhere takes for the caller's identity, its address, or the URL it asked for.
const CLAIMS: [&str; 6] = [
    "x-original-url",
    "x-rewrite-url",
    "x-real-ip",
    "x-client-ip",
    "x-remote-user",
    "x-http-method-override",
];
const CLAIMING_PREFIXES: [&str; 7] =
    ["x-user", "x-auth", "x-internal", "x-forwarded", "x-consumer", "x-role", "x-authenticated"];

/// Takes from a request what is for one connection only, and what claims to be somebody.
pub(crate) fn clean_request(headers: &mut HeaderMap) {
    drop_named_by_connection(headers);
    let is_traced = has_trace(headers);
    drop_headers(headers, |name| {
        is_of_one_connection(name) || is_claim(name) || (!is_traced && is_trace(name))
    });
}

/// Tells a service elsewhere who the client is; one of ours believes the address, since it is signed.
pub(crate) fn tell_client(headers: &mut HeaderMap, client: &Client, key: &ClientKey) {
    if let Some(signed) = client.address.and_then(|address| key.sign(address)) {
        headers.insert(X_FORWARDED_SIGNATURE, signed.signature);
        headers.insert(X_FORWARDED_FOR, signed.address);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(client.scheme));
    if let Some(host) = &client.host {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
}

/// Takes from a service's answer what is not for the client.
pub(crate) fn clean_response(headers: &mut HeaderMap) {
    drop_named_by_connection(headers);
    drop_headers(headers, |name| {
        is_of_one_connection(name)
            || *name == SERVER
            || name == "x-powered-by"
            || name.as_str().starts_with("access-control-")
    });
}

fn drop_named_by_connection(headers: &mut HeaderMap) {
    if !headers.contains_key(CONNECTION) {
        return;
    }
    let lists = headers.get_all(CONNECTION).into_iter().filter_map(|list| list.to_str().ok());
    let named =
        lists.flat_map(|list| list.split(',')).filter_map(|name| HeaderName::try_from(name.trim()).ok());
    let named: Vec<HeaderName> = named.filter(|name| !KEPT.contains(name)).collect();
    for name in named {
        headers.remove(name);
    }
}

fn drop_headers(headers: &mut HeaderMap, is_unwanted: impl Fn(&HeaderName) -> bool) {
    let unwanted: Vec<HeaderName> = headers.keys().filter(|name| is_unwanted(name)).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
}

fn is_of_one_connection(name: &HeaderName) -> bool {
    // They begin with one of these letters, and most headers don't.
    if !name.as_str().starts_with(['c', 'e', 'k', 'p', 't', 'u']) {
        return false;
    }
    OF_ONE_CONNECTION.contains(name) || name == "keep-alive" || name.as_str().starts_with("proxy-")
}

/// Many servers take an underscore for a dash, so it counts as one here.
fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str();
    // All claims begin with one of these letters, and most headers don't.
    if !name.starts_with(['x', 'f']) && !name.contains('_') {
        return false;
    }
    let dashed = if name.contains('_') { Cow::Owned(name.replace('_', "-")) } else { Cow::Borrowed(name) };
    dashed == FORWARDED.as_str()
        || (dashed != name && KEPT.iter().any(|kept| kept.as_str() == dashed))
        || CLAIMS.contains(&&*dashed)
        || CLAIMING_PREFIXES.iter().any(|prefix| dashed.starts_with(prefix))
}

/// A trace is continued only where it is well-formed (W3C Trace Context, section 3.2).
fn has_trace(headers: &HeaderMap) -> bool {
    let mut sent = headers.get_all(TRACEPARENT).iter();
    match (sent.next(), sent.next()) {
        (Some(value), None) => value.to_str().is_ok_and(is_traceparent),
        _ => false,
    }
}

fn is_trace(name: &HeaderName) -> bool {
    *name == TRACEPARENT || *name == TRACESTATE
}

fn is_traceparent(value: &str) -> bool {
    let is_hex = |text: &str, length| {
        text.len() == length
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
    let parts: Vec<&str> = value.split('-').collect();
    matches!(parts.as_slice(), ["00", trace, span, flags] if is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2))
}

#[cfg(test)]
mod tests {
    use kit::secret::Secret;

    use super::*;

    fn prepared(sent: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let client = Client {
            address: Some([192, 0, 2, 1].into()),
            scheme: "http",
            host: Some(HeaderValue::from_static("a")),
        };
        clean_request(&mut headers);
        tell_client(&mut headers, &client, &ClientKey::new(&Secret::new("the tests' secret")));
        headers
    }

    #[test]
    fn g01_nobody_claims_an_identity() {
        for name in [
            "X-User-Id",
            "x_user_id",
            "X-USER",
            "X_User-Role",
            "x-auth-user",
            "X-Internal-Token",
            "x-forwarded-user",
            "X_Forwarded_For",
            "x-forwarded-prefix",
            "X-Original-URL",
            "X_Rewrite_Url",
            "X-Consumer-Id",
            "X-Roles",
            "Forwarded",
            "X-Real-IP",
            "x_request_id",
            "content_length",
        ] {
            let headers = prepared(&[(name, "evil"), (name, "again")]);
            assert!(headers.values().all(|value| value != "evil" && value != "again"), "{name}");
        }
    }

    #[test]
    fn g02_headers_of_one_connection_stay_here() {
        let headers = prepared(&[
            ("connection", "close, X-Secret, authorization, x-request-id"),
            ("connection", "x-forwarded-for, X-Other"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("authorization", "Bearer a"),
            ("x-request-id", "r"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("upgrade", "foo"),
            ("transfer-encoding", "chunked"),
            ("keep-alive", "1"),
            ("proxy-authorization", "x"),
            ("proxy-connection", "x"),
            ("expect", "100-continue"),
            ("accept", "*/*"),
        ]);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "accept",
            "authorization",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-signature",
            "x-request-id",
        ];
        assert_eq!(names, expected);
        assert_eq!(headers[X_FORWARDED_FOR], "192.0.2.1");
    }

    #[test]
    fn only_a_valid_trace_is_continued() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(prepared(&[("traceparent", valid), ("tracestate", "a=b")]).len(), 6);
        for odd in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(prepared(&[("traceparent", odd), ("tracestate", "a=b")]).len(), 4, "{odd}");
        }
        assert_eq!(prepared(&[("traceparent", valid), ("traceparent", valid)]).len(), 4);
    }

    #[test]
    fn an_answer_says_nothing_of_what_made_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("server", "a"),
            ("x-powered-by", "a"),
            ("connection", "x-hop, content-type"),
            ("x-hop", "a"),
            ("keep-alive", "a"),
            ("transfer-encoding", "chunked"),
            ("access-control-allow-credentials", "true"),
            ("content-type", "a/b"),
            ("etag", "\"1\""),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        clean_response(&mut headers);
        assert_eq!(headers.len(), 2);
        assert!(headers.contains_key("content-type") && headers.contains_key("etag"));
    }
}
