//! Requests by route, method and status, how long they took, and how many are under way.
//!
//! Routes are those that a service has; methods are the seven of HTTP that anybody uses. All else is `other`, so that
//! clients can't make series. Counting a request takes a search in a tree that never changes, a look at a few statuses
//! and five additions to what no other thread writes to.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ::metrics::{Counter, Histogram, Labelled, Metrics, Text};
use axum::extract::Request;
use http::{Method, StatusCode};
use thread_local::ThreadLocal;

use crate::service::Answered;

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER];

/// Stands for every method and every path that is none of ours.
const OTHER: &str = "other";

/// How many pairs of method and status a thread tells apart on a route: more than our services have.
const ANSWERS: usize = 64;

/// The requests of one service.
///
/// Each thread counts for itself, and who reads adds up: what several threads write to, they would wait for at each request.
#[derive(Debug)]
pub struct RequestCounts {
    service: &'static str,
    routes: Vec<String>,
    /// Finds a route's place among them by a request's path, as the service's own router does; a gateway's finds none.
    places: matchit::Router<usize>,
    threads: ThreadLocal<ThreadCounts>,
}

/// What one thread has counted. A request may end on another one than it began on; the sums are right.
///
/// Aligned, or two of them would share a line of the cache (two lines, since a core may take them in pairs).
#[derive(Debug)]
#[repr(align(128))]
struct ThreadCounts {
    begun: Counter,
    ended: Counter,
    /// In the order of the routes; at the end what no route takes. Most are never asked for.
    routes: Box<[OnceLock<Box<RouteCounts>>]>,
}

#[derive(Debug)]
struct RouteCounts {
    /// By method and status; no status if the client went away before there was one.
    answers: Answers,
    times: Histogram,
}

type Answers = Labelled<(usize, Option<StatusCode>), ANSWERS>;

impl Default for RouteCounts {
    fn default() -> Self {
        Self { answers: Labelled::default(), times: Histogram::of_times() }
    }
}

impl ThreadCounts {
    fn new(routes: usize) -> Self {
        let routes = (0..=routes).map(|_| OnceLock::new()).collect();
        Self { begun: Counter::default(), ended: Counter::default(), routes }
    }

    /// A request that took this route, or none, has ended.
    fn end(&self, place: Option<usize>, answer: (usize, Option<StatusCode>), time: Option<Duration>) {
        self.ended.increment();
        let known = place.and_then(|place| self.routes.get(place)).or_else(|| self.routes.last());
        let Some(route) = known.map(|route| route.get_or_init(Box::default)) else { return };
        route.answers.increment(answer);
        if let Some(time) = time {
            route.times.observe_time(time);
        }
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
        for (place, route) in counts.routes.iter().enumerate() {
            // What can't be a route matches nothing, and counts among the others.
            let _ = counts.places.insert(route, place);
        }
        counts.collected(metrics)
    }

    /// Of a gateway, whose answers tell the place of the route that they took.
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
        let mut routes: Vec<String> = routes.into_iter().collect();
        routes.sort_unstable();
        Self { service, routes, places: matchit::Router::new(), threads: ThreadLocal::new() }
    }

    /// Where a route stands among those that are counted.
    pub fn place(&self, route: &str) -> Option<usize> {
        self.routes.binary_search_by(|known| known.as_str().cmp(route)).ok()
    }

    /// A request from now on; under way until what this answers with is dropped.
    pub(crate) fn begin(&self, request: &Request) -> InFlight<'_> {
        let counts = self.of_this_thread();
        counts.begun.increment();
        InFlight {
            counts,
            place: self.place_of_path(request.uri().path()),
            method: index(request.method()),
            status: None,
            started: Instant::now(),
        }
    }

    /// A request that was refused before any route could be looked for.
    pub(crate) fn count_refused(&self, method: &Method, status: StatusCode) {
        let counts = self.of_this_thread();
        counts.begun.increment();
        counts.end(None, (index(method), Some(status)), None);
    }

    fn of_this_thread(&self) -> &ThreadCounts {
        self.threads.get_or(|| ThreadCounts::new(self.routes.len()))
    }

    fn place_of_path(&self, path: &str) -> Option<usize> {
        self.places.at(path).ok().map(|found| *found.value)
    }

    /// What a request asks for: method and route, as the document has it.
    pub(crate) fn asked(&self, request: &InFlight<'_>) -> String {
        let route = request.place.and_then(|place| self.routes.get(place)).map_or(OTHER, String::as_str);
        format!("{} {route}", METHODS[request.method])
    }

    fn write(&self, text: &mut Text) {
        let count = |counter: fn(&ThreadCounts) -> &Counter| {
            self.threads.iter().map(|counts| counter(counts).get()).sum::<u64>()
        };
        // The ended first: what begins and ends meanwhile shows as under way, and not as less than nothing.
        let ended = count(|counts| &counts.ended);
        let in_flight = count(|counts| &counts.begun).saturating_sub(ended) as f64;
        let help = "Requests under way.";
        text.gauge("http_requests_in_flight", help, &[("service", self.service)], in_flight);
        for (place, route) in self.routes.iter().map(String::as_str).chain([OTHER]).enumerate() {
            let of_threads = || self.threads.iter().filter_map(|counts| counts.routes.get(place)?.get());
            write_answers(self.service, route, of_threads().map(|counts| &counts.answers), text);
            write_times(self.service, route, of_threads().map(|counts| &counts.times), text);
        }
    }
}

/// Where there is no service, as in a test.
impl Default for RequestCounts {
    fn default() -> Self {
        Self::uncollected("none", [])
    }
}

/// What all threads have counted of a route. Each keeps the places that its labels took, so that no sum ever falls.
fn write_answers<'a>(
    service: &'static str,
    route: &str,
    of_threads: impl Iterator<Item = &'a Answers>,
    text: &mut Text,
) {
    let mut sums = BTreeMap::new();
    for (answer, count) in of_threads.flat_map(Labelled::counts) {
        *sums.entry(answer).or_insert(0) += count;
    }
    let help = "Requests that ended; the status is `gone` if the client went away before its answer.";
    for (answer, sum) in sums {
        let (method, status) = answer.map_or((OTHER, OTHER.to_owned()), |(method, status)| {
            let status = status.map_or_else(|| "gone".to_owned(), |status| status.as_str().to_owned());
            (METHODS[method], status)
        });
        let labels = [("service", service), ("method", method), ("route", route), ("status", &status)];
        text.counter("http_requests_total", help, &labels, sum);
    }
}

fn write_times<'a>(
    service: &'static str,
    route: &str,
    of_threads: impl Iterator<Item = &'a Histogram>,
    text: &mut Text,
) {
    let sum = Histogram::of_times();
    of_threads.for_each(|times| sum.add_all(times));
    if !sum.is_empty() {
        let help = "From a request's head to its answer's head, in seconds.";
        let labels = [("service", service), ("route", route)];
        text.histogram("http_request_duration_seconds", help, &labels, &sum);
    }
}

/// A request under way. It counts when it is dropped, so one whose client went away counts too.
pub(crate) struct InFlight<'a> {
    counts: &'a ThreadCounts,
    place: Option<usize>,
    method: usize,
    status: Option<StatusCode>,
    started: Instant,
}

impl InFlight<'_> {
    /// This is its answer; a gateway's says which route it took.
    pub(crate) fn answered(mut self, answered: &Answered) {
        self.status = Some(answered.response.status());
        self.place = answered.note.route.or(self.place);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let time = self.status.is_some().then(|| self.started.elapsed());
        self.counts.end(self.place, (self.method, self.status), time);
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

    fn answer(status: StatusCode, route: Option<usize>) -> Answered {
        let note = AccessNote { route, ..AccessNote::default() };
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
            let place = route.and_then(|route| counts.place(route));
            counts.begin(&request(method)).answered(&answer(status, place));
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
    fn what_threads_count_is_added_up() {
        let metrics = Metrics::default();
        let counts = RequestCounts::new(&metrics, "orders", ["/some/where".to_owned()]);
        let begun = std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| counts.begin(&request("GET")).answered(&answer(StatusCode::OK, None)));
            }
            scope.spawn(|| counts.begin(&request("GET"))).join().unwrap()
        });
        assert_eq!(
            lines(&metrics, "http_requests_in_flight"),
            ["http_requests_in_flight{service=\"orders\"} 1"]
        );
        begun.answered(&answer(StatusCode::OK, None));
        assert_eq!(
            lines(&metrics, "http_requests_in_flight"),
            ["http_requests_in_flight{service=\"orders\"} 0"]
        );
        let labels = "{service=\"orders\",method=\"GET\",route=\"/some/where\",status=\"200\"}";
        assert_eq!(lines(&metrics, "http_requests_total"), [format!("http_requests_total{labels} 4")]);
    }

    #[test]
    fn no_sum_falls_when_a_thread_meets_what_another_has_counted() {
        let metrics = Metrics::default();
        let counts = RequestCounts::new(&metrics, "gateway", ["/some/where".to_owned()]);
        let count = |status: u16| {
            let answer = answer(StatusCode::from_u16(status).unwrap(), None);
            counts.begin(&request("GET")).answered(&answer);
        };
        (200..263).for_each(count);
        std::thread::scope(|scope| scope.spawn(|| [500, 501].into_iter().for_each(count)).join().unwrap());
        let before = lines(&metrics, "http_requests_total");
        assert_eq!(before.len(), 65);
        count(501);
        let after = lines(&metrics, "http_requests_total");
        assert!(after[64].ends_with("status=\"501\"} 2"), "{after:?}");
        assert_eq!(after[..64], before[..64]);
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
            counts.begin(&request("GET")).answered(&answer(status, counts.place("/a")));
        }
        let found = lines(&metrics, "http_requests_total");
        assert_eq!(found.len(), ANSWERS + 1);
        let rest = "method=\"other\",route=\"/a\",status=\"other\"} 836";
        assert!(found.iter().any(|line| line.ends_with(rest)), "{found:?}");
    }
}
