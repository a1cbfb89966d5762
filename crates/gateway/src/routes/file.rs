//! The routes file: its keys, and every way in which it can be wrong. `schema.json` says the same to an editor.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};
use kit::limit::Rate;

use super::fault::{Faults, Located, RoutesError};
use super::keys::Keys;
use super::yaml::{self, Node, Value};
use super::{Backend, Balance, HealthCheck, RouteConfig, Routes, Terms};

const FILE: &[&str] = &["defaults", "routes"];
const DEFAULTS: &[&str] = &["timeout", "max_body", "rate_limit", "balance", "health_check"];
const ROUTE: &[&str] = &[
    "path",
    "backend",
    "backends",
    "methods",
    "public",
    "timeout",
    "max_body",
    "rate_limit",
    "balance",
    "health_check",
];
const RATE_LIMIT: &[&str] = &["requests", "per", "burst"];
const HEALTH_CHECK: &[&str] = &["path", "interval", "timeout"];

/// A day is more than anybody waits, and far from where sums of times overflow.
const TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);

/// Up to a million in any time is more than one gateway can do.
const REQUESTS: RangeInclusive<u64> = 1..=1_000_000;

/// From a KiB to a GiB: what lies beyond is a slip of the pen.
const SIZES: RangeInclusive<usize> = 1024..=1024 * 1024 * 1024;

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

pub(super) fn parse(text: &str, name: &str) -> Result<Routes, RoutesError> {
    let mut faults = Faults::default();
    let root = faults.note(yaml::read(text));
    match root.and_then(|root| read_file(&root, &mut faults)) {
        Some(routes) if faults.is_empty() => Ok(routes),
        _ => Err(faults.into_error(name)),
    }
}

fn read_file(root: &Node, faults: &mut Faults) -> Option<Routes> {
    let file = Keys::read(root, "the file", FILE, faults)?;
    // A `defaults:` with nothing but comments below it says nothing.
    let defaults = file.get("defaults").filter(|defaults| !matches!(defaults.value, Value::Null));
    let terms = defaults.and_then(|defaults| {
        let keys = Keys::read(defaults, "`defaults`", DEFAULTS, faults)?;
        Some(read_terms(&keys, &Terms::default(), faults))
    });
    let terms = terms.unwrap_or_default();
    let list = file.require("routes", faults)?;
    let entries = faults.note(read_list(list, "routes"))?;
    let mut seen: Vec<String> = Vec::new();
    let mut routes = Vec::new();
    for entry in entries {
        let Some(keys) = Keys::read(entry, "a route", ROUTE, faults) else { continue };
        routes.extend(read_route(&keys, &terms, &mut seen, faults));
    }
    Some(Routes(routes))
}

fn read_route(
    keys: &Keys<'_>,
    defaults: &Terms,
    seen: &mut Vec<String>,
    faults: &mut Faults,
) -> Option<RouteConfig> {
    let path = keys.require("path", faults).and_then(|node| {
        let path = faults.note(read_path(node))?;
        if seen.contains(&path) {
            faults.add(node.referenced, format!("the path `{path}` stands twice"));
        }
        seen.push(path.clone());
        Some(path)
    });
    let backends = read_backends(keys, faults);
    let methods = keys.require("methods", faults).and_then(|node| read_methods(node, faults));
    let public = keys.get("public").map_or(Some(false), |node| faults.note(read_switch(node, "public")));
    let terms = read_terms(keys, defaults, faults);
    Some(RouteConfig { path: path?, backends: backends?, methods: methods?, public: public?, terms })
}

/// What a route or the defaults say; what they don't say, or say wrongly, is as in `base`.
fn read_terms(keys: &Keys<'_>, base: &Terms, faults: &mut Faults) -> Terms {
    let mut terms = base.clone();
    if let Some(timeout) = keys.get("timeout").and_then(|node| faults.note(read_time(node))) {
        terms.timeout = timeout;
    }
    if let Some(size) = keys.get("max_body").and_then(|node| faults.note(read_size(node))) {
        terms.max_body = size;
    }
    if let Some(rate) = keys.get("rate_limit").and_then(|node| read_rate(node, faults)) {
        terms.rate_limit = Some(rate);
    }
    if let Some(balance) = keys.get("balance").and_then(|node| faults.note(read_balance(node))) {
        terms.balance = balance;
    }
    if let Some(node) = keys.get("health_check") {
        read_health_check(node, &mut terms.health_check, faults);
    }
    terms
}

fn read_path(node: &Node) -> Result<String, Located> {
    let path = read_text(node, "path")?;
    let fault = |message: &str| (node.referenced, format!("the path `{path}` {message}"));
    if !path.starts_with('/') {
        return Err(fault("must begin with `/`"));
    }
    let has_query = path.contains(['?', '#']);
    if has_query || !matches!(crate::path::normalise(path), Ok(None)) {
        return Err(fault(
            "must be a plain path, without a query, dot segments, double slashes or needless encoding",
        ));
    }
    if let Some(prefix) = before_placeholder(path) {
        return Err(fault(&format!(
            "has a placeholder, but a path is a prefix: `{prefix}` covers all below it"
        )));
    }
    let path = path.trim_end_matches('/');
    if crate::own::always_serves(path) {
        return Err(fault("is one that the gateway answers itself, always: choose another"));
    }
    Ok(path.to_owned())
}

/// What stands before a `*`, `{id}` or `:id`, if the path has one.
fn before_placeholder(path: &str) -> Option<&str> {
    let segments = path.match_indices('/').map(|(start, _)| (&path[..start], &path[start + 1..]));
    let mut segments = segments.map(|(before, rest)| (before, rest.split('/').next().unwrap_or_default()));
    let (before, _) = segments.find(|(_, name)| name.starts_with(':') || name.contains(['*', '{', '}']))?;
    Some(if before.is_empty() { "/" } else { before })
}

/// One address or several, none twice.
fn read_backends(keys: &Keys<'_>, faults: &mut Faults) -> Option<Vec<Backend>> {
    let Some(list) = keys.get("backends") else {
        let node = keys.require("backend", faults)?;
        return faults.note(read_backend(node)).map(|backend| vec![backend]);
    };
    if let Some(one) = keys.get("backend") {
        faults.add(list.referenced, "a route has `backend` or `backends`, not both");
        faults.note(read_backend(one));
    }
    let nodes = faults.note(read_list(list, "backends"))?;
    let mut backends: Vec<Backend> = Vec::new();
    for node in nodes {
        let Some(backend) = faults.note(read_backend(node)) else { continue };
        if backends.iter().any(|earlier| earlier.is_same(&backend)) {
            faults.add(node.referenced, format!("the backend `http://{}` stands twice", backend.0));
        }
        backends.push(backend);
    }
    Some(backends)
}

fn read_backend(node: &Node) -> Result<Backend, Located> {
    let text = read_text(node, "backend")?;
    // A name and a password before the host are no part of an address, and not for the screen.
    let shown = text.rsplit('@').next().unwrap_or_default();
    let fault = || {
        let message =
            format!("the backend `{shown}` must be an address like `http://localhost:8082`, without a path");
        (node.referenced, message)
    };
    let uri: Uri = text.parse().map_err(|_| fault())?;
    if uri.scheme() == Some(&Scheme::HTTPS) {
        let message = format!(
            "the backend `{shown}` can't be asked over TLS: the gateway speaks plain HTTP to its backends, at an address like `http://localhost:8082`"
        );
        return Err((node.referenced, message));
    }
    let is_bare = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
    let authority = uri.authority().filter(|_| is_bare).filter(|authority| is_address(authority));
    authority.cloned().map(Backend).ok_or_else(fault)
}

fn is_address(authority: &Authority) -> bool {
    let after_host = authority.as_str().strip_prefix(authority.host());
    let has_good_port = match after_host {
        Some("") => true,
        Some(_) => authority.port_u16().is_some_and(|port| port != 0),
        // It begins with a user name, which a backend has no use for.
        None => false,
    };
    has_good_port && !authority.host().is_empty()
}

fn read_methods(node: &Node, faults: &mut Faults) -> Option<Vec<Method>> {
    let mut methods: Vec<Method> = Vec::new();
    for name in faults.note(read_list(node, "methods"))? {
        let method = faults.note(read_method(name));
        methods.extend(method.filter(|method| !methods.contains(method)));
    }
    Some(methods)
}

fn read_method(node: &Node) -> Result<Method, Located> {
    let name = read_text(node, "methods")?;
    let method = METHODS.iter().find(|method| method.as_str().eq_ignore_ascii_case(name));
    method.cloned().ok_or_else(|| {
        let names: Vec<&str> = METHODS.iter().map(Method::as_str).collect();
        (node.referenced, format!("`{name}` is not a method: use {}", names.join(", ")))
    })
}

fn read_rate(node: &Node, faults: &mut Faults) -> Option<Rate> {
    let keys = Keys::read(node, "`rate_limit`", RATE_LIMIT, faults)?;
    let requests = keys.require("requests", faults);
    let requests = requests.and_then(|node| faults.note(read_count(node, "requests")));
    let per = keys.get("per").map_or(Some(Duration::from_secs(1)), |node| faults.note(read_time(node)));
    let burst = keys.get("burst").map(|node| faults.note(read_count(node, "burst")));
    let requests = requests?;
    let twice = requests.saturating_mul(NonZeroU32::MIN.saturating_add(1));
    Some(Rate { requests, per: per?, burst: burst.unwrap_or(Some(twice))? })
}

fn read_count(node: &Node, key: &str) -> Result<NonZeroU32, Located> {
    let count = match node.value {
        Value::Whole(count) if REQUESTS.contains(&count) => u32::try_from(count).ok(),
        _ => None,
    };
    count.and_then(NonZeroU32::new).ok_or_else(|| {
        let (least, most) = (REQUESTS.start(), REQUESTS.end());
        (node.referenced, format!("`{key}` must be a whole number from {least} to {most}"))
    })
}

fn read_balance(node: &Node) -> Result<Balance, Located> {
    let text = read_text(node, "balance")?;
    Balance::ALL.into_iter().find(|balance| balance.name() == text).ok_or_else(|| {
        let names = Balance::ALL.map(Balance::name).join("` or `");
        (node.referenced, format!("`balance` must be `{names}`, not `{text}`"))
    })
}

fn read_health_check(node: &Node, check: &mut HealthCheck, faults: &mut Faults) {
    let Some(keys) = Keys::read(node, "`health_check`", HEALTH_CHECK, faults) else { return };
    if let Some(path) = keys.get("path").and_then(|node| faults.note(read_check_path(node))) {
        check.path = path;
    }
    if let Some(interval) = keys.get("interval").and_then(|node| faults.note(read_time(node))) {
        check.interval = interval;
    }
    if let Some(timeout) = keys.get("timeout").and_then(|node| faults.note(read_time(node))) {
        check.timeout = timeout;
    }
}

fn read_check_path(node: &Node) -> Result<PathAndQuery, Located> {
    let text = read_text(node, "path")?;
    let path = text.starts_with('/').then(|| text.parse().ok()).flatten();
    path.ok_or_else(|| {
        (node.referenced, format!("the path `{text}` of a health check must be like `/health/ready`"))
    })
}

fn read_time(node: &Node) -> Result<Duration, Located> {
    let text = match &node.value {
        Value::Text(text) | Value::Number(text) => text.clone(),
        Value::Whole(number) => number.to_string(),
        other => return Err((node.referenced, format!("a time is needed; this is {}", other.kind()))),
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let duration = number.parse::<u64>().ok().and_then(|number| match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(60 * 60).map(Duration::from_secs),
        _ => None,
    });
    duration.filter(|duration| TIMES.contains(duration)).ok_or_else(|| {
        (node.referenced, format!("`{text}` must be a time like `30s`, `500ms` or `2m`, from 1ms to 24h"))
    })
}

fn read_size(node: &Node) -> Result<usize, Located> {
    let text = match &node.value {
        Value::Text(text) | Value::Number(text) => text.clone(),
        Value::Whole(number) => number.to_string(),
        other => return Err((node.referenced, format!("a size is needed; this is {}", other.kind()))),
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let size = number.parse::<usize>().ok().and_then(|number| match unit {
        "KiB" => number.checked_mul(1024),
        "MiB" => number.checked_mul(1024 * 1024),
        _ => None,
    });
    size.filter(|size| SIZES.contains(size)).ok_or_else(|| {
        (node.referenced, format!("`{text}` must be a size like `1MiB` or `512KiB`, from 1KiB to 1024MiB"))
    })
}

fn read_switch(node: &Node, key: &str) -> Result<bool, Located> {
    match node.value {
        Value::Bool(value) => Ok(value),
        _ => Err((node.referenced, format!("`{key}` must be true or false"))),
    }
}

fn read_text<'a>(node: &'a Node, key: &str) -> Result<&'a str, Located> {
    match &node.value {
        Value::Text(text) => Ok(text),
        other => Err((node.referenced, format!("`{key}` must be text; this is {}", other.kind()))),
    }
}

fn read_list<'a>(node: &'a Node, key: &str) -> Result<&'a [Node], Located> {
    match &node.value {
        Value::List(items) if items.is_empty() => Err((node.referenced, format!("`{key}` is empty"))),
        Value::List(items) => Ok(items),
        other => Err((node.referenced, format!("`{key}` must be a list; this is {}", other.kind()))),
    }
}

#[cfg(test)]
mod tests;
