//! The routes file: its keys, and every way in which it can be wrong.

use std::time::Duration;

use http::uri::Authority;
use http::{Method, Uri};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::{Backend, DEFAULT_TIMEOUT, RouteConfig, Routes};

/// A fault of a routes file, with its place.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}:{line}:{column}: {message}")]
pub struct RoutesError {
    file: String,
    line: u64,
    column: u64,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    defaults: Defaults,
    routes: Spanned<Vec<Entry>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    timeout: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: Spanned<String>,
    backend: Spanned<String>,
    methods: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    public: bool,
    timeout: Option<Spanned<String>>,
}

/// A fault and where it stands.
type Fault = (Location, String);

pub(super) fn parse(text: &str, name: &str) -> Result<Routes, RoutesError> {
    read(text).map_err(|(location, message)| RoutesError {
        file: name.to_owned(),
        line: location.line(),
        column: location.column(),
        message,
    })
}

fn read(text: &str) -> Result<Routes, Fault> {
    let file: File = serde_saphyr::from_str(text).map_err(|error| syntax_fault(&error))?;
    let default_timeout = file.defaults.timeout.as_ref().map_or(Ok(DEFAULT_TIMEOUT), read_timeout)?;
    if file.routes.value.is_empty() {
        return Err((file.routes.referenced, "`routes` is empty".to_owned()));
    }
    let mut routes: Vec<RouteConfig> = Vec::new();
    for entry in &file.routes.value {
        let route = read_entry(entry, default_timeout)?;
        if routes.iter().any(|earlier| earlier.path == route.path) {
            return Err((entry.path.referenced, format!("the path `{}` stands twice", entry.path.value)));
        }
        routes.push(route);
    }
    Ok(Routes(routes))
}

fn read_entry(entry: &Entry, default_timeout: Duration) -> Result<RouteConfig, Fault> {
    Ok(RouteConfig {
        path: read_path(&entry.path)?,
        backend: read_backend(&entry.backend)?,
        methods: read_methods(&entry.methods)?,
        public: entry.public,
        timeout: entry.timeout.as_ref().map_or(Ok(default_timeout), read_timeout)?,
        rate_limit: None,
    })
}

fn read_path(path: &Spanned<String>) -> Result<String, Fault> {
    let fault = |message: &str| (path.referenced, format!("the path `{}` {message}", path.value));
    if !path.value.starts_with('/') {
        return Err(fault("must begin with `/`"));
    }
    let has_query = path.value.contains(['?', '#']);
    if has_query || !matches!(crate::path::normalise(&path.value), Ok(None)) {
        return Err(fault(
            "must be a plain path, without a query, dot segments, double slashes or needless encoding",
        ));
    }
    Ok(path.value.trim_end_matches('/').to_owned())
}

fn read_backend(backend: &Spanned<String>) -> Result<Backend, Fault> {
    let fault = || {
        let message = format!(
            "the backend `{}` must be an address like `http://localhost:8082`, without a path",
            backend.value
        );
        (backend.referenced, message)
    };
    let uri: Uri = backend.value.parse().map_err(|_| fault())?;
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

fn read_methods(methods: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<Method>, Fault> {
    if methods.value.is_empty() {
        return Err((methods.referenced, "`methods` is empty".to_owned()));
    }
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let mut read: Vec<Method> = Vec::new();
    for name in &methods.value {
        let method = known.iter().find(|method| method.as_str().eq_ignore_ascii_case(&name.value));
        let method = method.ok_or_else(|| (name.referenced, format!("`{}` is not a method", name.value)))?;
        if !read.contains(method) {
            read.push(method.clone());
        }
    }
    Ok(read)
}

fn read_timeout(text: &Spanned<String>) -> Result<Duration, Fault> {
    let digits = text.value.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.value.split_at(digits);
    let duration = number.parse::<u64>().ok().and_then(|number| match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    });
    // A day is more than anybody waits, and far from where sums of times overflow.
    let sensible = Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);
    duration.filter(|duration| sensible.contains(duration)).ok_or_else(|| {
        (text.referenced, format!("`{}` must be a time like `30s`, `500ms` or `2m`", text.value))
    })
}

fn syntax_fault(error: &serde_saphyr::Error) -> Fault {
    let plain = error.without_snippet();
    let text = plain.to_string();
    // The place is told apart, and the rest of a longer report repeats the file.
    let line = text.lines().next().unwrap_or_default();
    let message = line.split(" at line ").next().unwrap_or_default();
    (error.location().unwrap_or(Location::UNKNOWN), message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Ports;
    use super::*;

    const ORIGINAL: &str = r#"
routes:
  - path: /auth
    backend: http://localhost:8083
    methods: ["GET", "POST"]
  - path: /users
    backend: http://localhost:8081
    methods: ["GET", "POST", "PUT", "DELETE"]
"#;

    fn fault(text: &str) -> String {
        parse(text, "routes.yaml").unwrap_err().to_string()
    }

    fn fault_of(lines: &str) -> String {
        fault(&format!("routes:\n  - path: /a\n    backend: http://a:1\n    methods: [GET]\n{lines}"))
    }

    #[test]
    fn the_shipped_file_is_the_built_in_table() {
        let shipped = parse(include_str!("../../../../routes.yaml"), "routes.yaml").unwrap();
        assert_eq!(shipped, Routes::built_in(Ports::default()));
    }

    #[test]
    fn the_original_form_works_unchanged() {
        let routes = parse(ORIGINAL, "routes.yaml").unwrap();
        assert_eq!(routes.0[0].methods, [Method::GET, Method::POST]);
        assert_eq!(routes.0[1].path, "/users");
        assert!(routes.0.iter().all(|route| !route.public && route.timeout == Duration::from_secs(30)));
    }

    #[test]
    fn more_keys_are_read() {
        let text = "defaults: {timeout: 2m}\nroutes:\n  - {path: /a/, backend: 'http://a', methods: [get], public: true}\n  - {path: /b, backend: 'http://[::1]:1/', methods: [GET], timeout: 500ms}\n";
        let routes = parse(text, "routes.yaml").unwrap();
        assert_eq!((routes.0[0].path.as_str(), routes.0[0].public), ("/a", true));
        assert_eq!(routes.0[0].timeout, Duration::from_secs(120));
        assert_eq!(routes.0[1].timeout, Duration::from_millis(500));
    }

    #[test]
    fn every_fault_is_one_line_with_its_place() {
        let unknown = fault_of("    backends: [http://b:1]\n");
        assert!(unknown.starts_with("routes.yaml:5:5: ") && unknown.contains("backends"), "{unknown}");
        for (text, expected) in [
            (fault_of("    timeout: soon\n"), "routes.yaml:5:14: `soon` must be a time"),
            (fault_of("    timeout: 0s\n"), "routes.yaml:5:14: `0s` must be a time"),
            (
                fault_of("  - {path: /a/, backend: 'http://b', methods: [GET]}\n"),
                "routes.yaml:5:12: the path `/a/` stands twice",
            ),
            (
                fault_of("  - {path: b, backend: 'http://b', methods: [GET]}\n"),
                "routes.yaml:5:12: the path `b` must begin",
            ),
            (
                fault_of("  - {path: /b/../c, backend: 'http://b', methods: [GET]}\n"),
                "routes.yaml:5:12: the path `/b/../c` must be",
            ),
            (
                fault_of("  - {path: /b, backend: 'https://b', methods: [GET]}\n"),
                "routes.yaml:5:25: the backend `https://b` must",
            ),
            (
                fault_of("  - {path: /b, backend: 'http://b/c', methods: [GET]}\n"),
                "routes.yaml:5:25: the backend `http://b/c`",
            ),
            (
                fault_of("  - {path: /b, backend: 'http://b:x', methods: [GET]}\n"),
                "routes.yaml:5:25: the backend `http://b:x`",
            ),
            (
                fault_of("  - {path: /b, backend: 'http://u@b', methods: [GET]}\n"),
                "routes.yaml:5:25: the backend `http://u@b`",
            ),
            (
                fault_of("  - {path: /b, backend: 'http://b', methods: [GTE]}\n"),
                "routes.yaml:5:47: `GTE` is not a method",
            ),
            (
                fault_of("  - {path: /b, backend: 'http://b', methods: []}\n"),
                "routes.yaml:5:46: `methods` is empty",
            ),
            (fault("routes: []\n"), "routes.yaml:1:9: `routes` is empty"),
        ] {
            assert!(text.starts_with(expected), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
        for text in
            ["", "routes:\n  - path: /a\n    methods: [GET]\n", "routes: {", "paths: []\n", "routes:\n\t- a"]
        {
            let fault = fault(text);
            assert!(fault.starts_with("routes.yaml:") && fault.lines().count() == 1, "{fault}");
        }
    }
}
