//! Deadlines that are set with each request and seldom reached.
//!
//! The runtime's timer under one is left as it stands when the deadline moves on, and moved when it goes off too early:
//! to make, register and remove one for each request costs more than the request's route, and often wakes the thread.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// One deadline after another.
#[derive(Debug, Default)]
pub(super) struct Timer {
    ends_at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    pub(super) fn start(&mut self, after: Duration) {
        self.start_until(Instant::now() + after);
    }

    fn start_until(&mut self, ends_at: Instant) {
        self.ends_at = Some(ends_at);
    }

    pub(super) fn start_unless_running(&mut self, after: Duration) {
        if self.ends_at.is_none() {
            self.start(after);
        }
    }

    pub(super) fn stop(&mut self) {
        self.ends_at = None;
    }

    /// Ready once the deadline has passed; never where none is set.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(ends_at) = self.ends_at else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(ends_at)));
        if sleep.deadline() > ends_at {
            sleep.as_mut().reset(ends_at);
        }
        ready!(sleep.as_mut().poll(cx));
        if sleep.deadline() < ends_at {
            sleep.as_mut().reset(ends_at);
            ready!(sleep.as_mut().poll(cx));
        }
        Poll::Ready(())
    }
}

/// A time limit for the requests of one connection, which come one after another.
#[derive(Clone, Debug, Default)]
pub struct Alarm(Arc<Mutex<Timer>>);

impl Alarm {
    /// What `work` brings within the limit, which runs from when it first has to wait; `None` if it brings nothing.
    pub async fn limit<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut is_set) = (pin!(work), false);
        poll_fn(|cx| {
            if let Poll::Ready(brought) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(brought));
            }
            let mut timer = lock(&self.0);
            if !is_set {
                is_set = true;
                timer.start(limit);
            }
            timer.poll(cx).map(|()| None)
        })
        .await
    }
}

/// The HTTP library's timer of one connection, which it uses for one thing: how long it waits for the next head.
#[derive(Default)]
pub(super) struct OneTimer(Arc<Mutex<Timer>>);

impl hyper::rt::Timer for OneTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(std::time::Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        lock(&self.0).start_until(deadline.into());
        Box::pin(OneSleep(Arc::clone(&self.0)))
    }
}

struct OneSleep(Arc<Mutex<Timer>>);

impl Future for OneSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        lock(&self.0).poll(cx)
    }
}

impl hyper::rt::Sleep for OneSleep {}

/// A panic while it is held leaves a deadline that is as good as any.
fn lock(timer: &Mutex<Timer>) -> MutexGuard<'_, Timer> {
    timer.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SHORT: Duration = Duration::from_millis(2);
    const LONG: Duration = Duration::from_secs(3600);

    fn has_ended(timer: &mut Timer) -> bool {
        timer.poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    async fn end(timer: &mut Timer) {
        poll_fn(|cx| timer.poll(cx)).await;
    }

    #[tokio::test]
    async fn a_deadline_moves_both_ways() {
        let (mut timer, mut other) = (Timer::default(), Timer::default());
        assert!(!has_ended(&mut timer), "none is set");
        timer.start(SHORT);
        assert!(!has_ended(&mut timer));
        timer.start(LONG);
        other.start(2 * SHORT);
        end(&mut other).await;
        assert!(!has_ended(&mut timer), "only the first deadline has passed");
        timer.start(SHORT);
        end(&mut timer).await;
        timer.start_unless_running(LONG);
        assert!(has_ended(&mut timer));
        timer.stop();
        assert!(!has_ended(&mut timer));
        timer.start_unless_running(LONG);
        assert!(!has_ended(&mut timer));
    }

    #[tokio::test]
    async fn each_request_has_the_whole_limit() {
        let alarm = Alarm::default();
        assert_eq!(alarm.limit(LONG, ready(1)).await, Some(1));
        assert_eq!(alarm.limit(SHORT, pending::<()>()).await, None);
        assert_eq!(alarm.limit(LONG, tokio::task::yield_now()).await, Some(()));
        assert_eq!(alarm.limit(SHORT, pending::<()>()).await, None);
    }
}
