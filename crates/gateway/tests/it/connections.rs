//! The connections to a service: when one takes another request, and when it is closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use crate::support::{
    Port, connect, eventually, exchange, gateway, get, post, read_head, read_until, route_to, scripted, soon,
    start, status,
};

async fn front(address: SocketAddr) -> Port {
    start(gateway(&route_to(address, ""), &[])).await
}

/// A service that gives every request this answer; and how many connections it was asked over.
async fn answering(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let connections = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&connections);
    let address = scripted(move |_, mut stream| {
        let counts = Arc::clone(&counts);
        async move {
            counts.fetch_add(1, Ordering::SeqCst);
            while !read_head(&mut stream).await.is_empty() {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (address, connections)
}

async fn ask_often(port: &Port, times: usize) {
    for _ in 0..times {
        assert_eq!(status(&exchange(port.address, get("/x", "")).await), 200);
    }
}

/// Also for another client.
#[tokio::test]
async fn a_connection_takes_one_request_after_the_other() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ] {
        let (address, connections) = answering(answer).await;
        ask_often(&front(address).await, 5).await;
        assert_eq!(connections.load(Ordering::SeqCst), 1, "{answer}");
    }
}

/// RFC 9110, section 2.5: the gateway's own version, and the client's connection goes on.
#[tokio::test]
async fn an_old_service_makes_no_old_gateway() {
    let (address, _) = answering("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let port = front(address).await;
    let answer = exchange(port.address, get("/x", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hi"), "{answer}");
}

#[tokio::test]
async fn what_the_service_closes_takes_no_other_request() {
    let (address, connections) =
        answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi").await;
    ask_often(&front(address).await, 3).await;
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn requests_at_once_have_a_connection_each() {
    let (arrived, goes_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let signals = (Arc::clone(&arrived), Arc::clone(&goes_on));
    let address = scripted(move |_, mut stream| {
        let (arrived, goes_on) = (Arc::clone(&signals.0), Arc::clone(&signals.1));
        async move {
            while !read_head(&mut stream).await.is_empty() {
                arrived.fetch_add(1, Ordering::SeqCst);
                goes_on.notified().await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
            }
        }
    })
    .await;
    let port = front(address).await;
    let all = (0..10).map(|_| tokio::spawn(exchange(port.address, get("/x", ""))));
    let all: Vec<_> = all.collect();
    eventually("all are under way", async || arrived.load(Ordering::SeqCst) == 10).await;
    goes_on.notify_waiters();
    for answer in all {
        assert!(answer.await.unwrap().ends_with("hi"));
    }
}

/// No byte of it went out over the connection that was closed before. (On one thread whoever accepts the client has
/// seen that, too.)
#[tokio::test]
async fn a_stale_connection_costs_a_post_nothing() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let address = scripted(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            let head = read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
            drop(stream);
            seen.send(head).unwrap();
        }
    })
    .await;
    let port = front(address).await;
    for _ in 0..5 {
        let answer = exchange(port.address, post("/x", "Content-Length: 2\r\n") + "hi").await;
        assert!(status(&answer) == 200 && answer.ends_with("hi"), "{answer}");
        assert!(soon(requests.recv()).await.is_some_and(|head| head.starts_with("POST /x ")));
        assert!(requests.try_recv().is_err(), "sent twice");
    }
}

/// What is left of its answer is not for the next client.
#[tokio::test]
async fn a_client_that_goes_within_the_answer_takes_the_connection_along() {
    let closed = Arc::new(Notify::new());
    let tell = Arc::clone(&closed);
    let address = scripted(move |_, mut stream| {
        let closed = Arc::clone(&tell);
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst").await.unwrap();
            if stream.read(&mut [0]).await.is_ok_and(|length| length == 0) {
                closed.notify_one();
            }
        }
    })
    .await;
    let port = front(address).await;
    let mut client = connect(port.address).await;
    client.write_all(get("/x", "").as_bytes()).await.unwrap();
    read_until(&mut client, "first").await;
    drop(client);
    soon(closed.notified()).await;
}

/// A service may answer before it has read, and read on.
#[tokio::test]
async fn an_upload_goes_on_beside_its_answer() {
    const LENGTH: usize = 900_000;
    async fn answer_and_read(mut stream: TcpStream) -> usize {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly").await.unwrap();
        let (mut received, mut chunk) = (0, [0; 8192]);
        while received < LENGTH {
            match stream.read(&mut chunk).await {
                Ok(length @ 1..) => received += length,
                _ => break,
            }
        }
        received
    }
    let (seen, mut received) = mpsc::unbounded_channel();
    let address = scripted(move |_, stream| {
        let seen = seen.clone();
        async move { seen.send(answer_and_read(stream).await).unwrap() }
    })
    .await;
    let port = front(address).await;
    let mut client = connect(port.address).await;
    let (head, body) = (post("/x", &format!("Content-Length: {LENGTH}\r\n")), vec![b'b'; LENGTH]);
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&body[..1000]).await.unwrap();
    read_until(&mut client, "early").await;
    client.write_all(&body[1000..]).await.unwrap();
    assert_eq!(soon(received.recv()).await, Some(LENGTH));
}

/// Whichever thread they meet on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_each_gets_its_own_answer() {
    let service = start(Router::new().fallback(async |body: Bytes| body)).await;
    let port = front(service.address).await;
    let clients = (0..16).map(|client| {
        tokio::spawn(async move {
            for turn in 0..20 {
                let body = format!("{client}-{turn}-{}", "b".repeat(client * turn * 50));
                let length = format!("Content-Length: {}\r\n", body.len());
                let answer = exchange(port.address, post("/x", &length) + &body).await;
                assert!(status(&answer) == 200 && answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}
