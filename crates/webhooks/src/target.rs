//! Where a webhook's messages go: a type that can only be valid.

use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use kit::fields::{Faults, FromJson, Invalid, read_text};
use kit::json::Json;
use kit::outgoing::host_of;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// How long an address may be, in bytes.
const MAX_URL: usize = 2048;

/// An address that messages can be sent to: `http` or `https`, without a user, a password or a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl {
    text: String,
    uri: Uri,
}

impl WebhookUrl {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As it is asked for.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The IP address, where one is written.
    pub fn address(&self) -> Option<IpAddr> {
        host_of(&self.uri)?.parse().ok()
    }
}

impl FromStr for WebhookUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |message: &'static str| Invalid { code: "invalid_url", message: message.into() };
        if text.len() > MAX_URL {
            return Err(Invalid {
                code: "invalid_length",
                message: format!("must have at most {MAX_URL} characters").into(),
            });
        }
        if text.contains('#') {
            return Err(invalid("must not have a fragment (#)"));
        }
        let uri: Uri =
            text.parse().map_err(|_| invalid("must be an address such as https://example.com/hook"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(invalid("must begin with https:// or http://"));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(invalid("must not hold a user or a password"));
        }
        if !host_of(&uri).is_some_and(is_host) {
            return Err(invalid("must name a host: a name in ASCII, or an IP address in its usual form"));
        }
        if !has_good_port(&uri) {
            return Err(invalid("must have a port from 1 to 65535 behind the colon, or neither"));
        }
        Ok(Self { text: text.to_owned(), uri })
    }
}

/// A name in ASCII, or an IP address in its usual form. What ends in a number is an address to a resolver, in spellings that hide which (`127.1`, `0x7f.1`).
fn is_host(host: &str) -> bool {
    if host.contains(':') || is_number(last_label(host)) {
        return host.parse::<IpAddr>().is_ok();
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=253).contains(&host.len()) && host.bytes().all(is_plain)
}

/// Whether behind the host stands a port or nothing: anything else would be taken for the usual port.
fn has_good_port(uri: &Uri) -> bool {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let rest = authority.strip_prefix(uri.host().unwrap_or_default()).unwrap_or(authority);
    let port = rest.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    rest.is_empty() || port.and_then(|port| port.parse::<u16>().ok()).is_some_and(|port| port > 0)
}

fn last_label(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.rsplit('.').next().unwrap_or(host)
}

fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

impl FromJson for WebhookUrl {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl JsonSchema for WebhookUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WebhookUrl".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "format": "uri", "maxLength": MAX_URL, "examples": ["https://example.com/hook"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_plain() {
        for good in [
            "https://example.com",
            "http://example.com:8080/a/b?c=d&e=%20",
            "https://xn--bcher-kva.example/",
            "https://a_b.example./x",
            "http://127.0.0.1:9000/",
            "http://[::1]:9000/hook",
            "http://localhost/",
            "https://1password.example/",
        ] {
            let url: WebhookUrl = good.parse().unwrap_or_else(|invalid| panic!("{good}: {invalid:?}"));
            assert_eq!(url.as_str(), good);
        }
        for bad in [
            "",
            "example.com",
            "/hook",
            "ftp://example.com/",
            "file:///etc/passwd",
            "https://",
            "https:///x",
            "https://user@example.com/",
            "https://user:pass@example.com/",
            "https://example.com/#x",
            "https://exa mple.com/",
            "https://example.com/\n",
            "https://bücher.example/",
            "https://example.com:0/",
            "https://example.com:/",
            "https://example.com:99999/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://127.0.0.1./",
            "http://1.2.3.4.5/",
            "http://[::1/",
            "http://[fe80::1%25eth0]/",
        ] {
            assert!(bad.parse::<WebhookUrl>().is_err(), "{bad}");
        }
        for (bad, what) in [("https://example.com:99999/", "a port"), ("http://127.1:9000/", "a host")] {
            let message = bad.parse::<WebhookUrl>().unwrap_err().message;
            assert!(message.contains(what), "{bad}: {message}");
        }
        let long = format!("https://example.com/{}", "a".repeat(MAX_URL));
        assert_eq!(long.parse::<WebhookUrl>().unwrap_err().code, "invalid_length");
    }
}
