//! The program with and without a mail server.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Site, eventually};

#[tokio::test]
async fn in_development_a_mail_is_a_file_that_the_log_names() {
    let site = Site::new(None);
    let process = site.start().await;
    assert!(
        process.banner().contains("  mail      not sent, but written to ./data/mail\n"),
        "{}",
        process.banner()
    );
    let (mut ada, _) = process.connect().await.register("ada").await;
    let files = || -> Vec<PathBuf> {
        let entries = fs::read_dir(site.path("data/mail")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().unwrap() == "eml").collect()
    };
    eventually("the mail is written", async || files().len() == 1).await;
    let file = files().remove(0);
    eventually("the log tells", async || process.log().contains("a mail was sent")).await;
    let (text, name) = (fs::read_to_string(&file).unwrap(), file.file_name().unwrap().to_str().unwrap());
    let json = text.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{text}"));
    let body: Value = serde_json::from_str(json).unwrap();
    let log = process.log();
    assert!(log.contains(&format!("data/mail/{name}")), "{log}");
    assert!(!log.contains(body["token"].as_str().unwrap()) && !log.contains("ada@example.com"), "{log}");
    assert_eq!(ada.post("/auth/email/verify", &body).await.unwrap().status, 204);
    let verified = ada.get("/users/me").await.unwrap().expect(200).json()["email_verified"].clone();
    assert_eq!(verified, json!(true));
}

#[tokio::test]
async fn in_production_without_a_server_none_is_sent_which_is_said_at_the_start() {
    let site = || {
        let site = Site::new(None).with("ENVIRONMENT", "production").with("HOST", "127.0.0.1");
        site.with("JWT_SECRET", "b7e1f05c9d3a4e68812f6c0d5a9b37e4c2d8f1a6")
    };
    let told = site().with("LOW_STOCK_EMAILS", "ada@example.com").refusal(&[]);
    assert!(told.contains("LOW_STOCK_EMAILS") && told.contains("SMTP_URL"), "{told}");
    let site = site();
    let process = site.start().await;
    assert!(
        process.banner().contains("  mail      none is sent, since SMTP_URL is not set\n"),
        "{}",
        process.banner()
    );
    assert_eq!(process.log().matches("no mail is sent").count(), 1, "{}", process.log());
    let checked = String::from_utf8(site.run(&["check"]).stdout).unwrap();
    assert!(checked.ends_with("\nMail: none is sent, since SMTP_URL is not set\n"), "{checked}");
    process.connect().await.register("ada").await;
    assert!(!site.path("data/mail").exists());
}
