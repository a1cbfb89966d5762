use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use storehouse::migrations::MIGRATIONS;
use storehouse::nightly::Plan;
use storehouse::system::Options;
use tempfile::TempDir;

use super::{empty_place, restore};
use crate::harness::{App, TestDatabase, each_engine, eventually};
use crate::metrics::scrape::Scrape;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn nightly(database: &TestDatabase, folder: &Path, keep: usize) -> impl Fn(&mut Options) {
    let plan = Plan {
        url: database.url().parse().unwrap(),
        folder: folder.to_owned(),
        time: Duration::from_secs(9000),
        keep,
    };
    move |options| options.nightly = Some(plan.clone())
}

/// The backups in the folder, the oldest first.
fn backups(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("storehouse-") && name.ends_with(".backup")
    };
    let mut found: Vec<PathBuf> = entries.filter(is_ours).collect();
    found.sort();
    found
}

/// One of the processes makes it, at its next look or now.
async fn until(app: &App, what: &str, is_so: impl Fn() -> bool) {
    eventually(what, async || {
        app.back_up_if_due().await;
        is_so()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_night_one_process_makes_a_backup_and_the_oldest_go() {
    each_engine(MIGRATIONS, async |database| {
        let folder = TempDir::new().unwrap();
        let folder = folder.path().join("backups");
        // Four processes with a database, one folder.
        let app = App::split_with(database, nightly(database, &folder, 3)).await;
        app.stop_work();
        for night in 1..=5 {
            app.customer(&format!("customer{night}")).await;
            let before = backups(&folder);
            until(&app, "a backup is made", || backups(&folder).last() != before.last()).await;
            app.back_up_if_due().await;
            let after = backups(&folder);
            assert_eq!(after.len(), night.min(3), "{after:?}");
            app.clock.advance(DAY);
        }
        fs::write(folder.join("storehouse-2020-01-01T00-00-00Z.backup.unfinished"), "of a killed process")
            .unwrap();
        fs::write(folder.join("storehouse-2099-01-01T00-00-00Z.backup"), "no backup at all").unwrap();
        fs::write(folder.join("holiday.backup"), "somebody else's").unwrap();
        let good = backups(&folder);
        until(&app, "a sixth is made", || !good[0].exists()).await;
        let left = backups(&folder);
        assert_eq!(left.len(), 4, "three good ones, and one that is none: {left:?}");
        assert!(folder.join("holiday.backup").exists());
        assert!(!folder.join("storehouse-2020-01-01T00-00-00Z.backup.unfinished").exists());
        let newest = left.iter().rev().find(|path| !path.to_string_lossy().contains("2099")).unwrap();
        let (copy, site) = empty_place(database.engine).await;
        restore(&site, newest);
        let db = copy.open().await;
        let count: Result<i64, ::db::Error> = db
            .read((), |tx, ()| Box::pin(tx.one("SELECT COUNT(*) FROM accounts", &[], |row| row.get(0))))
            .await;
        assert_eq!(count.unwrap(), 5);
    })
    .await;
}

/// Its backups are of a time to come: they must neither pass for the newest, nor outlive those that are made after them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r17_a_clock_that_was_ahead_stops_no_backup() {
    each_engine(MIGRATIONS, async |database| {
        let folder = TempDir::new().unwrap();
        let app = App::with(database, nightly(database, folder.path(), 2)).await;
        app.stop_work();
        let year = 365 * 24 * 60 * 60;
        app.clock.set_by(year);
        for night in 1..=2 {
            until(&app, "one is made", || backups(folder.path()).len() == night).await;
            app.clock.advance(DAY);
        }
        let ahead = backups(folder.path());
        app.clock.set_by(-year);
        for kept in [1, 0, 0] {
            let before = backups(folder.path());
            until(&app, "one is made, which is older by its name", || backups(folder.path()) != before).await;
            app.back_up_if_due().await;
            let after = backups(folder.path());
            assert_eq!(after.len(), 2, "{after:?}");
            assert_eq!(after.iter().filter(|path| ahead.contains(path)).count(), kept, "{after:?}");
            app.clock.advance(DAY);
        }
        // An hour back: the night that it is again has had its backup.
        let before = backups(folder.path());
        until(&app, "the next night's is made", || backups(folder.path()) != before).await;
        let before = backups(folder.path());
        for jump in [-3600, 3600, -86_400, 86_400] {
            app.clock.set_by(jump);
            app.back_up_if_due().await;
            assert_eq!(backups(folder.path()), before, "{jump}");
        }
        // What failed is tried again after a while, however the clock is set meanwhile.
        let moved = folder.path().with_extension("moved");
        fs::rename(folder.path(), &moved).unwrap();
        fs::write(folder.path(), "").unwrap();
        app.clock.advance(DAY);
        app.back_up_if_due().await;
        fs::remove_file(folder.path()).unwrap();
        fs::rename(&moved, folder.path()).unwrap();
        app.clock.set_by(-3600);
        app.clock.advance(Duration::from_secs(16 * 60));
        app.clock.set_by(3600);
        app.back_up_if_due().await;
        assert_ne!(backups(folder.path()), before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn age_and_result_are_told_and_change_nothing_in_readiness() {
    each_engine(MIGRATIONS, async |database| {
        let folder = TempDir::new().unwrap();
        let app = App::with(database, nightly(database, folder.path(), 2)).await;
        let ready = async |service: &'static str| {
            app.nobody().request(Method::GET, "/health/ready").to(service).send().await.expect(200).json()
        };
        until(&app, "one is made", || backups(folder.path()).len() == 1).await;
        eventually("it is told", async || ready("orders").await["backup"]["made_at"].is_string()).await;
        app.stop_work();
        assert_eq!(ready("orders").await["backup"]["result"], "ok");
        assert!(app.nobody().get("/health").await.expect(200).json().get("backup").is_none());
        let scrape = Scrape::of(&app).await;
        assert_eq!(scrape.value(r#"storehouse_backups_total{outcome="ok"}"#), 1.0);
        assert!(scrape.value("storehouse_backup_size_bytes") > 1000.0);
        assert!(scrape.value("storehouse_backup_last_success_timestamp_seconds") > 1.7e9);
        // A file where the folder was: nothing can be written there.
        let moved = folder.path().with_extension("moved");
        fs::rename(folder.path(), &moved).unwrap();
        fs::write(folder.path(), "").unwrap();
        app.clock.advance(2 * DAY);
        app.back_up_if_due().await;
        for service in ["gateway", "orders"] {
            let told = ready(service).await;
            assert_eq!(told["backup"]["result"], "failed", "{told}");
            assert!(told["backup"]["age_seconds"].as_u64().unwrap() >= 2 * DAY.as_secs(), "{told}");
        }
        assert_eq!(Scrape::of(&app).await.value("storehouse_backup_failing"), 1.0);
        fs::remove_file(folder.path()).unwrap();
        fs::rename(&moved, folder.path()).unwrap();
        app.back_up_if_due().await;
        assert_eq!(backups(folder.path()).len(), 1, "it waits a while");
        app.clock.advance(Duration::from_secs(16 * 60));
        app.back_up_if_due().await;
        assert_eq!(backups(folder.path()).len(), 2);
        assert_eq!(ready("gateway").await["backup"]["result"], "ok");
        assert_eq!(Scrape::of(&app).await.value("storehouse_backup_failing"), 0.0);
    })
    .await;
}
