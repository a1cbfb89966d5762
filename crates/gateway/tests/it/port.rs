//! How every port is served: limits on size and time, framing, shutdown.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use kit::server::{Limits, Peer};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use crate::support::{
    DEADLINE, SHORT, connect, eventually, exchange, header, problem_code, read_to_end, read_until, soon,
    start, start_with, start_with_room, status,
};

/// Says what it saw of a request.
async fn echo(request: Request) -> String {
    let seen = format!("{} {}", request.method(), request.uri());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await;
    format!("{seen} [{}]", body.map_or("broken".into(), |body| String::from_utf8_lossy(&body).into_owned()))
}

fn echoing() -> Router {
    Router::new().fallback(echo)
}

#[tokio::test]
async fn plain_requests_share_a_connection() {
    let port = start(echoing()).await;
    let requests = "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\nPOST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\
        \r\nGET /d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = exchange(port.address, requests).await;
    let (a, c, d) = (answers.find("GET /a?b []"), answers.find("POST /c [abc]"), answers.find("GET /d []"));
    assert!(a.is_some() && a < c && c < d, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3);
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let port = start(echoing()).await;
    let mut stream = connect(port.address).await;
    for byte in b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi" {
        stream.write_all(&[*byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    assert!(read_to_end(&mut stream).await.ends_with("POST /a [hi]"));
}

/// A client may send head and body apart.
#[tokio::test]
async fn what_nobody_reads_of_a_body_costs_no_other_request() {
    let port = start(Router::new().fallback(|| async { "no" })).await;
    let mut stream = connect(port.address).await;
    stream.write_all(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    stream.write_all(b"hiGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let answers = read_to_end(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
}

/// RFC 9112, section 9.6.
#[tokio::test]
async fn an_answer_before_the_body_says_that_the_connection_ends() {
    let port = start(Router::new().fallback(|| async { "no" })).await;
    for fields in [
        "Content-Length: 2\r\n",
        "Content-Length: 70000\r\n",
        "Content-Length: 2\r\nExpect: 100-continue\r\n",
    ] {
        let mut stream = connect(port.address).await;
        let head = format!("POST /a HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{fields}: {answer}");
        assert_eq!(header(&answer, "connection"), Some("close"), "{fields}: {answer}");
    }
}

#[tokio::test]
async fn a_chunked_body_is_read_and_ends_the_connection() {
    let port = start(echoing()).await;
    let request = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
        GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = exchange(port.address, request).await;
    assert!(answer.contains("POST /a [abc]") && !answer.contains("smuggled"), "{answer}");
    assert_eq!(header(&answer, "connection"), Some("close"));
}

/// T1 to T3, T7, T9 and the limits: one answer, a problem, and nothing after it is read.
#[tokio::test]
async fn g07_what_could_be_read_in_two_ways_is_refused() {
    let port = start(echoing()).await;
    let long_url = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(9000));
    let endless_url = format!("GET /{}", "a".repeat(20_000));
    let many_headers = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(100));
    let big_headers = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(17_000));
    let endless_headers = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "y".repeat(17_000));
    let cases: [(&str, u16); 27] = [
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\na", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1,\r\n\r\na", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: x\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nX : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 405),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (&long_url, 414),
        (&endless_url, 414),
        (&many_headers, 431),
        (&big_headers, 431),
        (&endless_headers, 431),
    ];
    for (request, expected) in cases {
        let answer =
            exchange(port.address, format!("{request}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(status(&answer), expected, "{request:?}: {answer}");
        problem_code(&answer);
        assert_eq!(answer.matches("\r\ndate: ").count(), 1, "{request:?}: {answer}");
    }
}

#[tokio::test]
async fn a_refusal_stands_behind_the_answers_before_it() {
    let port = start(echoing()).await;
    let requests = "GET /good HTTP/1.1\r\nHost: x\r\n\r\nGET /bad HTTP/1.1\r\n\r\nGET /after HTTP/1.1\r\nHost: x\r\n\r\n";
    let answers = exchange(port.address, requests).await;
    assert!(
        answers.contains("GET /good []")
            && answers.contains("malformed_request")
            && !answers.contains("/after"),
        "{answers}"
    );
}

#[tokio::test]
async fn nobody_can_play_the_refused_request() {
    let port = start(echoing()).await;
    let answer = exchange(port.address, "REFUSED / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("REFUSED / []"), "{answer}");
}

/// T4: the body breaks, and what follows is not taken for a request.
#[tokio::test]
async fn g07_broken_chunks_break_the_body() {
    let port = start(echoing()).await;
    for chunks in [
        "fffffffffffffffff\r\n",
        "3\nabc\n0\n\n",
        "3 x\r\nabc\r\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "-1\r\n",
        "\r\n",
    ] {
        let request = format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
        );
        let answer = exchange(port.address, request).await;
        assert!(
            answer.is_empty() || answer.contains("[broken]") || status(&answer) == 400,
            "{chunks:?}: {answer}"
        );
        assert!(!answer.contains("/smuggled"), "{chunks:?}: {answer}");
    }
}

/// T5: an upgrade that nobody asked for leaves the connection what it was.
#[tokio::test]
async fn an_upgrade_is_not_a_tunnel() {
    let port = start(echoing()).await;
    let requests = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n\
        GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = exchange(port.address, requests).await;
    assert!(answers.contains("GET /a []") && answers.contains("GET /b []"), "{answers}");
}

/// T6: the body that nobody wanted is never taken for a request.
#[tokio::test]
async fn g07_an_unread_body_is_not_a_request() {
    let port = start(Router::new().fallback(|| async { "early" })).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let request =
        format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 100_000 + smuggled.len());
    let mut stream = connect(port.address).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "early").await;
    assert_eq!(status(&answer), 200);
    let _ = stream.write_all(smuggled.as_bytes()).await;
    let _ = stream.write_all(&[b'a'; 100_000]).await;
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn an_absolute_url_is_read_as_its_path() {
    let port = start(echoing()).await;
    let good =
        exchange(port.address, "GET http://x/a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(good.ends_with("GET /a?b []"), "{good}");
    let other =
        exchange(port.address, "GET http://y/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!((status(&other), problem_code(&other).as_str()), (400, "malformed_request"));
}

#[tokio::test]
async fn g09_a_slow_head_is_answered_408() {
    let port = start_with(echoing(), Limits { header_timeout: SHORT, ..Limits::default() }).await;
    let answer = exchange(port.address, "GET / HTTP/1.1\r\nHost: x\r\n").await;
    assert_eq!((status(&answer), problem_code(&answer).as_str()), (408, "request_timeout"));
    // The second head of a connection has a limit of its own.
    let answers = exchange(port.address, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b").await;
    assert!(answers.contains("GET /a []") && answers.contains("HTTP/1.1 408"), "{answers}");
}

#[tokio::test]
async fn g09_a_connection_that_says_nothing_ends() {
    let port = start_with(echoing(), Limits { header_timeout: SHORT, ..Limits::default() }).await;
    assert_eq!(exchange(port.address, "").await, "");
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let port = start_with(echoing(), Limits { idle_timeout: SHORT, ..Limits::default() }).await;
    let answer = exchange(port.address, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.ends_with("GET /a []"), "{answer}");
}

#[tokio::test]
async fn a_slow_answer_is_not_an_idle_connection() {
    let go = Arc::new(Notify::new());
    let router = Router::new().route(
        "/",
        get({
            let go = Arc::clone(&go);
            move || async move {
                go.notified().await;
                "late"
            }
        }),
    );
    let limits = Limits { idle_timeout: SHORT, header_timeout: SHORT, ..Limits::default() };
    let port = start_with(router, limits).await;
    let mut slow = connect(port.address).await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // Another connection meets both limits meanwhile, one after the other.
    for _ in 0..3 {
        exchange(port.address, "GET / HTTP/1.1\r\n").await;
    }
    go.notify_one();
    assert!(read_to_end(&mut slow).await.ends_with("late"));
}

/// T17: a reader that stands still ends the connection and with it the answer.
#[tokio::test]
async fn g09_a_reader_that_stands_still_is_let_go() {
    struct Gone(Arc<Notify>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let gone = Arc::new(Notify::new());
    let router = Router::new().route(
        "/",
        get({
            let gone = Arc::clone(&gone);
            move || async move {
                let gone = Gone(gone);
                let endless = stream::repeat_with(move || {
                    let _held = &gone;
                    Ok::<_, Infallible>(Bytes::from_static(&[0; 65536]))
                });
                Body::from_stream(endless)
            }
        }),
    );
    let port = start_with(router, Limits { write_timeout: SHORT, ..Limits::default() }).await;
    let mut stream = connect(port.address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    soon(gone.notified()).await;
}

/// T53: what is in flight ends, what is idle ends at once, and nothing new is accepted.
#[tokio::test]
async fn a_shutdown_lets_requests_end() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let router = Router::new().route(
        "/",
        post({
            let (arrived, go) = (Arc::clone(&arrived), Arc::clone(&go));
            move |body: Bytes| async move {
                arrived.notify_one();
                go.notified().await;
                body
            }
        }),
    );
    let port = start(router).await;
    let mut idle = connect(port.address).await;
    let mut slow = connect(port.address).await;
    slow.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    soon(arrived.notified()).await;
    port.stop.send(true).unwrap();
    assert_eq!(read_to_end(&mut idle).await, "");
    go.notify_one();
    let answer = read_to_end(&mut slow).await;
    assert!(answer.ends_with("hi"), "{answer}");
    assert_eq!(header(&answer, "connection"), Some("close"));
    soon(port.ended).await.unwrap();
    assert!(tokio::net::TcpStream::connect(port.address).await.is_err());
}

#[tokio::test]
async fn a_shutdown_waits_only_so_long() {
    let arrived = Arc::new(Notify::new());
    let router = Router::new().route(
        "/",
        get({
            let arrived = Arc::clone(&arrived);
            move || async move {
                arrived.notify_one();
                std::future::pending::<()>().await;
            }
        }),
    );
    let port = start_with(router, Limits { shutdown_timeout: SHORT, ..Limits::default() }).await;
    let mut stream = connect(port.address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    soon(arrived.notified()).await;
    port.stop.send(true).unwrap();
    tokio::time::timeout(DEADLINE, port.ended).await.unwrap().unwrap();
}

/// T19: one connection more than there is room for is closed, the others aren't, and who comes once one has gone is served.
#[tokio::test]
async fn a_port_holds_so_many_connections_and_no_more() {
    let listener = kit::server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let port = start_with_room(listener, echoing(), Limits::default(), 2);
    let request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut open = [connect(port.address).await, connect(port.address).await];
    for stream in &mut open {
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(stream, "GET /a []").await;
    }
    assert_eq!(exchange(port.address, request).await, "", "closed without an answer");
    let [gone, mut stays] = open;
    drop(gone);
    eventually("there is room again", async || {
        exchange(port.address, request.replace("Host: x", "Host: x\r\nConnection: close"))
            .await
            .ends_with("GET /a []")
    })
    .await;
    stays.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut stays, "GET /a []").await;
}

#[tokio::test]
async fn a_taken_port_is_told_in_one_line() {
    let port = start(echoing()).await;
    let error = kit::server::bind(port.address).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("can't listen on {}", port.address)), "{error}");
}

#[tokio::test]
async fn a_request_knows_its_peer() {
    let router = Router::new().fallback(|request: Request| async move {
        request.extensions().get::<Peer>().unwrap().address.to_string()
    });
    let port = start(router).await;
    let mut stream = connect(port.address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let address = stream.local_addr().unwrap().to_string();
    assert!(read_to_end(&mut stream).await.ends_with(&address));
}
