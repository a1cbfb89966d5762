//! How the process and its disk are: read when somebody asks, from Linux's `/proc`; elsewhere these series are absent.

use std::fs;
use std::path::Path;

use ::metrics::Text;
use rustix::process::Resource;

/// What Prometheus's own libraries tell of a process, under the same names.
pub fn process(text: &mut Text) {
    if let Some(stat) = Stat::read() {
        stat.write(text);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // One of them reads this folder.
        let open = files.count().saturating_sub(1);
        text.gauge("process_open_fds", "Open files and connections.", &[], open as f64);
    }
    if let Some(most) = rustix::process::getrlimit(Resource::Nofile).current {
        let help = "How many files and connections may be open.";
        text.gauge("process_max_fds", help, &[], most as f64);
    }
}

/// Which version runs.
pub fn build_info(version: &'static str, text: &mut Text) {
    text.gauge("storehouse_build_info", "The version that runs; always 1.", &[("version", version)], 1.0);
}

/// How much room the disk has that holds this folder.
pub fn free_disk(folder: &Path, text: &mut Text) {
    if let Ok(disk) = rustix::fs::statvfs(folder) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let help = "Free bytes on the disk of the data folder.";
        text.gauge("storehouse_data_free_bytes", help, &[], free as f64);
    }
}

/// What `/proc/self/stat` says (proc_pid_stat(5)).
struct Stat {
    /// Of user and system, in ticks.
    cpu: u64,
    threads: u64,
    /// In ticks since the machine's start.
    started: u64,
    resident_pages: u64,
    /// The machine's start, in seconds since 1970.
    boot: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        let (process, machine) =
            (fs::read_to_string("/proc/self/stat").ok()?, fs::read_to_string("/proc/stat").ok()?);
        Self::parse(&process, &machine)
    }

    fn parse(process: &str, machine: &str) -> Option<Self> {
        // The second field, the program's name in brackets, may hold anything.
        let (_, rest) = process.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let boot = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        Some(Self {
            cpu: field(14)? + field(15)?,
            threads: field(20)?,
            started: field(22)?,
            resident_pages: field(24)?,
            boot,
        })
    }

    fn write(&self, text: &mut Text) {
        let second = rustix::param::clock_ticks_per_second().max(1) as f64;
        let resident = self.resident_pages as f64 * rustix::param::page_size() as f64;
        let started = self.boot as f64 + self.started as f64 / second;
        text.exact_counter(
            "process_cpu_seconds_total",
            "Processor time of user and system, in seconds.",
            &[],
            self.cpu as f64 / second,
        );
        text.gauge("process_resident_memory_bytes", "Memory in use, in bytes.", &[], resident);
        text.gauge("process_start_time_seconds", "When it started, in seconds since 1970.", &[], started);
        text.gauge("process_threads", "Threads of the operating system.", &[], self.threads as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_can_hold_anything() {
        let process = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 300 50 0 0 20 0 12 0 1000 4096 25 0";
        let stat = Stat::parse(process, "cpu 1 2\nbtime 1700000000\nprocesses 1\n").unwrap();
        let found = (stat.cpu, stat.threads, stat.started, stat.resident_pages, stat.boot);
        assert_eq!(found, (350, 12, 1000, 25, 1_700_000_000));
        assert!(Stat::parse("7 (a) S 1", "btime 1").is_none() && Stat::parse(process, "").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_told_of() {
        let mut text = Text::default();
        process(&mut text);
        free_disk(Path::new("/"), &mut text);
        free_disk(Path::new("/no/such/folder"), &mut text);
        let text = text.finish();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_start_time_seconds",
            "process_threads",
            "process_open_fds",
            "storehouse_data_free_bytes",
        ] {
            let series: Vec<&str> = text.lines().filter(|line| line.starts_with(name)).collect();
            assert_eq!(series.len(), 1, "{name}: {text}");
        }
    }
}
