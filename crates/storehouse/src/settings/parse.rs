//! From text to type; `None` where the text is not valid, which the table then explains.

use std::net::IpAddr;
use std::time::Duration;

use accounts::PasswordHash;
use ipnet::IpNet;
use kit::mail::Address;
use kit::secret::Secret;
use kit::telemetry::Format;

use super::Environment;

pub(super) fn environment(text: &str) -> Option<Environment> {
    match text {
        "development" => Some(Environment::Development),
        "production" => Some(Environment::Production),
        _ => None,
    }
}

pub(super) fn address(text: &str) -> Option<IpAddr> {
    if text == "localhost" { Some(IpAddr::from([127, 0, 0, 1])) } else { text.parse().ok() }
}

pub(super) fn port(text: &str) -> Option<u16> {
    text.parse().ok()
}

pub(super) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "1" | "yes" => Some(true),
        "off" | "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// What stands before a colon and has no slash is a scheme, and only these are known.
pub(super) fn database_url(text: &str) -> Option<String> {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| is_scheme(scheme));
    let rest = scheme.map_or(text, |scheme| text[scheme.len() + 1..].trim_start_matches("//"));
    let known = match scheme {
        None | Some("sqlite") => true,
        Some(scheme) => {
            matches!(scheme, "postgres" | "postgresql") && text[scheme.len()..].starts_with("://")
        }
    };
    (known && !rest.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
}

pub(super) fn redis_url(text: &str) -> Option<Secret> {
    let is_network = text.starts_with("redis://") || text.starts_with("rediss://");
    (is_network && redis::Client::open(text).is_ok()).then(|| Secret::new(text))
}

pub(super) fn password_hash(text: &str) -> Option<PasswordHash> {
    match text {
        "argon2id" => Some(PasswordHash::Argon2id),
        "bcrypt" => Some(PasswordHash::Bcrypt),
        _ => None,
    }
}

pub(super) fn at_least_one(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number| *number >= 1)
}

/// Four at least, since one address may have a quarter.
pub(super) fn connections(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| *number >= 4)
}

/// `90s`, `30m`, `24h`, `7d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let unit = match text.bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 60 * 60,
        b'd' => 24 * 60 * 60,
        _ => return None,
    };
    let number: u32 = text[..text.len() - 1].parse().ok()?;
    (number > 0).then(|| Duration::from_secs(u64::from(number) * unit))
}

/// A duration, or `forever`, which is none; the outer option says whether the text is valid.
pub(super) fn retention(text: &str) -> Option<Option<Duration>> {
    if text == "forever" { Some(None) } else { duration(text).map(Some) }
}

/// `02:30`, as the time since midnight.
pub(super) fn time_of_day(text: &str) -> Option<Duration> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, limit: u64| {
        let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|number| is_plain && *number < limit)
    };
    Some(Duration::from_secs(60 * (60 * number(hours, 24)? + number(minutes, 60)?)))
}

/// `auto` is no format of its own, the log chooses by its output; the outer option says whether the text is valid.
pub(super) fn log_format(text: &str) -> Option<Option<Format>> {
    match text {
        "auto" => Some(None),
        "text" => Some(Some(Format::Text)),
        "json" => Some(Some(Format::Json)),
        _ => None,
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

pub(super) fn origins(text: &str) -> Option<Vec<String>> {
    items(text).map(|origin| is_origin(origin).then(|| origin.to_owned())).collect()
}

/// `scheme://host`, perhaps a port, as browsers write it; any port only for this machine. A path or a bare `*` is a misunderstanding.
fn is_origin(text: &str) -> bool {
    if text.ends_with('*') {
        return text == "http://localhost:*";
    }
    let Some(host) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let (name, port) = host.rsplit_once(':').filter(|_| !host.ends_with(']')).unwrap_or((host, "80"));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:[]".contains(c);
    !name.is_empty() && name.chars().all(plain) && port.parse::<u16>().is_ok()
}

pub(super) fn networks(text: &str) -> Option<Vec<IpNet>> {
    let network = |item: &str| item.parse().ok().or_else(|| item.parse::<IpAddr>().ok().map(IpNet::from));
    items(text).map(network).collect()
}

pub(super) fn addresses(text: &str) -> Option<Vec<Address>> {
    items(text).map(|item| item.parse().ok()).collect()
}

/// What can stand in a header after `Bearer`.
pub(super) fn bearer_token(text: &str) -> Option<Secret> {
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_addresses() {
        for good in [
            "auth.db",
            "/var/lib/x.db",
            "./a:b.db",
            "sqlite:x.db",
            "sqlite:///x.db",
            "postgres://u:p@h/d",
            "postgresql://h/d",
        ] {
            assert_eq!(database_url(good).as_deref(), Some(good));
        }
        for bad in ["mysql://h/d", "mysql:d", "postgres:d", "postgres://", "sqlite:", "http://x", "a\nb"] {
            assert_eq!(database_url(bad), None, "{bad}");
        }
    }

    #[test]
    fn origins_have_no_path() {
        for good in ["http://localhost:*", "https://shop.example.com", "http://[::1]:3000", "http://[::1]"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "shop.example.com",
            "https://shop.example.com/",
            "https://*",
            "http://a:b",
            "https://",
            "http://a:*",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
        assert_eq!(origins("").unwrap(), Vec::<String>::new());
        assert_eq!(origins("http://a, http://b").unwrap().len(), 2);
    }

    #[test]
    fn times_and_networks() {
        assert_eq!(duration("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(
            [duration("24"), duration("0h"), duration("h"), duration("-1s"), duration("1é")],
            [None; 5]
        );
        assert_eq!(time_of_day("02:30"), Some(Duration::from_secs(9000)));
        assert_eq!(time_of_day("23:59"), Some(Duration::from_secs(86_340)));
        for bad in ["24:00", "2:30", "02:60", "02:3", "02", "+2:30", "02:30:00", "é:30"] {
            assert_eq!(time_of_day(bad), None, "{bad}");
        }
        assert_eq!(networks("10.0.0.1,10.0.0.0/8, ::1").unwrap().len(), 3);
        assert_eq!(networks("10.0.0.0/33"), None);
    }
}
