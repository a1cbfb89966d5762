//! Time and new ids: tells the time of day; durations are measured where they are needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use db::{Column, Value};
use jiff::fmt::temporal::DateTimePrinter;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// The system's clock, with an offset that a test may move.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Nothing in a stopped clock, which moves by [`Clock::advance`] alone.
    started: Option<Instant>,
    /// The moment at which a clock stands that tells no real time.
    stands_at: Option<Timestamp>,
    offset_micros: Arc<AtomicI64>,
    /// By how much somebody has set the system's time.
    set_micros: Arc<AtomicI64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Some(Instant::now()), None)
    }
}

impl Clock {
    fn new(started: Option<Instant>, stands_at: Option<Timestamp>) -> Self {
        Self { started, stands_at, offset_micros: Arc::default(), set_micros: Arc::default() }
    }

    /// The present moment, in whole milliseconds: what is stored and compared is what is shown.
    pub fn now(&self) -> Timestamp {
        let moved = self
            .stands_at
            .unwrap_or_else(real_time)
            .0
            .saturating_add(self.offset_micros.load(Ordering::Relaxed))
            .saturating_add(self.set_micros.load(Ordering::Relaxed));
        Timestamp(moved - moved.rem_euclid(1000))
    }

    /// How long it runs: never goes back, whatever becomes of the system's time. For measuring, never for storing.
    pub fn monotonic(&self) -> Duration {
        let moved = u64::try_from(self.offset_micros.load(Ordering::Relaxed)).unwrap_or_default();
        self.started.map_or(Duration::ZERO, |started| started.elapsed()) + Duration::from_micros(moved)
    }

    /// A clock whose [`Clock::monotonic`] stands still, so that a test of limits can't be too slow for them.
    pub fn stopped() -> Self {
        Self::new(None, None)
    }

    /// A clock that stands at a moment, and moves by [`Clock::advance`] alone: for telling of what is made up.
    pub fn standing_at(moment: Timestamp) -> Self {
        Self::new(None, Some(moment))
    }

    /// Moves this clock and all its clones forward.
    pub fn advance(&self, by: Duration) {
        self.offset_micros.fetch_add(micros(by), Ordering::Relaxed);
    }

    /// Sets the time of day by so many seconds more, or less, as an operator or a time server may: [`Clock::monotonic`] doesn't notice.
    pub fn set_by(&self, seconds: i64) {
        self.set_micros.fetch_add(seconds.saturating_mul(1_000_000), Ordering::Relaxed);
    }
}

fn real_time() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// A moment: microseconds since 1970 in UTC, written as RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment and `duration` more.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// This moment less `duration`.
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// Whole seconds since 1970, as a JWT counts (RFC 7519 NumericDate).
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// How far it is from another moment, whichever is the later: a clock may have been set back between them.
    pub fn distance(self, other: Self) -> Duration {
        self.age(other).max(other.age(self))
    }

    /// How long ago it was at a later moment; nothing if that isn't later.
    pub fn age(self, now: Self) -> Duration {
        Duration::from_micros(u64::try_from(now.0.saturating_sub(self.0)).unwrap_or_default())
    }

    fn text(self) -> String {
        let moment = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        // As much as the printer asks for before it begins, though it needs 24 bytes.
        let mut text = String::with_capacity(64);
        // A string takes whatever is written to it.
        let _ = PRINTER.print_timestamp(&moment, &mut text);
        text
    }

    /// Reads RFC 3339 with any offset.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|moment| Self(moment.as_microsecond()))
    }
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

impl std::fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl Column for Timestamp {
    fn from_value(value: Value<'_>) -> Option<Self> {
        i64::from_value(value).map(Self)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time", "examples": ["2026-01-31T09:30:00.000Z"]})
    }
}

/// A new UUIDv7 (RFC 9562): rises with time, and strictly within a process.
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// The least id that [`new_id`] can have given at a moment, or later.
pub fn first_id_at(moment: Timestamp) -> Uuid {
    let milliseconds = u64::try_from(moment.0.div_euclid(1000)).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &[0; 10]).into_uuid()
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
