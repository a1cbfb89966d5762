//! Services over HTTP: down, slow, broken, and what is sent to them again and what never is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{get as on_get, post as on_post};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, mpsc};

use crate::support::{
    Port, SHORT, connect, exchange, gateway, gateway_with, get, header, post, problem_code, read_head,
    read_to_end, read_until, refusing, route_to, scripted, soon, start, status,
};

async fn front(address: SocketAddr) -> Port {
    start(gateway(&route_to(address, ""), &[])).await
}

async fn tell(request: Request) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let mut lines = vec![format!("{} {}", parts.method, parts.uri)];
    lines.extend(parts.headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())));
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_or("broken".into(), |body| format!("{} bytes", body.len()));
    (
        [("server", "secret/1"), ("x-powered-by", "secret"), ("connection", "x-hop"), ("x-hop", "secret")],
        lines.join("\n") + "\n" + &body,
    )
}

#[tokio::test]
async fn a_request_reaches_a_service_over_http() {
    let service = start(Router::new().fallback(tell)).await;
    let port = front(service.address).await;
    let answer = exchange(
        port.address,
        post("/x/%6F?q=1", "Content-Length: 5\r\nX-User-Id: evil\r\nX-Request-Id: mine\r\n") + "hello",
    )
    .await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains("POST /x/o?q=1\n") && answer.ends_with("5 bytes"), "{answer}");
    assert!(
        answer.contains(&format!("host={}", service.address)) && answer.contains("x-forwarded-host=shop"),
        "{answer}"
    );
    assert!(answer.contains("authorization=Bearer") && answer.contains("content-length=5"), "{answer}");
    assert!(!answer.contains("evil") && !answer.contains("secret"), "{answer}");
    assert_eq!(header(&answer, "x-request-id"), Some("mine"));
    assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn a_service_that_is_down_is_502() {
    let (_socket, address) = refusing();
    let port = front(address).await;
    let answer = exchange(port.address, get("/x", "")).await;
    assert_eq!((status(&answer), problem_code(&answer).as_str()), (502, "bad_gateway"));
    assert!(!answer.contains(&address.port().to_string()), "no address leaks: {answer}");
    let ready = exchange(port.address, get("/health/ready", "")).await;
    assert!(status(&ready) == 200 && ready.contains(r#"{"/x":"unavailable"}"#), "{ready}");
    // From now on that is known, and told without asking.
    let answer = exchange(port.address, get("/x", "")).await;
    assert_eq!((status(&answer), problem_code(&answer).as_str()), (503, "unavailable"));
    assert_eq!(header(&answer, "retry-after"), Some("1"));
}

#[tokio::test]
async fn a_service_that_hangs_is_504() {
    let address = scripted(|_, mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let port = start(gateway(&route_to(address, ", timeout: 50ms"), &[])).await;
    for request in [get("/x", ""), post("/x", "Content-Length: 2\r\n") + "hi"] {
        let answer = exchange(port.address, request).await;
        assert_eq!((status(&answer), problem_code(&answer).as_str()), (504, "upstream_timeout"));
    }
}

/// T10: what is no proper answer is 502, or breaks where it was under way.
#[tokio::test]
async fn a_service_that_talks_garbage_is_502() {
    for garbage in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
        "",
    ] {
        let address = scripted(move |_, mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(garbage.as_bytes()).await.unwrap();
        })
        .await;
        let port = front(address).await;
        let answer = exchange(port.address, get("/x", "")).await;
        assert_eq!(status(&answer), 502, "{garbage:?}: {answer}");
        assert_eq!(problem_code(&answer), "bad_gateway");
    }
}

#[tokio::test]
async fn a_cut_answer_is_not_passed_off_as_whole() {
    let address = scripted(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            .await
            .unwrap();
    })
    .await;
    let port = front(address).await;
    let answer = exchange(port.address, get("/x", "")).await;
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
}

/// T39: the pooled connection closes as the request goes out.
#[tokio::test]
async fn a_stale_connection_costs_a_get_nothing() {
    let broke = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&broke);
    let address = scripted(move |number, mut stream| {
        let breaks = Arc::clone(&breaks);
        async move {
            while !read_head(&mut stream).await.is_empty() {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
                // The first connection takes one more request, and breaks without an answer.
                if number == 0 {
                    breaks.store(!read_head(&mut stream).await.is_empty(), Ordering::SeqCst);
                    return;
                }
            }
        }
    })
    .await;
    let port = front(address).await;
    // A connection is pooled a moment after its answer, so the first request after it may open another.
    soon(async {
        while !broke.load(Ordering::SeqCst) {
            let answer = exchange(port.address, get("/x", "")).await;
            assert!(status(&answer) == 200 && answer.ends_with("hi"), "{answer}");
        }
    })
    .await;
}

/// T40: once a byte of it is out, what changes anything is never sent again.
#[tokio::test]
async fn what_changes_anything_is_sent_once() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let address = scripted(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            let head = read_head(&mut stream).await;
            if !head.is_empty() {
                seen.send(head).unwrap();
            }
        }
    })
    .await;
    let port = front(address).await;
    let (put, delete) =
        (post("/x", "").replacen("POST", "PUT", 1), get("/x", "").replacen("GET", "DELETE", 1));
    for request in [
        post("/x", "Content-Length: 2\r\n") + "hi",
        post("/x", "Content-Length: 0\r\n"),
        post("/x", ""),
        // Done twice they leave the same, but the second answer would be another.
        put,
        delete,
    ] {
        let method = request.split(' ').next().unwrap().to_owned();
        let answer = exchange(port.address, request).await;
        assert_eq!(status(&answer), 502, "{answer}");
        assert!(requests.recv().await.is_some_and(|head| head.starts_with(&format!("{method} /x "))));
        assert!(requests.try_recv().is_err(), "{method} was sent twice");
    }
    // What changes nothing is tried twice, and no more.
    assert_eq!(status(&exchange(port.address, get("/x", "")).await), 502);
    assert!(requests.try_recv().is_ok() && requests.try_recv().is_ok() && requests.try_recv().is_err());
}

/// T18: a body over the limit is refused, and what the service got of it is never whole.
#[tokio::test]
async fn g10_a_body_over_the_limit_is_413() {
    let (seen, mut bodies) = mpsc::unbounded_channel();
    let service = start(Router::new().fallback(on_post(move |request: Request| async move {
        let whole = axum::body::to_bytes(request.into_body(), usize::MAX).await.is_ok();
        seen.send(whole).unwrap();
    })))
    .await;
    let router = gateway_with(&route_to(service.address, ", max_body: 1KiB"), &[], |_| {});
    let port = start(router).await;
    let declared = post("/x", "Content-Length: 1025\r\n") + &"x".repeat(1025);
    let declared = exchange(port.address, declared).await;
    assert_eq!((status(&declared), problem_code(&declared).as_str()), (413, "body_too_large"));
    let mut stream = connect(port.address).await;
    let start_of_body = post("/x", "Transfer-Encoding: chunked\r\n") + "3ff\r\n" + &"x".repeat(1023) + "\r\n";
    stream.write_all(start_of_body.as_bytes()).await.unwrap();
    stream.write_all(b"2\r\nxx\r\n0\r\n\r\n").await.unwrap();
    let chunked = read_to_end(&mut stream).await;
    assert_eq!((status(&chunked), problem_code(&chunked).as_str()), (413, "body_too_large"));
    if let Ok(whole) = bodies.try_recv() {
        assert!(!whole, "a part was taken for the whole");
    }
}

#[tokio::test]
async fn g09_a_slow_body_is_408() {
    let service = start(Router::new().fallback(tell)).await;
    let router =
        gateway_with(&route_to(service.address, ""), &[], |config| config.limits.body_timeout = SHORT);
    let port = start(router).await;
    let answer = exchange(port.address, post("/x", "Content-Length: 5\r\n") + "he").await;
    assert_eq!((status(&answer), problem_code(&answer).as_str()), (408, "request_timeout"));
}

/// T45: nobody works for a client that is gone, over HTTP or within the process.
#[tokio::test]
async fn a_client_that_goes_takes_its_request_along() {
    struct Gone(Arc<Notify>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (arrived, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let router = Router::new().fallback(on_get({
        let (arrived, gone) = (Arc::clone(&arrived), Arc::clone(&gone));
        move || async move {
            let _gone = Gone(gone);
            arrived.notify_one();
            std::future::pending::<()>().await;
        }
    }));
    let service = start(router.clone()).await;
    let local = gateway::Local { port: service.address.port(), service: router.into() };
    for locals in [vec![], vec![local]] {
        let port = start(gateway(&route_to(service.address, ""), &locals)).await;
        let mut client = connect(port.address).await;
        client.write_all(get("/x", "").as_bytes()).await.unwrap();
        soon(arrived.notified()).await;
        drop(client);
        soon(gone.notified()).await;
    }
}

#[tokio::test]
async fn a_large_answer_streams_through() {
    let service = start(Router::new().fallback(|| async {
        Body::from_stream(futures_util::stream::iter(
            (0..100).map(|_| Ok::<_, std::io::Error>(vec![b'a'; 10_000])),
        ))
    }))
    .await;
    let port = front(service.address).await;
    let answer = exchange(port.address, get("/x", "")).await;
    assert_eq!(answer.matches('a').count() / 10_000, 100);
    assert!(answer.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn an_expectation_is_met_here() {
    let service = start(Router::new().fallback(tell)).await;
    let port = front(service.address).await;
    let mut stream = connect(port.address).await;
    stream.write_all(post("/x", "Expect: 100-continue\r\nContent-Length: 2\r\n").as_bytes()).await.unwrap();
    read_until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
    stream.write_all(b"hi").await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.ends_with("2 bytes") && !answer.contains("expect="), "{answer}");
}

#[tokio::test]
async fn a_head_request_tells_the_length_and_sends_nothing() {
    let service = start(Router::new().fallback(on_get(|| async { "hello" }))).await;
    let port = front(service.address).await;
    let answer = exchange(port.address, get("/x", "").replacen("GET", "HEAD", 1)).await;
    assert_eq!((status(&answer), header(&answer, "content-length")), (200, Some("5")));
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

/// The bytes of a long body pass through whole, and the next request on the connection is found after it.
#[tokio::test]
async fn a_long_body_goes_through_whole() {
    let service = start(Router::new().fallback(tell)).await;
    let port = front(service.address).await;
    let first =
        post("/x", "Content-Length: 300000\r\n").replace("Connection: close\r\n", "") + &"b".repeat(300_000);
    let answers = exchange(port.address, first + &get("/x/next", "")).await;
    assert!(answers.contains("300000 bytes") && answers.contains("GET /x/next"), "{answers}");
}
