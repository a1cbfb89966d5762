//! The access log: one line a request, and no secret in it.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use gateway::Local;
use kit::service::Service;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{ACCOUNT, exchange, gateway, get, header, soon, start};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// All tests of this binary log to one place, since the decision whether a line is wanted is cached for the
/// whole process; each test looks for its own requests.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().json().with_max_level(Level::DEBUG).with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
});

/// The access lines of one request, once there are this many.
async fn access_lines(request_id: &str, count: usize) -> Vec<String> {
    soon(async {
        loop {
            let text = String::from_utf8(LOG.0.lock().unwrap().clone()).unwrap();
            let id = format!(r#""request.id":"{request_id}""#);
            let is_wanted = |line: &&str| line.contains(r#""target":"access""#) && line.contains(&id);
            let lines: Vec<String> = text.lines().filter(is_wanted).map(str::to_owned).collect();
            if lines.len() >= count {
                return lines;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

fn front() -> Service {
    let routes = "routes: [{path: /x, backend: 'http://localhost:1', methods: [GET]}]";
    gateway(routes, &[Local { port: 1, service: Router::new().fallback(|| async { "hello" }).into() }])
}

#[tokio::test]
async fn a_request_is_one_line_and_at_debug_another() {
    LazyLock::force(&LOG);
    let port = start(front()).await;
    let lines =
        "X-Request-Id: log.found\r\nCookie: hunter2\r\nIdempotency-Key: hunter2\r\nAccept-Language: de\r\n";
    exchange(port.address, get("/x/%6F?token=hunter2", lines)).await;
    exchange(port.address, get("/nowhere", "X-Request-Id: log.lost\r\n")).await;
    let lost = access_lines("log.lost", 2).await;
    let found = access_lines("log.found", 2).await;
    assert_eq!((found.len(), lost.len()), (2, 2), "{found:?} {lost:?}");
    let line: serde_json::Value = serde_json::from_str(&found[0]).unwrap();
    let fields = &line["fields"];
    assert_eq!(line["level"], "INFO");
    assert_eq!((fields["method"].as_str(), fields["path"].as_str()), (Some("GET"), Some("/x/o")));
    assert_eq!((fields["status"].as_u64(), fields["bytes"].as_u64()), (Some(200), Some(5)));
    assert_eq!(fields["client.address"], "127.0.0.1");
    assert_eq!(fields["account.id"], ACCOUNT.to_string());
    assert!(fields["duration_ms"].is_number());
    assert!(lost[0].contains(r#""status":404"#) && !lost[0].contains("account.id"), "{}", lost[0]);
    assert!(found[1].contains(r#""level":"DEBUG""#), "{found:?}");
    assert!(found[1].contains("accept-language") && found[1].contains("content-type"), "{found:?}");
    assert!(found.iter().all(|line| !line.contains("hunter2") && !line.contains("Bearer ey")), "{found:?}");
}

#[tokio::test]
async fn a_refused_head_is_logged_too() {
    LazyLock::force(&LOG);
    let port = start(front()).await;
    let answer = exchange(port.address, "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    let lines = access_lines(header(&answer, "x-request-id").unwrap(), 1).await;
    assert!(lines[0].contains(r#""status":400"#), "{lines:?}");
}
