//! Disks that are small, or that refuse to sync.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::say;

/// A file system of 48 MiB in memory; unmounted at the end.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// Nothing, said aloud, where none may be mounted.
    pub(crate) fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["mount", "-t", "tmpfs", "-o", "size=48m,mode=0777", "none"];
        let tried = [&mount[..], &[&["sudo", "-n"], &mount[..]].concat()].into_iter().any(|command| {
            let (program, arguments) = command.split_first().unwrap();
            let status =
                Command::new(program).args(arguments).arg(folder.path()).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        });
        if !tried {
            say(
                "A FULL DISK WAS NOT TESTED: no file system may be mounted here (root, or sudo without a password, is needed)",
            );
        }
        tried.then(|| Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmount = |program: &[&str]| {
            let (program, arguments) = program.split_first().unwrap();
            Command::new(program)
                .args(arguments)
                .arg(self.0.path())
                .status()
                .is_ok_and(|status| status.success())
        };
        let _ = unmount(&["umount", "-l"]) || unmount(&["sudo", "-n", "umount", "-l"]);
    }
}

/// Stands before the system's own functions in a process that is started with it.
const FAULTY_SYNC: &str = r#"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int there(const char *name) {
    const char *file = getenv(name);
    return file != NULL && access(file, F_OK) == 0;
}
static int sync_it(void) {
    while (there("TEST_HOLD_SYNC")) usleep(1000);
    if (!there("TEST_REFUSE_SYNC")) return 0;
    errno = EIO;
    return -1;
}
int fsync(int file) {
    (void)file;
    if (!there("TEST_REFUSE_CHECKPOINT")) return sync_it();
    errno = EIO;
    return -1;
}
int fdatasync(int file) { (void)file; return sync_it(); }
"#;

/// Builds a library for `LD_PRELOAD`, with which a sync lasts while the file that `TEST_HOLD_SYNC` names is there, and fails while
/// that is which `TEST_REFUSE_SYNC` names. `TEST_REFUSE_CHECKPOINT` does so to `fsync` alone, by which SQLite syncs what it copies.
pub(crate) fn faulty_sync(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("sync.c"), folder.join("sync.so"));
    fs::write(&source, FAULTY_SYNC).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().unwrap();
    assert!(built.success());
    library
}
