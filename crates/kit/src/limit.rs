//! How often somebody may ask.

use std::num::NonZeroU32;
use std::time::Duration;

/// So many requests in a time, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many in `per`, for as long as one likes.
    pub requests: NonZeroU32,
    /// The time for these.
    pub per: Duration,
    /// How many at once after a rest.
    pub burst: NonZeroU32,
}
