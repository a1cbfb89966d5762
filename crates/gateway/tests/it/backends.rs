//! Several backends of one route: which is asked, which is left out, and what a client notices of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get as on_get;
use gateway::{Backend, Counters, Gateway};
use http::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::support::{
    Port, complete_gateway, connect, eventually, exchange, get, header, post, problem_code, read_head,
    read_to_end, read_until, refusing, scripted, soon, start, start_on, status,
};

/// A gateway with one route, `/x`, and its port.
pub(crate) struct Front {
    gateway: Arc<Gateway>,
    port: Port,
}

impl Front {
    /// Its work doesn't run, so what it knows of its backends comes from requests alone.
    pub(crate) async fn new(backends: &[SocketAddr], more: &str) -> Self {
        let addresses: Vec<String> = backends.iter().map(|address| format!("'http://{address}'")).collect();
        let addresses = addresses.join(", ");
        let routes =
            format!("routes: [{{path: /x, backends: [{addresses}], methods: [GET, POST, PUT]{more}}}]");
        let gateway = complete_gateway(&routes, &[], |_| {});
        let port = start(gateway.service.clone()).await;
        Self { gateway: Arc::new(gateway), port }
    }

    /// It checks its backends every few milliseconds.
    async fn watching(backends: &[SocketAddr], more: &str) -> Self {
        let front =
            Self::new(backends, &format!(", health_check: {{interval: 5ms, timeout: 5s{more}}}")).await;
        front.work();
        front
    }

    pub(crate) fn work(&self) -> JoinHandle<()> {
        let gateway = Arc::clone(&self.gateway);
        tokio::spawn(async move { gateway.work().await })
    }

    pub(crate) async fn ask(&self, request: String) -> String {
        exchange(self.port.address, request).await
    }

    pub(crate) fn backend(&self, address: SocketAddr) -> &Backend {
        let mut upstreams = self.gateway.upstreams();
        let is_it =
            |(path, backend): &(&str, &Backend)| *path == "/x" && backend.address() == address.to_string();
        upstreams.find(is_it).map(|(_, backend)| backend).unwrap()
    }

    fn counters(&self, backend: SocketAddr) -> &Counters {
        &self.backend(backend).counters
    }

    fn in_flight(&self, backend: SocketAddr) -> u64 {
        self.counters(backend).in_flight()
    }

    async fn until_ready_is(&self, backend: SocketAddr, ready: bool) {
        eventually("its state is known", async || self.backend(backend).is_ready() == ready).await;
    }
}

/// A service that answers with its name and the length of the body.
async fn named(name: &'static str) -> Port {
    start(Router::new().fallback(async move |body: Bytes| format!("{name} {}", body.len()))).await
}

/// The name at an answer's end.
pub(crate) fn name_in(answer: &str) -> &str {
    assert_eq!(status(answer), 200, "{answer}");
    answer.rsplit("\r\n\r\n").next().unwrap().split(' ').next().unwrap()
}

pub(crate) const QUICK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nquick";

#[tokio::test]
async fn requests_are_spread_over_all() {
    let (one, two) = (named("one").await, named("two").await);
    let turns = Front::new(&[one.address, two.address], ", balance: round_robin").await;
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(name_in(&turns.ask(get("/x", "")).await).to_owned());
    }
    assert_eq!(names, ["one", "two", "one", "two"]);
    let by_load = Front::new(&[one.address, two.address], "").await;
    for _ in 0..40 {
        by_load.ask(get("/x", "")).await;
    }
    for backend in [one.address, two.address] {
        let requests = by_load.counters(backend).answered.get();
        assert!((5..=35).contains(&requests), "{requests} of 40");
    }
}

#[tokio::test]
async fn a_slow_backend_is_left_in_peace() {
    let (quick, slow) = (
        named("quick").await,
        scripted(|_, stream| async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
        .await,
    );
    let front = Front::new(&[quick.address, slow], "").await;
    // Until it has one, which it keeps.
    let mut waiting = Vec::new();
    while front.in_flight(slow) == 0 {
        let mut client = connect(front.port.address).await;
        client.write_all(get("/x", "").as_bytes()).await.unwrap();
        waiting.push(client);
        eventually("the request is under way or answered", async || {
            front.counters(quick.address).answered.get() + front.in_flight(slow) == waiting.len() as u64
        })
        .await;
    }
    eventually("the quick one is free", async || front.in_flight(quick.address) == 0).await;
    for _ in 0..20 {
        assert_eq!(name_in(&front.ask(get("/x", "")).await), "quick");
        eventually("the quick one is free", async || front.in_flight(quick.address) == 0).await;
    }
    assert_eq!(front.in_flight(slow), 1);
}

#[tokio::test]
async fn nobody_notices_a_dead_backend() {
    let alive = named("alive").await;
    let (_socket, dead) = refusing();
    let body = "b".repeat(100_000);
    for (request, length) in [
        (get("/x", ""), 0),
        (post("/x", "Content-Length: 100000\r\n") + &body, 100_000),
        (post("/x", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n", 5),
        (post("/x", "Content-Length: 2\r\n").replacen("POST", "PUT", 1) + "hi", 2),
        (post("/x", ""), 0),
    ] {
        // The first turn is the dead one's, and the last that it gets.
        let front = Front::new(&[dead, alive.address], ", balance: round_robin").await;
        for _ in 0..3 {
            let answer = front.ask(request.clone()).await;
            assert!(name_in(&answer) == "alive" && answer.ends_with(&format!(" {length}")), "{answer}");
        }
        let (failed, working) = (front.counters(dead), front.counters(alive.address));
        assert_eq!((failed.refused.get(), failed.answered.get()), (1, 0));
        assert_eq!((working.refused.get(), working.answered.get()), (0, 3));
    }
}

/// What one route found out of an address every other that leads there knows.
#[tokio::test]
async fn a_backend_that_is_down_for_one_route_is_down_for_all() {
    let alive = named("alive").await;
    let (_socket, dead) = refusing();
    let backends = format!("backends: ['http://{dead}', 'http://{}'], balance: round_robin", alive.address);
    let route = |path| format!("{{path: {path}, {backends}, methods: [GET]}}");
    let routes = format!("routes: [{}, {}]", route("/x"), route("/y"));
    let gateway = complete_gateway(&routes, &[], |_| {});
    let port = start(gateway.service.clone()).await;
    for path in ["/x", "/x", "/y", "/y", "/y"] {
        let answer = exchange(port.address, get(path, "")).await;
        assert_eq!(name_in(&answer), "alive", "{answer}");
    }
    let refused = gateway.upstreams().map(|(path, backend)| (path, backend.counters.refused.get()));
    let refused: Vec<(&str, u64)> = refused.filter(|(_, count)| *count > 0).collect();
    assert_eq!(refused, [("/x", 1)]);
}

/// Two services that break every connection once they have read a request, and what they read.
async fn breaking() -> ([SocketAddr; 2], mpsc::UnboundedReceiver<String>) {
    let (seen, requests) = mpsc::unbounded_channel();
    let breaks = || {
        let seen = seen.clone();
        scripted(move |_, mut stream| {
            let seen = seen.clone();
            async move {
                let head = read_head(&mut stream).await;
                if !head.is_empty() {
                    seen.send(head).unwrap();
                }
            }
        })
    };
    ([breaks().await, breaks().await], requests)
}

/// T40: what may have been received is not sent to another either.
#[tokio::test]
async fn a_post_reaches_one_backend_once() {
    let (backends, mut requests) = breaking().await;
    let front = Front::new(&backends, "").await;
    for request in
        [post("/x", "Content-Length: 2\r\n") + "hi", post("/x", "Content-Length: 0\r\n"), post("/x", "")]
    {
        let answer = front.ask(request).await;
        assert_eq!((status(&answer), problem_code(&answer).as_str()), (502, "bad_gateway"));
        assert!(requests.recv().await.is_some_and(|head| head.starts_with("POST /x ")));
        assert!(requests.try_recv().is_err(), "sent twice");
    }
    let errors = backends.map(|backend| front.counters(backend).broken.get());
    assert_eq!(errors.iter().sum::<u64>(), 3);
}

#[tokio::test]
async fn a_get_that_broke_off_goes_to_another_backend_once() {
    let (backends, mut requests) = breaking().await;
    let front = Front::new(&backends, "").await;
    assert_eq!(status(&front.ask(get("/x", "")).await), 502);
    assert!(requests.try_recv().is_ok() && requests.try_recv().is_ok() && requests.try_recv().is_err());
    assert_eq!(backends.map(|backend| front.counters(backend).broken.get()), [1, 1]);
    let alive = named("alive").await;
    let front = Front::new(&[backends[0], alive.address], ", balance: round_robin").await;
    for _ in 0..4 {
        assert_eq!(name_in(&front.ask(get("/x", "")).await), "alive");
    }
    // With a body it is not sent again: it may have been taken in part.
    let put = post("/x", "Content-Length: 2\r\n").replacen("POST", "PUT", 1) + "hi";
    let answers = [front.ask(put.clone()).await, front.ask(put).await].map(|answer| status(&answer));
    assert!(answers.contains(&502) && answers.contains(&200), "{answers:?}");
}

/// Or backends that break under their load would get twice as much.
#[tokio::test]
async fn where_all_break_few_are_sent_again() {
    let (backends, mut requests) = breaking().await;
    let (front, begun) = (Front::new(&backends, "").await, Instant::now());
    for _ in 0..300 {
        front.ask(get("/x", "")).await;
    }
    let most = 400 + 20 * usize::try_from(begun.elapsed().as_secs() + 1).unwrap();
    let received = std::iter::from_fn(|| requests.try_recv().ok()).count();
    assert!((400..=most).contains(&received), "{received} of at most {most}");
}

#[tokio::test]
async fn with_all_down_it_is_503_at_once_until_one_returns() {
    let ((one, address), (_two, other)) = (refusing(), refusing());
    let front = Front::watching(&[address, other], "").await;
    front.until_ready_is(address, false).await;
    front.until_ready_is(other, false).await;
    for request in [get("/x", ""), post("/x", "Content-Length: 2\r\n") + "hi"] {
        let answer = front.ask(request).await;
        assert_eq!((status(&answer), problem_code(&answer).as_str()), (503, "unavailable"));
        assert_eq!(header(&answer, "retry-after"), Some("1"));
    }
    assert_eq!(front.counters(address).refused.get(), 0, "nobody was asked");
    // A stranger, which knows no health path but lives.
    let stranger = Router::new().route("/x", on_get(async || "back"));
    let _back = start_on(one.listen(16).unwrap(), stranger, kit::server::Limits::default());
    front.until_ready_is(address, true).await;
    assert_eq!(name_in(&front.ask(get("/x", "")).await), "back");
    let ready = front.ask(get("/health/ready", "")).await;
    assert!(status(&ready) == 200 && ready.contains(r#"{"/x":"ok"}"#), "{ready}");
}

#[tokio::test]
async fn a_stopping_backend_leaves_the_rotation() {
    let is_stopping = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&is_stopping);
    let health =
        on_get(
            async move || {
                if says.load(Ordering::SeqCst) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
            },
        );
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&asked);
    let router = Router::new().route("/up", health).fallback(async move || {
        counts.fetch_add(1, Ordering::SeqCst);
        "stopping"
    });
    let (stopping, other) = (start(router).await, named("other").await);
    let front = Front::watching(&[stopping.address, other.address], ", path: /up").await;
    eventually("both get requests", async || {
        front.ask(get("/x", "")).await;
        asked.load(Ordering::SeqCst) > 0
    })
    .await;
    is_stopping.store(true, Ordering::SeqCst);
    front.until_ready_is(stopping.address, false).await;
    for _ in 0..10 {
        assert_eq!(name_in(&front.ask(get("/x", "")).await), "other");
    }
    is_stopping.store(false, Ordering::SeqCst);
    front.until_ready_is(stopping.address, true).await;
}

/// A service that answers requests, but no check.
async fn silent_on_checks() -> SocketAddr {
    scripted(|_, mut stream| async move {
        while read_head(&mut stream).await.starts_with("GET /x ") {
            stream.write_all(QUICK).await.unwrap();
        }
        std::future::pending::<()>().await;
    })
    .await
}

#[tokio::test]
async fn a_backend_that_answers_no_check_leaves_the_rotation() {
    let (silent, other) = (silent_on_checks().await, named("other").await);
    let more = ", balance: round_robin, health_check: {path: /up, interval: 5ms, timeout: 50ms}";
    let front = Front::new(&[silent, other.address], more).await;
    assert_eq!(name_in(&front.ask(get("/x", "")).await), "quick");
    // The other may miss a check of so short a time, too.
    front.work();
    eventually("the silent one is left out", async || {
        !front.backend(silent).is_ready() && front.backend(other.address).is_ready()
    })
    .await;
    eventually("the other alone is asked", async || {
        for _ in 0..4 {
            if name_in(&front.ask(get("/x", "")).await) != "other" {
                return false;
            }
        }
        true
    })
    .await;
}

/// What makes all of them slow or unready at once, as their database does, is no reason to answer nobody.
#[tokio::test]
async fn with_none_ready_those_that_live_are_asked() {
    let says_no = Router::new().route("/up", on_get(async || StatusCode::SERVICE_UNAVAILABLE));
    let says_no = start(says_no.fallback(async || "busy")).await;
    let (silent, (_socket, dead)) = (silent_on_checks().await, refusing());
    let more = ", balance: round_robin, health_check: {path: /up, interval: 5ms, timeout: 50ms}";
    let front = Front::new(&[says_no.address, silent, dead], more).await;
    let work = front.work();
    for backend in [says_no.address, silent, dead] {
        front.until_ready_is(backend, false).await;
    }
    // Before the silent one, of whom nobody asks anything yet, counts as hanging.
    work.abort();
    let ready = front.ask(get("/health/ready", "")).await;
    assert!(status(&ready) == 200 && ready.contains(r#"{"/x":"unavailable"}"#), "{ready}");
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(name_in(&front.ask(get("/x", "")).await).to_owned());
    }
    names.sort_unstable();
    assert_eq!(names, ["busy", "busy", "quick", "quick"]);
    assert_eq!(front.counters(dead).refused.get(), 0, "nobody was sent there");
}

/// T45: a client that goes, before the answer or within it, no longer counts.
#[tokio::test]
async fn nothing_stays_in_flight_when_clients_go() {
    let arrived = Arc::new(Notify::new());
    let tell = Arc::clone(&arrived);
    let router = Router::new()
        .route(
            "/x/never",
            on_get(async move || {
                tell.notify_one();
                std::future::pending::<()>().await;
            }),
        )
        .fallback(async || {
            use futures_util::StreamExt as _;
            let first = futures_util::stream::iter([Ok::<_, std::io::Error>("first")]);
            Body::from_stream(first.chain(futures_util::stream::pending()))
        });
    let service = start(router).await;
    let front = Front::new(&[service.address], "").await;
    let mut before = connect(front.port.address).await;
    before.write_all(get("/x/never", "").as_bytes()).await.unwrap();
    soon(arrived.notified()).await;
    let mut within = connect(front.port.address).await;
    within.write_all(get("/x", "").as_bytes()).await.unwrap();
    read_until(&mut within, "first").await;
    assert_eq!(front.in_flight(service.address), 2, "an answer counts until its end");
    drop(before);
    eventually("one is left", async || front.in_flight(service.address) == 1).await;
    drop(within);
    eventually("none is left", async || front.in_flight(service.address) == 0).await;
    let counters = front.counters(service.address);
    assert_eq!((counters.gone.get(), counters.answered.get(), counters.broken.get()), (1, 1, 0));
}

/// An answer that its service leaves lying is cut, but events come when they come.
#[tokio::test]
async fn only_an_event_stream_may_rest() {
    let goes_on = Arc::new(Notify::new());
    let signal = Arc::clone(&goes_on);
    let address = scripted(move |_, mut stream| {
        let goes_on = Arc::clone(&signal);
        async move {
            if read_head(&mut stream).await.starts_with("GET /x/events ") {
                let head =
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\none\n";
                stream.write_all(head).await.unwrap();
                goes_on.notified().await;
                stream.write_all(b"\ntwo\n").await.unwrap();
            } else {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello").await.unwrap();
                std::future::pending::<()>().await;
            }
        }
    })
    .await;
    // Long enough for the head of an answer on any machine.
    let front = Front::new(&[address], ", timeout: 2s").await;
    let mut events = connect(front.port.address).await;
    events.write_all(get("/x/events", "").as_bytes()).await.unwrap();
    read_until(&mut events, "\r\n\r\none\n").await;
    let answer = front.ask(get("/x", "")).await;
    assert!(status(&answer) == 200 && answer.ends_with("hello"), "{answer}");
    assert_eq!(front.counters(address).broken.get(), 1);
    // The events rest since before that answer did.
    goes_on.notify_one();
    assert_eq!(read_to_end(&mut events).await, "\ntwo\n");
    eventually("none is left", async || front.in_flight(address) == 0).await;
}

#[tokio::test]
async fn an_answer_that_never_comes_is_broken() {
    let address = scripted(|_, mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let front = Front::new(&[address], ", timeout: 50ms").await;
    assert_eq!(status(&front.ask(get("/x", "")).await), 504);
    let counters = front.counters(address);
    assert_eq!((counters.broken.get(), counters.answered.get(), counters.gone.get()), (1, 0, 0));
}

/// Prometheus takes a counter that falls for a restart.
#[tokio::test]
async fn no_counter_falls_when_a_request_under_way_fails() {
    let (arrived, breaks) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let signals = (Arc::clone(&arrived), Arc::clone(&breaks));
    let address = scripted(move |_, mut stream| {
        let (arrived, breaks) = signals.clone();
        async move {
            read_head(&mut stream).await;
            arrived.notify_one();
            breaks.notified().await;
        }
    })
    .await;
    let front = Front::new(&[address], "").await;
    let mut client = connect(front.port.address).await;
    client.write_all((post("/x", "Content-Length: 2\r\n") + "hi").as_bytes()).await.unwrap();
    soon(arrived.notified()).await;
    let before = upstream_counts(&front.ask(get("/metrics", "")).await);
    breaks.notify_one();
    assert_eq!(status(&read_to_end(&mut client).await), 502);
    let after = upstream_counts(&front.ask(get("/metrics", "")).await);
    assert_eq!((before.as_slice(), after.as_slice()), (&[0, 0, 0, 0][..], &[0, 0, 1, 0][..]));
}

/// Answered, refused, broken, gone.
fn upstream_counts(metrics: &str) -> Vec<u64> {
    let lines = metrics.lines().filter(|line| line.starts_with("storehouse_upstream_requests_total{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}
