//! The backend behind the proxies: it answers everything with the same 297 bytes of JSON, as cheaply as can be.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const LENGTH: usize = 297;

/// Any free port.
#[cfg(test)]
pub(crate) async fn bind() -> io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await
}

/// Serves on this address until the process ends.
pub(crate) async fn run(address: SocketAddr) -> io::Result<()> {
    serve(TcpListener::bind(address).await?).await;
    Ok(())
}

pub(crate) async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // A client that goes is none of its business.
            let _ = answer(stream).await;
        });
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {LENGTH}\r\n\r\n{}",
        body()
    );
    let mut buffer = Vec::with_capacity(8 * 1024);
    while stream.read_buf(&mut buffer).await? > 0 {
        // Only requests without a body come here, so a blank line ends each.
        let heads = buffer.windows(4).filter(|window| window == b"\r\n\r\n").count();
        for _ in 0..heads {
            stream.write_all(answer.as_bytes()).await?;
        }
        if heads > 0 {
            buffer.clear();
        }
    }
    Ok(())
}

/// An order, filled up to its length.
fn body() -> String {
    let start =
        r#"{"id":"42","number":1042,"status":"pending","currency":"USD","total_price":999.99,"note":""#;
    format!("{start}{}\"}}", "x".repeat(LENGTH - start.len() - 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_as_long_as_it_says() {
        assert_eq!(body().len(), LENGTH);
        assert!(serde_json::from_str::<serde_json::Value>(&body()).is_ok());
    }
}
