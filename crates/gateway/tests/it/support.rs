//! What the tests share: listeners on free ports, a gateway in front of them, and clients that speak bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway::{Cors, Gateway, GatewayConfig, Local, MetricsAccess, Routes, Surroundings};
use kit::client::ClientKey;
use kit::clock::Clock;
use kit::identity::Role;
use kit::metrics::Metrics;
use kit::secret::Secret;
use kit::server::{Connections, Limits, Workers, bind, serve};
use kit::service::{Readiness, Service};
use kit::token::Tokens;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a test waits for what must happen: long enough for any machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A time limit that a test reaches on purpose.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// Waits, but not for ever.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, event).await.expect("this should have happened long ago")
}

/// A served port.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) ended: JoinHandle<()>,
}

pub(crate) async fn start(service: impl Into<Service>) -> Port {
    start_with(service, Limits::default()).await
}

pub(crate) async fn start_with(service: impl Into<Service>, limits: Limits) -> Port {
    start_on(bind("127.0.0.1:0".parse().unwrap()).await.unwrap(), service, limits)
}

pub(crate) fn start_on(listener: TcpListener, service: impl Into<Service>, limits: Limits) -> Port {
    start_with_room(listener, service, limits, 1_000)
}

/// The same, for so many connections at once.
pub(crate) fn start_with_room(
    listener: TcpListener,
    service: impl Into<Service>,
    limits: Limits,
    most: usize,
) -> Port {
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = watch::channel(false);
    let (connections, workers) = (Connections::new(most, most, Vec::new()), Arc::new(Workers::here()));
    let ended = tokio::spawn(serve(listener, service.into(), limits, connections, workers, stopping));
    Port { address, stop, ended }
}

fn tokens() -> Tokens {
    Tokens::new(&Secret::new("a secret of the tests, of 32 bytes or more"), Clock::default())
}

pub(crate) const ACCOUNT: uuid::Uuid = uuid::Uuid::from_u128(7);

pub(crate) fn token() -> String {
    tokens()
        .sign(ACCOUNT, "a@example.com", Role::Customer, uuid::Uuid::from_u128(8))
        .unwrap()
        .expose()
        .to_owned()
}

/// A gateway over these routes, ready.
pub(crate) fn gateway(routes: &str, locals: &[Local]) -> Service {
    gateway_with(routes, locals, |_| {})
}

pub(crate) fn gateway_with(
    routes: &str,
    locals: &[Local],
    change: impl FnOnce(&mut GatewayConfig),
) -> Service {
    complete_gateway(routes, locals, change).service
}

/// The same with its counters and its work, which doesn't run by itself.
pub(crate) fn complete_gateway(
    routes: &str,
    locals: &[Local],
    change: impl FnOnce(&mut GatewayConfig),
) -> Gateway {
    let mut config = GatewayConfig {
        routes: Routes::parse(routes, "routes.yaml").unwrap(),
        trusted_proxies: Vec::new(),
        cors: Cors { localhost: true, origins: Vec::new() },
        limits: gateway::Limits::default(),
        metrics_access: MetricsAccess::Open,
    };
    change(&mut config);
    let readiness = Readiness::default();
    readiness.set_ready();
    let surroundings = Surroundings {
        tokens: Arc::new(tokens()),
        sessions: None,
        counting: None,
        client_key: ClientKey::new(&Secret::new("the tests' secret")),
        readiness,
        metrics: Arc::new(Metrics::default()),
        docs: None,
    };
    gateway::gateway(config, locals, surroundings)
}

/// One route, `/x`, to an address.
pub(crate) fn route_to(address: SocketAddr, more: &str) -> String {
    format!("routes: [{{path: /x, backend: 'http://{address}', methods: [GET, POST, PUT, DELETE]{more}}}]")
}

/// Polls until the condition holds.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// A service that treats each connection, by its number, as it is told.
pub(crate) async fn scripted<F>(treat: impl Fn(usize, TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(treat(number, stream));
        }
    });
    address
}

/// A port that refuses connections: bound, so that nobody else gets it, but not listening.
pub(crate) fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Reads a request's head.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Sends bytes and reads until the other end closes.
pub(crate) async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = connect(address).await;
    // A server that refuses early may have closed before all is written.
    let _ = stream.write_all(bytes.as_ref()).await;
    read_to_end(&mut stream).await
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = soon(stream.read(&mut chunk)).await {
        bytes.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `text` has come.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(text) {
        let byte = soon(stream.read_u8()).await.unwrap_or_else(|error| {
            panic!("{error} after {:?}", String::from_utf8_lossy(&bytes));
        });
        bytes.push(byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A request that ends its connection, with a valid token.
pub(crate) fn get(path: &str, lines: &str) -> String {
    let token = token();
    format!(
        "GET {path} HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{lines}\r\n"
    )
}

/// A POST without its body, with a valid token.
pub(crate) fn post(path: &str, lines: &str) -> String {
    get(path, lines).replacen("GET", "POST", 1)
}

pub(crate) fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

pub(crate) fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Checks that an answer is a problem with a request id, and gives its code.
pub(crate) fn problem_code(answer: &str) -> String {
    assert_eq!(header(answer, "content-type"), Some("application/problem+json"), "{answer}");
    let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["request_id"].as_str(), header(answer, "x-request-id"), "{answer}");
    assert_eq!(body["status"], status(answer));
    body["code"].as_str().unwrap().to_owned()
}
