//! JSON lines, written field by field into one buffer: an access log is a line a request, and a formatter that builds
//! a map for each was a sixth of the cost of a short request.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;

/// Long enough for most lines.
const USUAL_LINE: usize = 512;

/// Writes each event as one object: time, level, the event's fields in their order, target.
pub(super) struct JsonLines<W>(pub(super) W);

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut start = String::with_capacity(USUAL_LINE);
        // A string takes all that is written to it.
        let _ = write!(start, "{{\"timestamp\":\"{:.3}\",\"level\":\"{}\"", super::now(), metadata.level());
        let mut fields = Fields(start.into_bytes());
        event.record(&mut fields);
        fields.put("target", metadata.target());
        let Fields(mut line) = fields;
        line.extend_from_slice(b"}\n");
        // Where logs can't be written there is nobody left to tell.
        drop(self.0.make_writer_for(metadata).write_all(&line));
    }
}

/// A line that has its fields up to here.
struct Fields(Vec<u8>);

impl Fields {
    fn put(&mut self, name: &str, value: impl Serialize) {
        let length = self.0.len();
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        if serde_json::to_writer(&mut self.0, &value).is_err() {
            self.0.truncate(length);
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // Nearly always nothing has to be escaped (RFC 8259, section 7), which is seen sooner than each byte is looked up.
        if value.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            return self.put(field.name(), value);
        }
        for part in [",\"", field.name(), "\":\"", value, "\""] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), Shown(value));
    }
}

/// A value as its `Debug` shows it, which for one that was given by `%` is its `Display`.
struct Shown<'a>(&'a dyn Debug);

impl Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}
