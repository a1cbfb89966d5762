//! Which pages of other origins may call from a browser (the Fetch standard's CORS protocol).
//!
//! Callers show a bearer token, never a cookie, so `Access-Control-Allow-Credentials` is never sent.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// What a page may read of an answer besides the plain headers.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Request-Id, ETag, Location, Link, Retry-After, Idempotent-Replayed, RateLimit, RateLimit-Policy",
);

/// The longest list of headers that a preflight may ask for.
const MAX_ASKED_HEADERS: usize = 1024;

/// Which origins may call.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// `http://localhost` on any port, for development.
    pub localhost: bool,
    /// Exactly these, as a browser writes them: `https://shop.example`.
    pub origins: Vec<String>,
}

/// Whether a browser asks what it may do, before it does it.
pub(crate) fn is_preflight(request: &Request) -> bool {
    let headers = request.headers();
    *request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

impl Cors {
    /// 204 without a token and without reaching a service; for an unknown origin it allows nothing.
    pub(crate) fn preflight(&self, asked: &HeaderMap, allow: &HeaderValue) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(
            VARY,
            HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
        if !asked.get(ORIGIN).is_some_and(|origin| self.allows(origin)) {
            return response;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        if let Some(list) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|list| is_list_of_headers(list))
        {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, list.clone());
        }
        response
    }

    /// Tells a page whether it may read the answer; a service's own word on that doesn't count.
    pub(crate) fn decorate(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        self.origins.iter().any(|allowed| allowed == origin) || (self.localhost && is_localhost(origin))
    }
}

fn is_localhost(origin: &str) -> bool {
    match origin.strip_prefix("http://localhost") {
        Some("") => true,
        Some(port) => port.strip_prefix(':').is_some_and(is_port),
        None => false,
    }
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_list_of_headers(list: &HeaderValue) -> bool {
    list.len() <= MAX_ASKED_HEADERS
        && list
            .to_str()
            .is_ok_and(|list| list.split(',').all(|name| HeaderName::try_from(name.trim()).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVELOPMENT: Cors = Cors { localhost: true, origins: Vec::new() };

    fn asked(origin: &str, list: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, origin.parse().unwrap());
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        headers.insert(ACCESS_CONTROL_REQUEST_HEADERS, list.parse().unwrap());
        headers
    }

    #[test]
    fn g13_in_development_localhost_may_call_from_any_port() {
        let allows = |origin: &'static str| DEVELOPMENT.allows(&HeaderValue::from_static(origin));
        assert!(
            allows("http://localhost") && allows("http://localhost:3000") && allows("http://localhost:65535")
        );
        for origin in [
            "https://localhost:1",
            "http://localhost.evil.example",
            "http://localhost:",
            "http://localhost:1.evil.example",
            "http://127.0.0.1:3000",
            "null",
            "*",
            "http://evil.example#http://localhost:1",
        ] {
            assert!(!allows(origin), "{origin}");
        }
    }

    #[test]
    fn else_exactly_what_is_configured() {
        let cors = Cors { localhost: false, origins: vec!["https://shop.example".to_owned()] };
        assert!(cors.allows(&HeaderValue::from_static("https://shop.example")));
        for origin in [
            "https://shop.example:8443",
            "http://shop.example",
            "https://a.shop.example",
            "http://localhost:1",
        ] {
            assert!(!cors.allows(&HeaderValue::from_static(origin)), "{origin}");
        }
    }

    #[test]
    fn a_preflight_allows_the_routes_methods_and_the_asked_headers() {
        let allow = HeaderValue::from_static("GET, POST");
        let answer =
            DEVELOPMENT.preflight(&asked("http://localhost:3000", "authorization, content-type"), &allow);
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET, POST");
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_HEADERS], "authorization, content-type");
        assert_eq!(answer.headers()[ACCESS_CONTROL_MAX_AGE], "600");
    }

    #[test]
    fn a_preflight_allows_a_stranger_nothing() {
        let answer = DEVELOPMENT
            .preflight(&asked("https://evil.example", "authorization"), &HeaderValue::from_static("GET"));
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("access-control-")));
    }

    #[test]
    fn odd_lists_of_headers_are_not_echoed() {
        for list in ["a b", "a,,b", "", &"a,".repeat(600)] {
            let answer = DEVELOPMENT
                .preflight(&asked("http://localhost:3000", list), &HeaderValue::from_static("GET"));
            assert!(!answer.headers().contains_key(ACCESS_CONTROL_ALLOW_HEADERS), "{list:?}");
        }
    }

    #[test]
    fn g13_an_answer_never_allows_all_origins_nor_credentials() {
        let mut headers = HeaderMap::new();
        DEVELOPMENT.decorate(Some(&HeaderValue::from_static("http://localhost:3000")), &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");
        assert_eq!(headers[VARY], "Origin");
        assert!(!headers.contains_key("access-control-allow-credentials"));
        let mut headers = HeaderMap::new();
        DEVELOPMENT.decorate(None, &mut headers);
        assert_eq!((headers.len(), headers[VARY].to_str().unwrap()), (1, "Origin"));
    }
}
