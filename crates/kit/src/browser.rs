//! What every answer tells a browser: to show, keep, frame and guess at as little of it as may be (OWASP's list of security headers).
//!
//! They are said once, at the edge. A header that an answer has already stays, so a page says itself what it needs, and so does
//! a service elsewhere that isn't ours.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// Of every answer. A browser heeds the first only over TLS (RFC 6797, section 8.1), so it does no harm without a proxy in front.
static OF_ALL: [(HeaderName, HeaderValue); 7] = [
    (STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// What a page of ours says besides: what it may load, that no other page has a hold on it, and that it needs nothing of the machine.
#[must_use]
pub const fn page(policy: &'static str) -> [(HeaderName, HeaderValue); 3] {
    let nothing = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), \
                   microphone=(), payment=(), usb=()";
    [
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin")),
        (PERMISSIONS_POLICY, HeaderValue::from_static(nothing)),
    ]
}

/// Says what an answer doesn't say itself.
pub(crate) fn tell(headers: &mut HeaderMap) {
    headers.reserve(OF_ALL.len());
    for (name, value) in &OF_ALL {
        headers.entry(name).or_insert_with(|| value.clone());
    }
}
