//! Where a webhook's messages go, and what they are about: types that can only be valid.

use std::net::IpAddr;
use std::str::FromStr;

use events::EventType;
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
        match host_of(&uri) {
            Some(host) if is_host(host) && has_good_port(&uri) => Ok(Self { text: text.to_owned(), uri }),
            _ => Err(invalid("must name a host: a name in ASCII, or an IP address in its usual form")),
        }
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

/// An event type (`order.placed`), or all of a kind (`order.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter(String);

impl EventFilter {
    /// More of them would say nothing more.
    pub const MOST: usize = 50;

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn matches(&self, word: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => word.starts_with(start),
            None => word == self.0,
        }
    }
}

impl FromStr for EventFilter {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let filter = Self(text.to_owned());
        let is_whole = text.strip_suffix('*').is_none_or(|start| start.ends_with('.'));
        if is_whole && EventType::ALL.iter().any(|(_, word, _)| filter.matches(word)) {
            return Ok(filter);
        }
        let message = "must be a type of event such as order.placed, or all of a kind such as order.*";
        Err(Invalid { code: "invalid_event_type", message: message.into() })
    }
}

impl FromJson for EventFilter {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl JsonSchema for EventFilter {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventFilter".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = r"^[a-z_]+\.([a-z_]+|\*)$";
        json_schema!({"type": "string", "pattern": pattern, "examples": ["order.placed", "stock.*"]})
    }
}

/// The types that some filters choose; none, which stands for all, if there is no filter.
pub(crate) fn chosen_types(filters: &[EventFilter]) -> Vec<EventType> {
    let is_chosen = |word: &str| filters.iter().any(|filter| filter.matches(word));
    EventType::ALL.iter().filter(|(_, word, _)| is_chosen(word)).map(|(event_type, ..)| *event_type).collect()
}

/// As they are stored.
pub(crate) fn join_filters(filters: &[EventFilter]) -> String {
    let words: Vec<&str> = filters.iter().map(EventFilter::as_str).collect();
    words.join(" ")
}

/// As they were stored; one that this version doesn't know chooses nothing.
pub(crate) fn split_filters(text: &str) -> Vec<EventFilter> {
    text.split_whitespace().map(|word| EventFilter(word.to_owned())).collect()
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
        let long = format!("https://example.com/{}", "a".repeat(MAX_URL));
        assert_eq!(long.parse::<WebhookUrl>().unwrap_err().code, "invalid_length");
    }

    #[test]
    fn a_filter_chooses_types() {
        let filters: Vec<EventFilter> = ["order.*", "stock.low"].map(|text| text.parse().unwrap()).to_vec();
        let chosen = chosen_types(&filters);
        assert!(chosen.contains(&EventType::OrderPlaced) && chosen.contains(&EventType::StockLow));
        assert!(!chosen.contains(&EventType::StockReceived) && !chosen.contains(&EventType::UserCreated));
        assert_eq!(split_filters(&join_filters(&filters)), filters);
        assert!(chosen_types(&[]).is_empty());
        for bad in
            ["", "*", "order", "order.", "order.lost", "ord*", "orders.*", "order.*.*", "Order.*", "order.* "]
        {
            assert!(bad.parse::<EventFilter>().is_err(), "{bad}");
        }
    }
}
