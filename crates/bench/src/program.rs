//! Processes: starting and stopping them, and what they use of CPU and memory, as Linux tells it under `/proc`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::sleep;

/// Linux shows CPU time to programs in hundredths of a second, whatever it counts in itself.
const TICK: Duration = Duration::from_millis(10);

/// How long a program that is let go of has to end by itself: one built to learn where its time goes writes that down at its end.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// A running process; ended when dropped.
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it, with what it says in a file, as a service's output usually is.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let what = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("can't start {what}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `is_ready`; fails if the process ends before, or within ten seconds.
    pub(crate) async fn wait_until(&mut self, is_ready: impl AsyncFn() -> bool) -> Result<()> {
        let begun = Instant::now();
        while !is_ready().await {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended at once, {status}:\n{}", self.last_words());
            }
            ensure!(begun.elapsed() < Duration::from_secs(10), "not ready in 10 s:\n{}", self.last_words());
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n")
    }

    /// CPU time used so far, by all its threads.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu(self.id())
    }

    /// A line of `/proc/PID/status` in MiB: `VmRSS` is what it holds, `VmHWM` the most it held.
    pub(crate) fn memory(&self, name: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        kibibytes(&status, name).map(|kib| kib / 1024.0).with_context(|| format!("no {name} in /proc"))
    }

    /// SIGTERM, and its end; 35 seconds at most.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.terminate()?;
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(begun.elapsed() < Duration::from_secs(35), "it didn't stop:\n{}", self.last_words());
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Program {
    fn terminate(&self) -> Result<()> {
        let status = Command::new("kill").args(["-s", "TERM", &self.id().to_string()]).status()?;
        ensure!(status.success(), "can't stop process {}", self.id());
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let begun = Instant::now();
        let runs = matches!(self.child.try_wait(), Ok(None));
        if runs && self.terminate().is_ok() {
            while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < LAST_WORDS {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end, which must be a success.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let what = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("can't start {what}"))?;
    ensure!(output.status.success(), "{what} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// CPU time of one process.
fn cpu(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the process is gone")?;
    ticks(&stat).map(|ticks| TICK * ticks).context("no CPU time in /proc")
}

/// CPU time of this process.
pub(crate) fn own_cpu() -> Result<Duration> {
    cpu(std::process::id())
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Result<Duration> {
    let text =
        fs::read_to_string("/proc/thread-self/schedstat").context("no CPU time of threads in /proc")?;
    let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse().ok());
    nanoseconds.map(Duration::from_nanos).context("no CPU time of threads in /proc")
}

/// The process that started this one.
pub(crate) fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    fields(&stat)?.nth(1)?.parse().ok()
}

/// CPU time of all processes that this one has started and that still run.
pub(crate) fn cpu_of_children(process: u32) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for entry in fs::read_dir("/proc")? {
        // A process may end between being found and being read.
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
        let parent = fields(&stat).and_then(|mut fields| fields.nth(1)?.parse().ok());
        if parent == Some(process) {
            sum += TICK * ticks(&stat).unwrap_or_default();
        }
    }
    Ok(sum)
}

/// The fields of `/proc/PID/stat` from the third on; the second is a name that may hold anything.
fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace())
}

/// `utime` and `stime`, the 14th and 15th fields.
fn ticks(stat: &str) -> Option<u32> {
    let mut fields = fields(stat)?.skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    Some(next()? + next()?)
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 KiB")]
fn kibibytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_proc() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 120 30 0 0 20 0 3 0 100 1000 10";
        assert_eq!(ticks(stat), Some(150));
        assert_eq!(fields(stat).unwrap().nth(1), Some("1"));
        assert_eq!(kibibytes("VmPeak:\t  9 kB\nVmRSS:\t   2048 kB\n", "VmRSS"), Some(2048.0));
        assert!(thread_cpu().is_ok());
        assert!(own_cpu().is_ok());
    }

    #[tokio::test]
    async fn a_process_is_started_and_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("100");
        let mut program = Program::start(command, &folder.path().join("log")).unwrap();
        assert!(program.memory("VmHWM").unwrap() > 0.0 && program.cpu().is_ok());
        assert_eq!(parent(program.id()), Some(std::process::id()));
        assert!(cpu_of_children(std::process::id()).is_ok());
        program.stop().await.unwrap();
    }

    #[tokio::test]
    async fn one_that_ends_at_once_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such luck; exit 3"]);
        let mut program = Program::start(command, &folder.path().join("log")).unwrap();
        let error = program.wait_until(async || false).await.unwrap_err().to_string();
        assert!(error.contains("no such luck"), "{error}");
    }
}
