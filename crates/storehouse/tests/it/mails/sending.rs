//! Whatever becomes of the mail server, each mail is sent, and no process sends what another one does.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use kit::mail::Folder;
use serde_json::json;
use storehouse::system::MailOptions;
use uuid::Uuid;

use super::receiver::{Act, Receiver};
use super::{ask, sent_by, sent_to, waiting};
use crate::harness::goods::Goods;
use crate::harness::{App, each_engine, eventually};
use crate::metrics::scrape::Scrape;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Runs a test against a system that sends its mails to a receiver; there is a product to tell of.
async fn each_sending_app(test: impl AsyncFn(&App, &Receiver, Uuid)) {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let receiver = Receiver::start().await;
        let app = App::with(database, sent_to(&receiver)).await;
        let product = Goods::new("LAMP", 3).add_to(&app.db).await;
        test(&app, &receiver, product).await;
    })
    .await;
}

/// How many attempts have ended so.
async fn ended(app: &App, outcome: &str) -> f64 {
    let scrape = Scrape::of(app).await;
    scrape
        .series
        .get(&format!("storehouse_mails_total{{outcome=\"{outcome}\"}}"))
        .copied()
        .unwrap_or_default()
}

#[tokio::test]
async fn what_was_not_taken_is_sent_again_later_and_later() {
    each_sending_app(async |app, receiver, product| {
        receiver.next([Act::Refuse(451), Act::HangUp, Act::Refuse(554), Act::RefuseRecipient(450)]);
        ask(&app.db, "ada@example.com", product, app.clock.now()).await;
        for (attempt, delay) in [1, 2, 5, 10].into_iter().enumerate() {
            let attempts = attempt + 1;
            eventually("an attempt's outcome is stored", async || {
                ended(app, "retried").await == attempts as f64
            })
            .await;
            assert_eq!(waiting(&app.db).await, (1, attempts as i64));
            app.clock.advance(Duration::from_secs(delay * MINUTE));
        }
        eventually("it is sent", async || waiting(&app.db).await == (0, 0)).await;
        let mails = receiver.arrived();
        assert_eq!((mails.len(), receiver.taken().len()), (4, 1), "of one no more than the address arrived");
        let ids: HashSet<String> = mails.iter().map(|mail| mail.header("Message-ID")).collect();
        assert_eq!(ids.len(), 1, "the same mail each time");
        eventually("each attempt is counted", async || {
            (ended(app, "retried").await, ended(app, "sent").await) == (4.0, 1.0)
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_mail_is_given_up_after_a_day_and_one_to_nobody_at_once() {
    each_sending_app(async |app, receiver, product| {
        receiver.next([Act::RefuseRecipient(550)]);
        ask(&app.db, "nobody@example.com", product, app.clock.now()).await;
        eventually("it is given up", async || ended(app, "given_up").await == 1.0).await;
        assert_eq!(waiting(&app.db).await, (0, 0));
        receiver.next([Act::Refuse(451); 30]);
        ask(&app.db, "ada@example.com", product, app.clock.now()).await;
        let mut attempts = 0.0;
        while ended(app, "given_up").await < 2.0 {
            eventually("an attempt's outcome is stored", async || {
                ended(app, "retried").await + ended(app, "given_up").await > attempts + 1.0
            })
            .await;
            attempts += 1.0;
            app.clock.advance(Duration::from_secs(4 * HOUR));
        }
        assert_eq!(waiting(&app.db).await, (0, 0));
        assert!((5.0..12.0).contains(&attempts), "{attempts} attempts in a day, the longest pause each time");
        assert_eq!(receiver.taken().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn several_processes_send_each_mail_once() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let receiver = Receiver::start().await;
        let apps =
            [App::with(database, sent_to(&receiver)).await, App::with(database, sent_to(&receiver)).await];
        let product = Goods::new("LAMP", 3).add_to(&apps[0].db).await;
        for number in 0..40 {
            ask(&apps[0].db, &format!("person-{number}@example.com"), product, apps[0].clock.now()).await;
        }
        eventually("all are sent", async || waiting(&apps[0].db).await == (0, 0)).await;
        let mails = receiver.taken();
        let recipients: HashSet<&str> = mails.iter().map(|mail| mail.to[0].as_str()).collect();
        assert_eq!((mails.len(), recipients.len()), (40, 40));
        eventually("each is counted once", async || {
            ended(&apps[0], "sent").await + ended(&apps[1], "sent").await == 40.0
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn what_a_process_was_about_when_it_ended_is_sent_by_the_next_as_the_same_mail() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let receiver = Receiver::start().await;
        let app = App::with(database, sent_to(&receiver)).await;
        let product = Goods::new("LAMP", 3).add_to(&app.db).await;
        receiver.next([Act::Stall]);
        ask(&app.db, "ada@example.com", product, app.clock.now()).await;
        receiver.expect(1).await;
        drop(app);
        let next = App::with(database, sent_to(&receiver)).await;
        assert_eq!(waiting(&next.db).await, (1, 1));
        next.clock.advance(Duration::from_secs(3 * MINUTE));
        eventually("it is sent", async || waiting(&next.db).await == (0, 0)).await;
        let ids: Vec<String> = receiver.arrived().iter().map(|mail| mail.header("Message-ID")).collect();
        assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    })
    .await;
}

#[tokio::test]
async fn a_process_that_ends_in_order_finishes_the_mail_under_way() {
    each_sending_app(async |app, receiver, product| {
        receiver.next([Act::Stall]);
        ask(&app.db, "ada@example.com", product, app.clock.now()).await;
        receiver.expect(1).await;
        let finishing = app.finish();
        receiver.flow();
        finishing.await;
        assert_eq!(waiting(&app.db).await, (0, 0));
        ask(&app.db, "ada@example.com", product, app.clock.now()).await;
        assert_eq!(waiting(&app.db).await, (1, 0), "nothing more is begun");
    })
    .await;
}

#[tokio::test]
async fn a_mail_server_may_ask_who_we_are_and_an_unsafe_way_is_not_taken() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let receiver = Receiver::start().await;
        let url = format!("smtp://app:p%40ss%20word@127.0.0.1:{}", receiver.port());
        let app = App::with(database, sent_by(url)).await;
        let product = Goods::new("LAMP", 3).add_to(&app.db).await;
        ask(&app.db, "ada@example.com", product, app.clock.now()).await;
        assert_eq!(receiver.expect(1).await[0].login.as_deref(), Some("app p@ss word"));
        eventually("it is sent", async || waiting(&app.db).await == (0, 0)).await;
        drop(app);
        // The receiver knows nothing of TLS.
        for url in
            [format!("smtps://127.0.0.1:{}", receiver.port()), format!("{}?tls=required", receiver.url())]
        {
            let app = App::with(database, sent_by(url)).await;
            ask(&app.db, "ada@example.com", product, app.clock.now()).await;
            eventually("it was tried", async || ended(&app, "retried").await >= 1.0).await;
            assert_eq!(receiver.arrived().len(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn in_parts_one_of_them_sends() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let receiver = Receiver::start().await;
        let app = App::split_with(database, sent_to(&receiver)).await;
        let ada = super::register(&app, "ada").await;
        let change = json!({"email": "countess@example.com", "current_password": "password123"});
        ada.put("/users/me", change).await.expect(200);
        super::mails_to(&receiver, "countess@example.com", super::CONFIRM, 1).await;
        super::mails_to(&receiver, "ada@example.com", super::EMAIL_CHANGED, 1).await;
        super::all_sent(&app).await;
        let ids: Vec<String> = receiver.arrived().iter().map(|mail| mail.header("Message-ID")).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "each once");
    })
    .await;
}

#[tokio::test]
async fn without_a_server_a_mail_is_a_file() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let folder = tempfile::tempdir().unwrap();
        let way = Folder::new(folder.path().to_owned(), "storehouse@localhost".parse().unwrap());
        let mail = MailOptions { way: Arc::new(way), low_stock_to: Vec::new(), public_url: None };
        let app = App::with(database, |options| options.mail = Some(mail)).await;
        let product = Goods::new("LAMP", 3).add_to(&app.db).await;
        ask(&app.db, "ada@example.com", product, app.clock.now()).await;
        eventually("it is written", async || waiting(&app.db).await == (0, 0)).await;
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [file] = files.as_slice() else { panic!("{files:?}") };
        let text = fs::read_to_string(file).unwrap();
        assert!(
            text.contains("To: ada@example.com\r\n") && text.contains("Subject: Low stock: LAMP\r\n"),
            "{text}"
        );
    })
    .await;
}

#[tokio::test]
async fn what_nobody_could_send_in_time_goes() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let db = database.open().await;
        let product = Goods::new("LAMP", 3).add_to(&db).await;
        let now = kit::clock::Clock::default().now();
        ask(&db, "ada@example.com", product, now).await;
        ask(&db, "bob@example.com", product, now.minus(Duration::from_secs(26 * HOUR))).await;
        let app = App::new(database).await;
        eventually("the old one is gone", async || waiting(&app.db).await.0 == 1).await;
    })
    .await;
}
