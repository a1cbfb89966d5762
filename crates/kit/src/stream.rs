//! A socket that is written to in one piece where that is short: the system takes a gathered write at a greater cost than a
//! plain one, which is a part of a short answer's cost, and copying some hundred bytes is none.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The longest piece that is put together, in bytes.
const SHORT: usize = 2048;

/// The socket.
#[derive(Debug)]
pub struct Stream(pub TcpStream);

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        if let [only] = slices {
            return stream.poll_write(cx, only);
        }
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if length > SHORT {
            return stream.poll_write_vectored(cx, slices);
        }
        let mut space = [0; SHORT];
        let mut start = 0;
        for slice in slices {
            space[start..start + slice.len()].copy_from_slice(slice);
            start += slice.len();
        }
        stream.poll_write(cx, &space[..length])
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn pieces_arrive_in_their_order_short_or_long() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, mut other) = (Stream(client), listener.accept().await.unwrap().0);
        for lengths in [&[0][..], &[5], &[3000], &[700, 0, 1348], &[700, 1349], &[1, 1, 1], &[3000, 3000]] {
            let pieces: Vec<Vec<u8>> =
                lengths.iter().zip(1..).map(|(length, byte)| vec![byte; *length]).collect();
            let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let whole = pieces.concat();
            let written = poll_fn(|cx| Pin::new(&mut stream).poll_write_vectored(cx, &slices)).await;
            assert_eq!(written.unwrap(), whole.len());
            let mut read = vec![0; whole.len()];
            other.read_exact(&mut read).await.unwrap();
            assert_eq!(read, whole);
        }
    }
}
