//! Which service answers which paths: what is configured, and the table that a request is looked up in.

mod fault;
mod file;
mod keys;
mod show;
mod yaml;

use std::cmp::Reverse;
use std::time::Duration;

pub use fault::{Fault, RoutesError};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method};
use kit::limit::{Counting, Policy, Rate};
use kit::metrics::RequestCounts;

use crate::Local;
use crate::forward::{Backends, Hosts, Upstream};

/// A JSON Schema (2020-12) of the routes file, for editors.
pub const SCHEMA: &str = include_str!("routes/schema.json");

/// The configured routes, each checked, no path twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes(Vec<RouteConfig>);

/// One configured route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteConfig {
    /// The prefix, by whole segments, without a slash at its end.
    path: String,
    /// Where it goes: at least one, none twice.
    pub(crate) backends: Vec<Backend>,
    /// What may be asked.
    methods: Vec<Method>,
    /// Whether no token is needed.
    public: bool,
    /// What holds on the way.
    pub(crate) terms: Terms,
}

/// What a route may say for itself, and `defaults` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How long the service may take.
    timeout: Duration,
    /// The largest body on the way to a service elsewhere, in bytes; one of this process has limits of its own.
    pub(crate) max_body: usize,
    /// How often one client may ask; the gateway's own rate where there is none.
    rate_limit: Option<Rate>,
    /// Which of several backends is next.
    pub(crate) balance: Balance,
    /// How a backend is asked whether it takes work.
    pub(crate) health_check: HealthCheck,
}

impl Default for Terms {
    fn default() -> Self {
        let health_check = HealthCheck {
            path: PathAndQuery::from_static("/health/ready"),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        };
        let (timeout, max_body) = (Duration::from_secs(30), kit::body::MAX_BODY);
        Self { timeout, max_body, rate_limit: None, balance: Balance::LeastLoaded, health_check }
    }
}

/// Which of several backends is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Balance {
    /// Of two taken by chance the one with fewer requests in flight.
    LeastLoaded,
    /// One after the other.
    RoundRobin,
}

impl Balance {
    pub(crate) const ALL: [Self; 2] = [Self::LeastLoaded, Self::RoundRobin];

    /// Its name in the routes file.
    fn name(self) -> &'static str {
        match self {
            Self::LeastLoaded => "least_loaded",
            Self::RoundRobin => "round_robin",
        }
    }
}

/// How a backend is asked whether it takes work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    pub(crate) path: PathAndQuery,
    /// From the end of one check to the next.
    pub(crate) interval: Duration,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
}

/// Where a service is: `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend(pub(crate) Authority);

/// Where the services of the built-in routes listen.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// auth
    pub auth: u16,
    /// users
    pub users: u16,
    /// orders
    pub orders: u16,
    /// inventory
    pub inventory: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { auth: 8083, users: 8081, orders: 8082, inventory: 8084 }
    }
}

impl Ports {
    /// Where the service of this name listens; 0 if there is none.
    pub fn of(&self, name: &str) -> u16 {
        match name {
            "auth" => self.auth,
            "users" => self.users,
            "orders" => self.orders,
            "inventory" => self.inventory,
            _ => 0,
        }
    }
}

impl Routes {
    /// The routes that hold where no file is named: those of `routes.yaml`, on these ports.
    pub fn built_in(ports: Ports) -> Self {
        let all = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let services = [
            ("/auth", ports.auth),
            ("/users", ports.users),
            ("/orders", ports.orders),
            ("/events", ports.orders),
            ("/webhooks", ports.orders),
        ];
        let of_inventory = ["/products", "/stock", "/categories", "/reason-codes", "/locations"];
        let of_inventory = of_inventory.into_iter().map(|path| (path, ports.inventory));
        let only_read = [
            ("/audit", ports.auth),
            ("/audit.csv", ports.auth),
            ("/orders.csv", ports.orders),
            ("/products.csv", ports.inventory),
            ("/stock.csv", ports.inventory),
        ];
        let imports = ["/products/import", "/stock/import"]
            .map(|path| built_in_route(path, ports.inventory, &[Method::POST]));
        let import_terms =
            Terms { timeout: Duration::from_secs(120), max_body: kit::csv::MAX_UPLOAD, ..Terms::default() };
        let imports =
            imports.into_iter().flatten().map(|route| RouteConfig { terms: import_terms.clone(), ..route });
        let plain = services
            .into_iter()
            .chain(of_inventory)
            .filter_map(|(path, port)| built_in_route(path, port, &all));
        let only_read =
            only_read.into_iter().filter_map(|(path, port)| built_in_route(path, port, &[Method::GET]));
        Self(plain.chain(only_read).chain(imports).collect())
    }

    /// The prefixes that the service of this name answers, none below another.
    pub fn prefixes_of(service: &str) -> Vec<String> {
        let ports = Ports::default();
        let mut prefixes: Vec<String> = Vec::new();
        for route in Self::built_in(ports).0 {
            let is_of = route.backends.iter().any(|backend| backend.is_own_port(ports.of(service)));
            if is_of && !prefixes.iter().any(|prefix| covers(prefix, &route.path)) {
                prefixes.push(route.path);
            }
        }
        prefixes
    }

    /// The path of a route that leads to this port of the same machine.
    pub fn leading_to(&self, port: u16) -> Option<&str> {
        let leads = |route: &&RouteConfig| route.backends.iter().any(|backend| backend.is_own_port(port));
        self.0.iter().find(leads).map(|route| route.path.as_str())
    }

    /// Whether a route leads to what begins with this prefix, or to some of it.
    pub fn lead_to(&self, prefix: &str) -> bool {
        self.0.iter().any(|route| covers(&route.path, prefix) || covers(prefix, &route.path))
    }

    /// Reads a routes file; `name` is what its faults are told with.
    pub fn parse(text: impl AsRef<[u8]>, name: &str) -> Result<Self, RoutesError> {
        let bytes = text.as_ref();
        str::from_utf8(bytes)
            .map_err(|_| RoutesError::not_text(bytes, name))
            .and_then(|text| file::parse(text, name))
    }
}

fn built_in_route(path: &str, port: u16, methods: &[Method]) -> Option<RouteConfig> {
    Some(RouteConfig {
        path: path.to_owned(),
        backends: vec![Backend(Authority::try_from(format!("localhost:{port}")).ok()?)],
        methods: methods.to_vec(),
        public: false,
        terms: Terms::default(),
    })
}

impl Backend {
    /// Whether it is this machine's own port.
    fn is_own_port(&self, port: u16) -> bool {
        let host = self.0.host();
        let is_loopback = host.eq_ignore_ascii_case("localhost") || matches!(host, "127.0.0.1" | "[::1]");
        is_loopback && self.port() == port
    }

    /// Whether it is the same address, though it may be written in another way.
    fn is_same(&self, other: &Self) -> bool {
        self.port() == other.port() && self.0.host().eq_ignore_ascii_case(other.0.host())
    }

    fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(80)
    }
}

/// One route, ready for requests.
pub(crate) struct Route<U> {
    /// What its paths begin with, by whole segments.
    prefix: String,
    /// Its prefix, as limits and metrics show it.
    pub(crate) path: String,
    /// Its place among those that metrics count.
    pub(crate) place: Option<usize>,
    pub(crate) upstream: U,
    methods: Vec<Method>,
    /// The methods as the `Allow` header says them.
    pub(crate) allow: HeaderValue,
    pub(crate) public: bool,
    pub(crate) timeout: Duration,
    pub(crate) max_body: usize,
    /// How often one client may ask, where the route has a rate of its own and rates count.
    pub(crate) policy: Option<Policy>,
}

impl<U> Route<U> {
    fn new(config: &RouteConfig, upstream: U, counting: Option<&Counting>) -> Self {
        let methods = with_head(&config.methods);
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        let allow = HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static(""));
        let path = if config.path.is_empty() { "/" } else { &config.path };
        let policy = |counting: &Counting| Some(Policy::new(path, config.terms.rate_limit?, counting));
        Self {
            prefix: config.path.clone(),
            path: path.to_owned(),
            place: None,
            upstream,
            methods,
            allow,
            public: config.public,
            timeout: config.terms.timeout,
            max_body: config.terms.max_body,
            policy: counting.and_then(policy),
        }
    }

    fn covers(&self, path: &str) -> bool {
        covers(&self.prefix, path)
    }

    pub(crate) fn allows(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }
}

/// Whether a path begins with a prefix, by whole segments.
fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// HEAD goes where GET goes.
fn with_head(methods: &[Method]) -> Vec<Method> {
    let mut methods = methods.to_vec();
    if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
        methods.push(Method::HEAD);
    }
    methods
}

/// All routes, those with a longer path first: they are few, so to compare them takes less than to hash the path's prefixes.
pub(crate) struct Table<U>(Vec<Route<U>>);

impl Table<Upstream> {
    /// A route that names just a port of this very process leads straight to the service there. `counting` is
    /// for the routes' own rates; without it there are none.
    pub(crate) fn new(
        routes: &Routes,
        locals: &[Local],
        counting: Option<&Counting>,
        hosts: &mut Hosts,
    ) -> Self {
        Self::with(routes, counting, |config| {
            let local = match config.backends.as_slice() {
                [only] => locals.iter().find(|local| only.is_own_port(local.port)),
                _ => None,
            };
            match local {
                Some(local) => Upstream::Local(local.service.clone()),
                None => Upstream::Http(Backends::new(config, hosts)),
            }
        })
    }
}

impl<U> Table<U> {
    fn with(
        routes: &Routes,
        counting: Option<&Counting>,
        mut upstream: impl FnMut(&RouteConfig) -> U,
    ) -> Self {
        let mut routes: Vec<_> =
            routes.0.iter().map(|config| Route::new(config, upstream(config), counting)).collect();
        routes.sort_by_key(|route| Reverse(route.prefix.len()));
        Self(routes)
    }

    /// Tells each route where it is counted.
    pub(crate) fn count_in(&mut self, counts: &RequestCounts) {
        self.0.iter_mut().for_each(|route| route.place = counts.place(&route.path));
    }

    /// The route with the longest path that the normalised `path` begins with, segment by segment.
    pub(crate) fn find(&self, path: &str) -> Option<&Route<U>> {
        self.0.iter().find(|route| route.covers(path))
    }

    /// Every route, in an order that stays.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route<U>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use kit::clock::Clock;

    use super::*;

    const ALL: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

    fn table(paths: &[&str]) -> Table<String> {
        let routes = paths
            .iter()
            .map(|path| RouteConfig { path: (*path).to_owned(), ..built_in_route(path, 1, &ALL).unwrap() });
        let mut table = Table::with(&Routes(routes.collect()), None, |_| String::new());
        for route in &mut table.0 {
            route.upstream.clone_from(&route.prefix);
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
    fn a_route_has_a_policy_where_it_has_a_rate_and_rates_count() {
        let mut config = built_in_route("/orders", 1, &ALL).unwrap();
        let counting = Counting::alone(Clock::stopped());
        let has_policy = |config: &RouteConfig, counting| Route::new(config, (), counting).policy.is_some();
        assert!(!has_policy(&config, Some(&counting)));
        config.terms.rate_limit = Some(Rate::new(1, Duration::from_secs(1), 1));
        assert!(has_policy(&config, Some(&counting)) && !has_policy(&config, None));
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
