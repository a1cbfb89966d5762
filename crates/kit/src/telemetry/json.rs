//! JSON lines, written field by field into one buffer: an access log is a line a request, and a formatter that builds
//! a map for each was a sixth of the cost of a short request.

use std::fmt::Debug;
use std::io::Write as _;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;

use crate::clock::PRINTER;

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
        start.push_str("{\"timestamp\":\"");
        // A string takes all that is written to it.
        let _ = PRINTER.print_timestamp(&super::now(), &mut start);
        start.push('"');
        let mut fields = Fields(start.into_bytes());
        fields.text("level", metadata.level().as_str());
        event.record(&mut fields);
        fields.text("target", metadata.target());
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

    fn text(&mut self, name: &str, value: &str) {
        if has_to_be_escaped(value.as_bytes()) {
            return self.put(name, value);
        }
        for part in [",\"", name, "\":\"", value, "\""] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }
}

/// RFC 8259, section 7; nearly always nothing has to. It looks at all bytes, without a branch, which is several at a time.
fn has_to_be_escaped(text: &[u8]) -> bool {
    text.iter().fold(false, |found, byte| found | (*byte < b' ') | (*byte == b'"') | (*byte == b'\\'))
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
        self.text(field.name(), value);
    }

    /// A value given by `%` is shown as its `Display`.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let length = self.0.len();
        for part in [",\"", field.name(), "\":\""] {
            self.0.extend_from_slice(part.as_bytes());
        }
        let start = self.0.len();
        // A vector takes all that is written to it.
        let _ = write!(self.0, "{value:?}");
        if has_to_be_escaped(&self.0[start..]) {
            let text = String::from_utf8_lossy(&self.0[start..]).into_owned();
            self.0.truncate(length);
            return self.put(field.name(), text);
        }
        self.0.push(b'"');
    }
}
