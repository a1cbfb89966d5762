//! Work that nobody asks for and that goes on for ever: its beat, and how it ends in order.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

/// A beat, the first at once, that doesn't hurry to make up for those it missed.
pub fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// How far work is that must not be broken off while something is under way.
#[derive(Debug, Default)]
pub struct Ending {
    /// Nothing more is to be begun.
    asked: watch::Sender<bool>,
    /// Nothing is under way any more.
    reached: watch::Sender<bool>,
}

impl Ending {
    /// Asks that nothing more be begun, and resolves once what is under way has ended, or after `at_most`. The work must go on meanwhile.
    pub async fn ask(&self, at_most: Duration) {
        self.asked.send_replace(true);
        let mut reached = self.reached.subscribe();
        // The sender lives in this very value; what didn't end in time is whoever waits to deal with.
        let _ = timeout(at_most, reached.wait_for(|reached| *reached)).await;
    }

    /// Whether nothing more is to be begun.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Resolves once nothing more is to be begun.
    pub async fn asked(&self) {
        // The sender lives in this very value.
        let _ = self.asked.subscribe().wait_for(|asked| *asked).await;
    }

    /// Says that nothing is under way any more, and never resolves, as the work wouldn't have.
    pub async fn reach(&self) -> Infallible {
        self.reached.send_replace(true);
        pending().await
    }
}
