//! Which service answers which paths: what is configured, and the table that a request is looked up in.

pub(crate) mod file;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use file::RoutesError;
use http::uri::Authority;
use http::{HeaderValue, Method};
use kit::limit::Rate;

use crate::Local;
use crate::forward::Upstream;

/// How long a service may take, where a route doesn't say.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The configured routes, each checked, no path twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes(Vec<RouteConfig>);

/// One configured route.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RouteConfig {
    /// The prefix, by whole segments, without a slash at its end.
    path: String,
    /// Where it goes.
    backend: Backend,
    /// What may be asked.
    methods: Vec<Method>,
    /// Whether no token is needed.
    public: bool,
    /// How long the service may take.
    timeout: Duration,
    /// How often one client may ask; the gateway's own rate where there is none.
    rate_limit: Option<Rate>,
}

/// Where a service is: `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Backend(Authority);

/// Where the services of the built-in routes listen.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// auth
    pub auth: u16,
    /// users
    pub users: u16,
    /// orders
    pub orders: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { auth: 8083, users: 8081, orders: 8082 }
    }
}

impl Routes {
    /// The routes that hold where no file is named: those of `routes.yaml`, on these ports.
    pub fn built_in(ports: Ports) -> Self {
        let services = [("/auth", ports.auth), ("/users", ports.users), ("/orders", ports.orders)];
        Self(services.into_iter().filter_map(|(path, port)| built_in_route(path, port)).collect())
    }

    /// Reads a routes file; `name` is what its faults are told with.
    pub fn parse(text: &str, name: &str) -> Result<Self, RoutesError> {
        file::parse(text, name)
    }
}

fn built_in_route(path: &str, port: u16) -> Option<RouteConfig> {
    Some(RouteConfig {
        path: path.to_owned(),
        backend: Backend(Authority::try_from(format!("localhost:{port}")).ok()?),
        methods: vec![Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE],
        public: false,
        timeout: DEFAULT_TIMEOUT,
        rate_limit: None,
    })
}

impl Backend {
    /// Whether it is this machine's own port.
    fn is_own_port(&self, port: u16) -> bool {
        let is_loopback = matches!(self.0.host(), "localhost" | "127.0.0.1" | "[::1]");
        is_loopback && self.0.port_u16().unwrap_or(80) == port
    }
}

/// One route, ready for requests.
pub(crate) struct Route<U> {
    /// As metrics show it.
    pub(crate) path: Arc<str>,
    pub(crate) upstream: U,
    methods: Vec<Method>,
    /// The methods as the `Allow` header says them.
    pub(crate) allow: HeaderValue,
    pub(crate) public: bool,
    pub(crate) timeout: Duration,
    /// How often one client may ask; the gateway's own rate where there is none.
    pub(crate) rate_limit: Option<Rate>,
}

impl<U> Route<U> {
    fn new(config: &RouteConfig, upstream: U) -> Self {
        let mut methods = config.methods.clone();
        if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
            methods.push(Method::HEAD);
        }
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        let allow = HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static(""));
        Self {
            path: if config.path.is_empty() { "/" } else { &config.path }.into(),
            upstream,
            methods,
            allow,
            public: config.public,
            timeout: config.timeout,
            rate_limit: config.rate_limit,
        }
    }

    pub(crate) fn allows(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }
}

/// All routes by their path.
pub(crate) struct Table<U>(HashMap<String, Route<U>>);

impl Table<Upstream> {
    pub(crate) fn new(routes: &Routes, locals: &[Local]) -> Self {
        Self::with(routes, |backend| match locals.iter().find(|local| backend.is_own_port(local.port)) {
            Some(local) => Upstream::Local(local.router.clone()),
            None => Upstream::Http(backend.0.clone()),
        })
    }
}

impl<U> Table<U> {
    fn with(routes: &Routes, upstream: impl Fn(&Backend) -> U) -> Self {
        let entries = routes
            .0
            .iter()
            .map(|config| (config.path.clone(), Route::new(config, upstream(&config.backend))));
        Self(entries.collect())
    }

    /// The route with the longest path that the normalised `path` begins with, segment by segment.
    pub(crate) fn find(&self, path: &str) -> Option<&Route<U>> {
        let mut prefix = path.strip_suffix('/').unwrap_or(path);
        loop {
            if let Some(route) = self.0.get(prefix) {
                return Some(route);
            }
            prefix = &prefix[..prefix.rfind('/')?];
        }
    }

    /// Every route with its path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Route<U>)> {
        self.0.iter().map(|(path, route)| (path.as_str(), route))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(paths: &[&str]) -> Table<String> {
        let routes = paths
            .iter()
            .map(|path| RouteConfig { path: (*path).to_owned(), ..built_in_route(path, 1).unwrap() });
        let mut table = Table::with(&Routes(routes.collect()), |_| String::new());
        for (path, route) in &mut table.0 {
            route.upstream.clone_from(path);
        }
        table
    }

    #[test]
    fn the_longest_prefix_wins_at_segment_borders() {
        let table = table(&["/orders", "/orders/user", "/auth"]);
        let find = |path| table.find(path).map(|route| route.upstream.as_str());
        assert_eq!(find("/orders"), Some("/orders"));
        assert_eq!(find("/orders/"), Some("/orders"));
        assert_eq!(find("/orders/7/history"), Some("/orders"));
        assert_eq!(find("/orders/user/7"), Some("/orders/user"));
        assert_eq!(find("/orders/users"), Some("/orders"));
        assert_eq!(find("/ordersx"), None);
        assert_eq!(find("/order"), None);
        assert_eq!(find("/ORDERS"), None);
        assert_eq!(find("/"), None);
    }

    #[test]
    fn a_route_of_everything_is_the_last_resort() {
        let table = table(&["", "/orders"]);
        assert_eq!(table.find("/").map(|route| route.upstream.as_str()), Some(""));
        assert_eq!(table.find("/a/b").map(|route| route.upstream.as_str()), Some(""));
        assert_eq!(table.find("/orders/1").map(|route| route.upstream.as_str()), Some("/orders"));
    }

    #[test]
    fn head_goes_where_get_goes() {
        let table = table(&["/orders"]);
        let route = table.find("/orders").unwrap();
        assert!(route.allows(&Method::HEAD));
        assert!(!route.allows(&Method::TRACE));
        assert_eq!(route.allow, "GET, POST, PUT, PATCH, DELETE, HEAD");
    }

    #[test]
    fn a_loopback_backend_is_the_own_port() {
        let is_own = |text: &str| Backend(text.parse().unwrap()).is_own_port(8082);
        assert!(is_own("localhost:8082") && is_own("127.0.0.1:8082") && is_own("[::1]:8082"));
        assert!(
            !is_own("localhost:8081")
                && !is_own("orders:8082")
                && !is_own("10.0.0.1:8082")
                && !is_own("localhost")
        );
    }
}
