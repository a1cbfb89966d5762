//! Routes as people read them: one on a line.

use std::fmt;
use std::time::Duration;

use http::Method;
use kit::limit::Rate;

use super::{Backend, RouteConfig, Routes, with_head};

impl fmt::Display for Routes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|route| route.path.len()).max().unwrap_or_default();
        for route in &self.0 {
            let path = if route.path.is_empty() { "/" } else { &route.path };
            writeln!(formatter, "{path:width$}  {}", line(route))?;
        }
        Ok(())
    }
}

fn line(route: &RouteConfig) -> String {
    let (methods, terms) = (with_head(&route.methods), &route.terms);
    let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let access = if route.public { "public" } else { "token" };
    let mut line = format!("→ {}  {}  {access}", backends(route), methods.join(" "));
    line += &format!("  timeout {}", time(terms.timeout));
    if terms.max_body != kit::body::MAX_BODY {
        line += &format!("  body {}", size(terms.max_body));
    }
    if let Some(rate) = &terms.rate_limit {
        line += &format!("  {}", limit(rate));
    }
    line
}

fn backends(route: &RouteConfig) -> String {
    let addresses: Vec<String> =
        route.backends.iter().map(|Backend(authority)| format!("http://{authority}")).collect();
    match addresses.as_slice() {
        [only] => only.clone(),
        several => format!("{} ({})", several.join(", "), route.terms.balance.name()),
    }
}

fn limit(rate: &Rate) -> String {
    format!("{} requests per {}, burst {}", rate.requests, time(rate.per), rate.burst)
}

/// A size in the file's own form.
fn size(bytes: usize) -> String {
    let kibibytes = bytes / 1024;
    if kibibytes.is_multiple_of(1024) {
        format!("{}MiB", kibibytes / 1024)
    } else {
        format!("{kibibytes}KiB")
    }
}

/// A time in the file's own form.
fn time(time: Duration) -> String {
    if time.subsec_millis() == 0 { format!("{}s", time.as_secs()) } else { format!("{}ms", time.as_millis()) }
}
