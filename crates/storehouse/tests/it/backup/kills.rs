use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{back_up, content_of, empty_place, file_of, restore};
use crate::crash::rounds;
use crate::harness::{Engine, Site, TestDatabase, each_engine, postgres_server};
use crate::load::{Dice, check_database};
use crate::process::commands::said;

/// A business that takes a moment to copy.
async fn business(engine: Engine) -> (TestDatabase, Site) {
    let (database, site) = empty_place(engine).await;
    said(&site.run(&["demo", "--days", "3"]));
    (database, site)
}

/// Runs a command to its end and says how long that took.
fn time(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    begun.elapsed()
}

/// Starts a command and ends it with SIGKILL somewhere within that time.
fn kill_within(mut command: Command, time: Duration, dice: &mut Dice) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let millis = u64::try_from(time.as_millis()).unwrap().max(1);
    std::thread::sleep(Duration::from_millis(dice.under(millis) as u64));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What a place is after something that fills it was killed: nothing at all, refused, or whole.
async fn check_place(place: &TestDatabase, site: &Site, whole: &[String]) -> bool {
    let output = site.run(&["verify"]);
    let said = String::from_utf8(output.stderr).unwrap();
    if output.status.success() {
        assert_eq!(content_of(place).await, whole, "what may be used is whole");
        return true;
    }
    let is_empty = said.contains("there is no database") || said.contains("can't read the database");
    assert!(is_empty || said.contains("not finished"), "{said}");
    if said.contains("not finished") || place.engine == Engine::Sqlite && unfinished(place).exists() {
        for arguments in [&[][..], &["migrate"], &["backup", "no.backup"]] {
            let line = site.refusal(arguments);
            assert!(line.contains("not finished"), "{line}");
        }
    }
    false
}

fn unfinished(place: &TestDatabase) -> std::path::PathBuf {
    file_of(place).with_extension("db.unfinished")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_killed_leaves_no_file_of_its_name_and_the_next_one_is_good() {
    each_engine(&[], async |unused| {
        let ((database, site), mut dice) = (business(unused.engine).await, Dice::new());
        let whole = content_of(&database).await;
        let first = site.path("first.backup");
        let first_time = time(&mut site.command(&["backup", first.to_str().unwrap()]));
        let file = site.path("a.backup");
        for _ in 0..rounds().0 {
            kill_within(site.command(&["backup", file.to_str().unwrap()]), first_time, &mut dice);
            assert_eq!(content_of(&database).await, whole);
            if !file.exists() {
                back_up(&site, "a.backup");
            }
            let (copy, other) = empty_place(unused.engine).await;
            restore(&other, &file);
            assert_eq!(content_of(&copy).await, whole, "what has the name is whole");
            fs::remove_file(&file).unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_is_killed_leaves_nothing_that_may_be_used_and_is_begun_again() {
    each_engine(&[], async |unused| {
        let ((database, site), mut dice) = (business(unused.engine).await, Dice::new());
        let whole = content_of(&database).await;
        let file = back_up(&site, "a.backup");
        let (_first, other) = empty_place(unused.engine).await;
        let first_time = time(&mut other.command(&["restore", file.to_str().unwrap()]));
        for _ in 0..rounds().0 {
            let (copy, other) = empty_place(unused.engine).await;
            kill_within(other.command(&["restore", file.to_str().unwrap()]), first_time, &mut dice);
            if !check_place(&copy, &other, &whole).await {
                restore_when_free(&other, &file);
            }
            assert_eq!(content_of(&copy).await, whole);
            check_database(copy.url()).await;
        }
    })
    .await;
}

/// A server sees only after a moment that who was killed is gone.
fn restore_when_free(site: &Site, file: &Path) {
    run_when_free(site, &["restore", file.to_str().unwrap()]);
}

fn run_when_free(site: &Site, arguments: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let output = site.run(arguments);
        if output.status.success() {
            return;
        }
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("by another command") && Instant::now() < deadline, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_killed_leaves_the_source_as_it_was_and_is_begun_again() {
    if postgres_server().is_none() {
        return;
    }
    let ((source, site), mut dice) = (business(Engine::Sqlite).await, Dice::new());
    let (whole, bytes) = (content_of(&source).await, fs::read(file_of(&source)).unwrap());
    let first = TestDatabase::new(Engine::Postgres, &[]).await;
    let first_time = time(&mut site.command(&["migrate-to", first.url()]));
    for _ in 0..rounds().0 {
        let (target, other) = empty_place(Engine::Postgres).await;
        kill_within(site.command(&["migrate-to", target.url()]), first_time, &mut dice);
        assert_eq!(fs::read(file_of(&source)).unwrap(), bytes);
        if !check_place(&target, &other, &whole).await {
            run_when_free(&site, &["migrate-to", target.url()]);
        }
        assert_eq!(content_of(&target).await, whole);
        check_database(target.url()).await;
    }
    assert_eq!(fs::read(file_of(&source)).unwrap(), bytes);
    check_database(source.url()).await;
}
