//! Other processes: the test binary itself, asked to run one ignored test.

use std::process::{Child, Command, Stdio};

use ::db::DatabaseUrl;

const ADDRESS: &str = "TEST_CHILD_DATABASE";

/// Starts one ignored test as a process of its own, on a database of this test.
pub(crate) fn start_child(test: &str, url: &str, variables: &[(&str, &str)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test, "--nocapture"])
        .env(ADDRESS, url)
        .envs(variables.iter().copied())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The database that a child was started on; nothing if somebody ran the ignored tests by hand.
pub(crate) fn child_address() -> Option<DatabaseUrl> {
    std::env::var(ADDRESS).ok().map(|url| url.parse().unwrap())
}
