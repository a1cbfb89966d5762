//! Requests by route, method and status, how long they took, and how many are under way.
//!
//! Routes are those that a service has; methods are the seven of HTTP that anybody uses. All else is `other`, so that
//! clients can't make series. Counting a request takes a search in a tree that never changes, a look at a few statuses
//! and five atomic additions: measured, with both looks at the clock, about 0.2 µs on a busy machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ::metrics::{Histogram, Labelled, Metrics, Text};
use axum::extract::Request;
use http::{Method, StatusCode};

use crate::service::Answered;

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER];

/// Stands for every method and every path that is none of ours.
const OTHER: &str = "other";

/// How many pairs of method and status are told apart on a route: more than our services have.
const ANSWERS: usize = 64;

/// The requests of one service.
#[derive(Debug)]
pub struct RequestCounts {
    service: &'static str,
    in_flight: AtomicU64,
    routes: Vec<(String, RouteCounts)>,
    /// Finds a route's place among them by a request's path, as the service's own router does; a gateway's finds none.
    places: matchit::Router<usize>,
    /// Of what no route takes.
    other: RouteCounts,
}

#[derive(Debug)]
struct RouteCounts {
    /// By method and status; no status if the client went away before there was one.
    answers: Labelled<(usize, Option<StatusCode>), ANSWERS>,
    times: Histogram,
}

impl Default for RouteCounts {
    fn default() -> Self {
        Self { answers: Labelled::default(), times: Histogram::of_times() }
    }
}

impl RequestCounts {
    /// Of a service with these routes, written as its router has them.
    pub fn new(
        metrics: &Metrics,
        service: &'static str,
        routes: impl IntoIterator<Item = String>,
    ) -> Arc<Self> {
        let mut counts = Self::uncollected(service, routes);
        for (place, (route, _)) in counts.routes.iter().enumerate() {
            // What can't be a route matches nothing, and counts among the others.
            let _ = counts.places.insert(route, place);
        }
        counts.collected(metrics)
    }

    /// Of a gateway, whose answers name the route that they took.
    pub fn of_gateway(
        metrics: &Metrics,
        service: &'static str,
        routes: impl IntoIterator<Item = String>,
    ) -> Arc<Self> {
        Self::uncollected(service, routes).collected(metrics)
    }

    fn collected(self, metrics: &Metrics) -> Arc<Self> {
        let counts = Arc::new(self);
        let collected = Arc::clone(&counts);
        metrics.add(move |text| collected.write(text));
        counts
    }

    fn uncollected(service: &'static str, routes: impl IntoIterator<Item = String>) -> Self {
        let mut routes: Vec<_> = routes.into_iter().map(|route| (route, RouteCounts::default())).collect();
        routes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let places = matchit::Router::new();
        Self { service, in_flight: AtomicU64::new(0), routes, places, other: RouteCounts::default() }
    }

    /// A request from now on; under way until what this answers with is dropped.
    pub(crate) fn begin<'a>(&'a self, request: &Request) -> InFlight<'a> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight {
            counts: self,
            route: self.by_path(request.uri().path()),
            method: index(request.method()),
            status: None,
            started: Instant::now(),
        }
    }

    /// A request that was refused before any route could be looked for.
    pub(crate) fn count_refused(&self, method: &Method, status: StatusCode) {
        self.other.answers.increment((index(method), Some(status)));
    }

    fn by_path(&self, path: &str) -> &RouteCounts {
        let place = self.places.at(path).ok().map(|found| *found.value);
        place.and_then(|place| self.routes.get(place)).map_or(&self.other, |(_, counts)| counts)
    }

    /// The route of a path, as the document has it.
    pub(crate) fn route(&self, path: &str) -> &str {
        let place = self.places.at(path).ok().map(|found| *found.value);
        place.and_then(|place| self.routes.get(place)).map_or(OTHER, |(route, _)| route)
    }

    fn by_name(&self, name: &str) -> &RouteCounts {
        let place = self.routes.binary_search_by(|(route, _)| route.as_str().cmp(name)).ok();
        place.and_then(|place| self.routes.get(place)).map_or(&self.other, |(_, counts)| counts)
    }

    fn write(&self, text: &mut Text) {
        let in_flight = self.in_flight.load(Ordering::Relaxed) as f64;
        let help = "Requests under way.";
        text.gauge("http_requests_in_flight", help, &[("service", self.service)], in_flight);
        let routes = self.routes.iter().map(|(route, counts)| (route.as_str(), counts));
        for (route, counts) in routes.chain([(OTHER, &self.other)]) {
            counts.write(self.service, route, text);
        }
    }
}

/// Where there is no service, as in a test.
impl Default for RequestCounts {
    fn default() -> Self {
        Self::uncollected("none", [])
    }
}

impl RouteCounts {
    fn write(&self, service: &'static str, route: &str, text: &mut Text) {
        let help = "Requests that ended; the status is `gone` if the client went away before its answer.";
        for (answer, count) in self.answers.counts() {
            let (method, status) = answer.map_or((OTHER, OTHER.to_owned()), |(method, status)| {
                let status = status.map_or_else(|| "gone".to_owned(), |status| status.as_str().to_owned());
                (METHODS[method], status)
            });
            let labels = [("service", service), ("method", method), ("route", route), ("status", &status)];
            text.counter("http_requests_total", help, &labels, count);
        }
        if !self.times.is_empty() {
            let help = "From a request's head to its answer's head, in seconds.";
            let labels = [("service", service), ("route", route)];
            text.histogram("http_request_duration_seconds", help, &labels, &self.times);
        }
    }
}

/// A request under way. It counts when it is dropped, so one whose client went away counts too.
pub(crate) struct InFlight<'a> {
    counts: &'a RequestCounts,
    route: &'a RouteCounts,
    method: usize,
    status: Option<StatusCode>,
    started: Instant,
}

impl InFlight<'_> {
    /// This is its answer; a gateway's says which route it took.
    pub(crate) fn answered(mut self, answered: &Answered) {
        self.status = Some(answered.response.status());
        if let Some(route) = answered.note.route.as_deref() {
            self.route = self.counts.by_name(route);
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.counts.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.route.answers.increment((self.method, self.status));
        if self.status.is_some() {
            self.route.times.observe_time(self.started.elapsed());
        }
    }
}

fn index(method: &Method) -> usize {
    METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len() - 1)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::response::IntoResponse;

    use super::*;
    use crate::service::AccessNote;

    fn request(method: &str) -> Request {
        Request::builder().method(method).uri("/some/where").body(Body::empty()).unwrap()
    }

    fn answer(status: StatusCode, route: Option<&str>) -> Answered {
        let note = AccessNote { route: route.map(Arc::from), ..AccessNote::default() };
        Answered { response: status.into_response(), note }
    }

    /// The lines of one metric, without the histogram's parts.
    fn lines(metrics: &Metrics, name: &str) -> Vec<String> {
        let text = metrics.text();
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    #[test]
    fn requests_count_by_route_method_and_status() {
        let metrics = Metrics::default();
        let counts = RequestCounts::new(&metrics, "orders", ["/a".to_owned(), "/b".to_owned()]);
        assert!(lines(&metrics, "http_requests_total").is_empty(), "nothing was used yet");
        for (method, status, route) in [
            ("GET", StatusCode::OK, Some("/a")),
            ("GET", StatusCode::OK, Some("/a")),
            ("BREW", StatusCode::NOT_FOUND, None),
            ("get", StatusCode::NOT_FOUND, Some("/c")),
            ("other", StatusCode::NOT_FOUND, Some("other")),
        ] {
            counts.begin(&request(method)).answered(&answer(status, route));
        }
        assert_eq!(
            lines(&metrics, "http_requests_total"),
            [
                "http_requests_total{service=\"orders\",method=\"GET\",route=\"/a\",status=\"200\"} 2",
                "http_requests_total{service=\"orders\",method=\"other\",route=\"other\",status=\"404\"} 3",
            ]
        );
        let timed = lines(&metrics, "http_request_duration_seconds_count");
        assert_eq!(
            timed,
            [
                "http_request_duration_seconds_count{service=\"orders\",route=\"/a\"} 2",
                "http_request_duration_seconds_count{service=\"orders\",route=\"other\"} 3",
            ]
        );
    }

    #[test]
    fn a_service_knows_its_routes_by_the_path_and_a_gateway_is_told() {
        let metrics = Metrics::default();
        let service = RequestCounts::new(&metrics, "orders", ["/some/{id}".to_owned()]);
        let gateway = RequestCounts::of_gateway(&metrics, "gateway", ["/some/where".to_owned()]);
        service.begin(&request("GET")).answered(&answer(StatusCode::OK, None));
        gateway.begin(&request("GET")).answered(&answer(StatusCode::OK, None));
        assert_eq!(
            lines(&metrics, "http_requests_total"),
            [
                "http_requests_total{service=\"orders\",method=\"GET\",route=\"/some/{id}\",status=\"200\"} 1",
                "http_requests_total{service=\"gateway\",method=\"GET\",route=\"other\",status=\"200\"} 1",
            ]
        );
    }

    #[test]
    fn a_request_is_under_way_until_it_ends_however_it_ends() {
        let metrics = Metrics::default();
        let counts = RequestCounts::new(&metrics, "orders", []);
        let in_flight = || lines(&metrics, "http_requests_in_flight");
        let (one, other) = (counts.begin(&request("GET")), counts.begin(&request("GET")));
        assert_eq!(in_flight(), ["http_requests_in_flight{service=\"orders\"} 2"]);
        one.answered(&answer(StatusCode::OK, None));
        drop(other);
        assert_eq!(in_flight(), ["http_requests_in_flight{service=\"orders\"} 0"]);
        let gone = "http_requests_total{service=\"orders\",method=\"GET\",route=\"other\",status=\"gone\"} 1";
        assert!(lines(&metrics, "http_requests_total").contains(&gone.to_owned()));
    }

    #[test]
    fn strange_statuses_of_a_service_elsewhere_share_one_series_in_the_end() {
        let metrics = Metrics::default();
        let counts = RequestCounts::new(&metrics, "gateway", ["/a".to_owned()]);
        for status in 100..1000 {
            let status = StatusCode::from_u16(status).unwrap();
            counts.begin(&request("GET")).answered(&answer(status, Some("/a")));
        }
        let found = lines(&metrics, "http_requests_total");
        assert_eq!(found.len(), ANSWERS + 1);
        assert!(found[ANSWERS].ends_with("method=\"other\",route=\"/a\",status=\"other\"} 836"), "{found:?}");
    }
}
