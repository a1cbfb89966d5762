use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use super::{Levels, UnknownLevel, buffer, json, text};

/// An output that hands each write over as one message, so a test sees the batches.
#[derive(Debug)]
struct Batches(Sender<String>);

impl Write for Batches {
    fn write(&mut self, batch: &[u8]) -> io::Result<usize> {
        self.0.send(String::from_utf8_lossy(batch).into_owned()).map_err(io::Error::other)?;
        Ok(batch.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What reaches the output at all comes within this time, however busy the machine is.
const LONG: Duration = Duration::from_secs(20);

fn output(at_once: bool) -> (buffer::Guard, buffer::Lines<Batches>, Receiver<String>) {
    let (sender, batches) = mpsc::channel();
    let (guard, lines) = buffer::start(Batches(sender), at_once).unwrap();
    (guard, lines, batches)
}

fn levels(text: &str) -> Levels {
    text.parse().unwrap()
}

#[test]
fn lines_go_out_together_when_the_guard_drops() {
    let (guard, lines, batches) = output(false);
    tracing::subscriber::with_default(text(levels("info"), false, lines), || {
        tracing::info!("one");
        tracing::info!("two");
        tracing::debug!("unseen");
        drop(guard);
        tracing::info!("late");
    });
    let all: Vec<String> = batches.iter().collect();
    assert_eq!(all.concat().lines().count(), 3);
    assert!(all.last().unwrap().contains("late"));
}

#[test]
fn a_lone_line_goes_out_by_itself() {
    let (_guard, lines, batches) = output(false);
    tracing::subscriber::with_default(text(levels("info"), false, lines), || {
        tracing::info!("alone");
        assert!(batches.recv_timeout(LONG).unwrap().contains("alone"));
        tracing::info!("again");
        assert!(batches.recv_timeout(LONG).unwrap().contains("again"));
    });
}

#[test]
fn a_line_after_a_warning_goes_out_by_itself() {
    let (_guard, lines, batches) = output(false);
    tracing::subscriber::with_default(text(levels("info"), false, lines), || {
        for number in 0..3 {
            tracing::info!(number, "before");
            tracing::warn!("at once");
            tracing::info!(number, "lone");
            let mut seen = String::new();
            while !seen.contains("lone") {
                seen += &batches.recv_timeout(LONG).unwrap();
            }
        }
    });
}

#[test]
fn warnings_and_full_batches_are_written_by_the_thread_that_logs() {
    let (_guard, lines, batches) = output(false);
    tracing::subscriber::with_default(text(levels("info"), false, lines), || {
        tracing::warn!("careful");
        assert!(batches.try_recv().unwrap().contains("careful"));
        let long = "x".repeat(40 * 1024);
        tracing::info!(long);
        assert!(batches.try_recv().unwrap().contains(&long));
    });
}

#[test]
fn a_terminal_sees_each_line_at_once() {
    let (_guard, lines, batches) = output(true);
    tracing::subscriber::with_default(text(levels("info"), true, lines), || {
        tracing::info!("now");
        assert!(batches.try_recv().unwrap().contains("now"));
    });
}

#[test]
fn a_text_line_stays_one_line() {
    let (guard, lines, batches) = output(false);
    tracing::subscriber::with_default(text(levels("info"), false, lines), || {
        let hostile = "x\r\nFAKE \u{1b}[31mline";
        let span = tracing::info_span!("request", path = %hostile);
        span.in_scope(|| tracing::info!(plain = hostile, shown = %hostile, count = 7, "message {hostile}"));
    });
    drop(guard);
    let line = batches.iter().collect::<String>();
    assert_eq!(line.matches(['\n', '\r', '\u{1b}']).count(), 1, "{line:?}");
    assert!(line.contains(r"message x\r\nFAKE") && line.contains("count=7"), "{line}");
    let (time, _) = line.trim_start().split_once(' ').unwrap();
    assert!(time.len() == 24 && time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{time}");
}

#[test]
fn a_json_line_is_one_object_with_its_fields_at_the_top() {
    let (guard, lines, batches) = output(false);
    tracing::subscriber::with_default(json(levels("info"), lines), || {
        tracing::info!(status = 201, path = "/or\nders", "request");
    });
    drop(guard);
    let line = batches.iter().collect::<String>();
    assert_eq!(line.matches('\n').count(), 1, "{line:?}");
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["level"], "INFO");
    assert_eq!(object["message"], "request");
    assert_eq!(object["status"], 201);
    assert_eq!(object["path"], "/or\nders");
}

#[test]
fn levels_are_read_strictly() {
    for good in ["info", "WARN", "off", "info,gateway=debug", "debug, db=off"] {
        assert!(good.parse::<Levels>().is_ok(), "{good}");
    }
    for bad in ["", "inof", "info,", "gateway", "=info", "gateway=loud"] {
        assert_eq!(bad.parse::<Levels>(), Err(UnknownLevel), "{bad}");
    }
}

#[test]
fn a_module_can_have_a_level_of_its_own() {
    let (guard, lines, batches) = output(false);
    tracing::subscriber::with_default(text(levels("warn,noisy=debug"), false, lines), || {
        tracing::info!("hidden");
        tracing::debug!(target: "noisy::part", "shown");
    });
    drop(guard);
    let all = batches.iter().collect::<String>();
    assert!(all.contains("shown") && !all.contains("hidden"), "{all}");
}
