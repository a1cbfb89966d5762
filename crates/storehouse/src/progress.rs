//! How far a long command is: a bar on a terminal; elsewhere a line now and then, and none where it is done soon.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

/// How long one waits for a line.
const QUIET: Duration = Duration::from_secs(10);

const OF_KNOWN: &str = "{msg} [{bar:30}] {percent}%, {eta} left";
const OF_UNKNOWN: &str = "{msg} {spinner} {pos}";

/// Shows how far a command is, on standard error, which a program that reads its output doesn't see. It goes away at the end.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Shown>>);

enum Shown {
    Bar(ProgressBar),
    /// When the last line was said.
    Lines(Instant),
}

impl Progress {
    pub(crate) fn new() -> Self {
        let shown = if io::stderr().is_terminal() {
            Shown::Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
        } else {
            Shown::Lines(Instant::now())
        };
        Self(Arc::new(Mutex::new(shown)))
    }

    /// Says what is done, how much of it, and of how much, where that is known.
    pub(crate) fn show(&self, doing: &str, done: u64, of: Option<u64>) {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Shown::Bar(bar) => show_bar(bar, doing, done, of),
            Shown::Lines(said) if said.elapsed() >= QUIET => {
                *said = Instant::now();
                say(doing, done, of);
            }
            Shown::Lines(_) => {}
        }
    }

    /// For the database, which tells it the same.
    pub(crate) fn of_database(&self) -> db::Progress {
        let progress = self.clone();
        Arc::new(move |doing, done, of| progress.show(doing, done, of))
    }

    /// Takes it away, so that what is said next stands alone.
    pub(crate) fn clear(&self) {
        if let Shown::Bar(bar) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.finish_and_clear();
        }
    }
}

fn show_bar(bar: &ProgressBar, doing: &str, done: u64, of: Option<u64>) {
    if bar.message() != doing {
        let style = ProgressStyle::with_template(if of.is_some() { OF_KNOWN } else { OF_UNKNOWN });
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(doing.to_owned());
        bar.reset_eta();
    }
    if let Some(of) = of {
        // What is told of a size is an estimate.
        bar.set_length(of.max(done));
    }
    bar.set_position(done);
}

/// If it can't be written nobody misses it.
fn say(doing: &str, done: u64, of: Option<u64>) {
    let line = match of {
        Some(of) => format!("{doing}: {}%", done.saturating_mul(100) / of.max(done).max(1)),
        None => format!("{doing}: {done}"),
    };
    drop(writeln!(io::stderr(), "{line}"));
}
