//! Logs: one line an event, as text for people or JSON for machines, always on standard error, so that what a command prints on
//! standard output stays clean. Lines gather in a buffer (`buffer.rs`); text fields are escaped (`escape.rs`), JSON is written by `json.rs`.

mod buffer;
mod escape;
mod json;

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::panic;
use std::str::FromStr;

use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt as _;

pub use buffer::Guard;

/// What is logged: a level (`info`), or a level and exceptions by module (`info,gateway=debug`).
#[derive(Clone, Debug, PartialEq)]
pub struct Levels(Targets);

impl FromStr for Levels {
    type Err = UnknownLevel;

    /// Stricter than `Targets`, which takes a misspelt level for a module's name.
    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let mut targets = Targets::new().with_default(LevelFilter::INFO);
        for part in text.split(',').map(str::trim) {
            targets = match part.split_once('=') {
                Some((module, text)) if !module.is_empty() => {
                    targets.with_target(module.trim(), level(text)?)
                }
                Some(_) => return Err(UnknownLevel),
                None => targets.with_default(level(part)?),
            };
        }
        Ok(Self(targets))
    }
}

fn level(text: &str) -> Result<LevelFilter, UnknownLevel> {
    match text.trim().to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" | "warning" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err(UnknownLevel),
    }
}

/// The text names no level.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a level is one of off, error, warn, info, debug, trace")]
pub struct UnknownLevel;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging for the whole process; without a format, text on a terminal and JSON elsewhere. Keep the guard until the end:
/// its drop writes what is still buffered.
///
/// # Errors
/// When logging runs already, or the thread that writes the lines can't be started.
pub fn init(levels: Levels, format: Option<Format>) -> io::Result<Guard> {
    let terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { Format::Text } else { Format::Json });
    let (guard, lines) = buffer::start(io::stderr(), terminal)?;
    match format {
        Format::Text => tracing::subscriber::set_global_default(text(levels, terminal, lines)),
        Format::Json => tracing::subscriber::set_global_default(json(levels, lines)),
    }
    .map_err(io::Error::other)?;
    panic::set_hook(Box::new(log_panic));
    Ok(guard)
}

fn text<W>(levels: Levels, colours: bool, lines: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_timer(Utc)
        .with_ansi(colours)
        .fmt_fields(escape::fields())
        .with_writer(lines);
    tracing_subscriber::registry().with(levels.0).with(layer)
}

fn json<W>(levels: Levels, lines: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::registry().with(levels.0).with(json::JsonLines(lines))
}

/// A panic becomes one line like any other, where the default hook would put several between the JSON lines.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "panic: {}", panic.payload_as_str().unwrap_or("without a message"));
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// RFC 3339 in UTC with milliseconds.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3}", now())
    }
}

#[cfg(test)]
mod tests;
