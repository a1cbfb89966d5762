//! The stream between a socket and the HTTP library: lets a head through once it is whole and judged, and
//! ends what takes too long.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Limits;
use super::head::{self, Framing, Scan};
use super::timer::Timer;
use crate::problem::Problem;
use crate::stream::Stream;

/// How long, and how many bytes, of an unwanted body are read after the answer, so that the answer arrives
/// instead of a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// The method of the request that stands in for a refused one.
const STAND_IN_METHOD: &str = "REFUSED";
const STAND_IN: &[u8] = b"REFUSED / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n";

/// Why the connection's last request was refused, told by the guard to whoever answers.
#[derive(Default)]
pub(super) struct Refused(OnceLock<Problem>);

impl Refused {
    /// Whether this request stands in for the refused one.
    pub(super) fn is<B>(&self, request: &Request<B>) -> bool {
        request.method().as_str() == STAND_IN_METHOD && self.0.get().is_some()
    }

    /// The refusal that this request stands in for.
    pub(super) fn problem<B>(&self, request: &Request<B>) -> Option<Problem> {
        self.0.get().filter(|_| self.is(request)).cloned()
    }
}

/// What the next bytes from the client are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A head, looked through up to this offset.
    Head(usize),
    /// The rest of a body.
    Body(u64),
    /// Chunks until the connection ends.
    Chunks,
    /// Nothing that anybody reads.
    Refused,
}

/// A socket that yields whole, judged heads.
pub(super) struct Guard {
    stream: Stream,
    limits: Limits,
    stage: Stage,
    /// What came in and was not yet handed on.
    received: Vec<u8>,
    /// How much of it may be.
    cleared: usize,
    head_timer: Timer,
    write_timer: Timer,
    linger_timer: Timer,
    lingered: usize,
    refused: Arc<Refused>,
}

impl Guard {
    /// Guards a new connection, whose first head is awaited from now on.
    pub(super) fn new(stream: Stream, limits: Limits, refused: Arc<Refused>) -> Self {
        let mut head_timer = Timer::default();
        head_timer.start(limits.header_timeout);
        Self {
            stream,
            limits,
            stage: Stage::Head(0),
            received: Vec::new(),
            cleared: 0,
            head_timer,
            write_timer: Timer::default(),
            linger_timer: Timer::default(),
            lingered: 0,
            refused,
        }
    }

    /// Reads on from the socket; `Ok(false)` at its end.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut chunk = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
        self.received.extend_from_slice(chunk.filled());
        Poll::Ready(Ok(!chunk.filled().is_empty()))
    }

    /// Clears the next head once it is whole; `Ok(false)` at the socket's end.
    fn poll_head(&mut self, cx: &mut Context<'_>, from: usize) -> Poll<io::Result<bool>> {
        if from == 0 {
            self.skip_empty_lines();
        }
        match head::scan(&self.received, from) {
            Scan::Complete(end) => self.clear_head(end),
            Scan::BareLineFeed => {
                self.refuse(Problem::malformed("malformed_request", "Lines must end in CR LF."));
            }
            Scan::Partial => {
                if let Err(problem) = head::check_partial(&self.received, &self.limits) {
                    self.refuse(problem);
                    return Poll::Ready(Ok(true));
                }
                if !self.received.is_empty() {
                    self.head_timer.start_unless_running(self.limits.header_timeout);
                }
                self.stage = Stage::Head(self.received.len());
                return match self.poll_receive(cx) {
                    Poll::Pending => self.poll_head_timer(cx),
                    ready => ready,
                };
            }
        }
        Poll::Ready(Ok(true))
    }

    fn skip_empty_lines(&mut self) {
        let empty = self.received.chunks_exact(2).take_while(|line| *line == b"\r\n").count();
        self.received.drain(..empty * 2);
    }

    fn clear_head(&mut self, end: usize) {
        self.head_timer.stop();
        match head::inspect(&self.received[..end], &self.limits) {
            Ok(framing) => {
                self.cleared = end;
                self.stage = match framing {
                    Framing::Length(0) => Stage::Head(0),
                    Framing::Length(length) => Stage::Body(length),
                    Framing::Chunked => Stage::Chunks,
                };
            }
            Err(problem) => self.refuse(problem),
        }
    }

    fn poll_head_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        ready!(self.head_timer.poll(cx));
        if self.received.is_empty() {
            return Poll::Ready(Ok(false));
        }
        let detail =
            format!("The headers took longer than {} s to arrive.", self.limits.header_timeout.as_secs());
        self.refuse(Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail));
        Poll::Ready(Ok(true))
    }

    /// Hands on a stand-in instead of what the client sent, and reads no further.
    fn refuse(&mut self, problem: Problem) {
        self.head_timer.stop();
        self.received = STAND_IN.to_vec();
        self.cleared = STAND_IN.len();
        self.stage = Stage::Refused;
        // The first refusal stands; there is no second, since nothing is read after it.
        let _ = self.refused.0.set(problem);
    }

    /// Clears what is there of a body; reads on where nothing is, since a head may follow it.
    fn poll_body(&mut self, cx: &mut Context<'_>, remaining: u64) -> Poll<io::Result<bool>> {
        if self.received.is_empty() && !ready!(self.poll_receive(cx))? {
            return Poll::Ready(Ok(false));
        }
        let available = self.received.len() as u64;
        let cleared = available.min(remaining);
        self.cleared = usize::try_from(cleared).unwrap_or(self.received.len());
        self.stage = if cleared == remaining { Stage::Head(0) } else { Stage::Body(remaining - cleared) };
        Poll::Ready(Ok(true))
    }

    /// Whether the socket may fill this much room with nothing but body.
    fn is_all_body(&self, room: usize) -> bool {
        match self.stage {
            _ if !self.received.is_empty() => false,
            Stage::Body(remaining) => remaining >= room as u64,
            Stage::Chunks => true,
            Stage::Head(_) | Stage::Refused => false,
        }
    }

    /// Reads a body on without keeping it.
    fn poll_through(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let length = (buffer.filled().len() - before) as u64;
        self.stage = match self.stage {
            Stage::Body(remaining) if remaining == length => Stage::Head(0),
            Stage::Body(remaining) => Stage::Body(remaining - length),
            other => other,
        };
        Poll::Ready(Ok(()))
    }

    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.cleared.min(buffer.remaining());
        buffer.put_slice(&self.received[..length]);
        self.received.drain(..length);
        self.cleared -= length;
    }

    /// Fails a write that has stood still for too long.
    fn watch_write(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.write_timer.stop();
            return written;
        }
        self.write_timer.start_unless_running(self.limits.write_timeout);
        ready!(self.write_timer.poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client doesn't read the answer")))
    }

    /// Reads off what the client still sends: closing a socket with unread bytes would reset it.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.linger_timer.start_unless_running(LINGER);
        while self.lingered < LINGER_BYTES {
            self.received.clear();
            match self.poll_receive(cx) {
                Poll::Ready(Ok(true)) => self.lingered += self.received.len(),
                Poll::Ready(_) => break,
                Poll::Pending => return self.linger_timer.poll(cx),
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Guard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.is_all_body(buffer.remaining()) {
            return this.poll_through(cx, buffer);
        }
        while this.cleared == 0 {
            let goes_on = match this.stage {
                Stage::Head(from) => ready!(this.poll_head(cx, from))?,
                Stage::Body(remaining) => ready!(this.poll_body(cx, remaining))?,
                Stage::Chunks => {
                    this.cleared = this.received.len();
                    true
                }
                // The answer to the refused request ends the connection; an end here would cut it off.
                Stage::Refused => return Poll::Pending,
            };
            if !goes_on {
                return Poll::Ready(Ok(()));
            }
        }
        this.hand_on(buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if !matches!(self.stage, Stage::Head(_)) {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
