//! Receivers over TLS: whose certificates are believed, and what is said of the others.

use std::fs;

use kit::outgoing::Authorities;
use rcgen::{CertificateParams, date_time_ymd};
use serde_json::{Value, json};
use storehouse::migrations::MIGRATIONS;
use uuid::Uuid;

use super::receiver::Receiver;
use super::{Hook, happen, stored};
use crate::harness::{App, Authority, Site, each_engine, eventually};

/// A receiver with a certificate of this authority.
async fn receiver(
    authority: &Authority,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> Receiver {
    Receiver::start_secure(authority.server(name, change)).await
}

#[tokio::test]
async fn a_certificate_is_believed_by_its_authority_its_time_and_its_name() {
    each_engine(MIGRATIONS, async |database| {
        let (ours, strange) = (Authority::new("Ours"), Authority::new("Strange"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authority.pem");
        fs::write(&file, ours.pem()).unwrap();
        let authorities = Authorities::with_file(&file).unwrap();
        let app = App::with(database, |options| options.authorities = authorities).await;
        let admin = app.admin("admin").await;
        let here = "127.0.0.1";
        let good = receiver(&ours, here, |_| {}).await;
        let hook = Hook::add(&admin, &good).await;
        happen(&app.db, &app.clock, Uuid::now_v7(), 1).await;
        assert_eq!(good.expect(1).await[0].number(), 1);
        eventually("it is taken", async || stored(&app.db, hook.id).await[0].status == "delivered").await;
        admin.delete(&hook.path).await.expect(204);
        for (receiver, told) in [
            (receiver(&strange, here, |_| {}).await, "the certificate's authority isn't trusted here"),
            (
                receiver(&ours, here, |params| params.not_after = date_time_ymd(2020, 1, 1)).await,
                "the certificate has expired, or isn't valid yet",
            ),
            (
                receiver(&ours, here, |params| params.not_before = date_time_ymd(3000, 1, 1)).await,
                "the certificate has expired, or isn't valid yet",
            ),
            (receiver(&ours, "shop.example.com", |_| {}).await, "the certificate is another host's"),
        ] {
            let told = format!("no safe connection: {told}");
            let hook = Hook::add(&admin, &receiver).await;
            let tested = admin.post(&format!("{}/test", hook.path), json!({})).await.expect(200).json();
            assert_eq!((&tested["delivered"], &tested["error"]), (&json!(false), &json!(told)));
            happen(&app.db, &app.clock, Uuid::now_v7(), 1).await;
            let log = async || -> Value {
                admin.get(&format!("{}/deliveries", hook.path)).await.expect(200).json()["items"][0].clone()
            };
            eventually("the log tells it", async || log().await["last_error"] == told).await;
            assert!(receiver.messages().is_empty(), "nothing was told to it");
            admin.delete(&hook.path).await.expect(204);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_names_authorities_of_ones_own() {
    let ours = Authority::new("Ours");
    let (receiver, site) = (receiver(&ours, "127.0.0.1", |_| {}).await, Site::new(None));
    let site = site.with("OUTGOING_CA_FILE", "authority.pem");
    assert!(site.refusal(&[]).contains("can't use OUTGOING_CA_FILE, authority.pem"));
    for (text, told) in [
        ("nothing of the kind", "it holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "it holds what is no certificate"),
    ] {
        fs::write(site.path("authority.pem"), text).unwrap();
        let line = site.refusal(&[]);
        assert!(line.contains(told), "{line}");
    }
    fs::write(site.path("authority.pem"), ours.pem()).unwrap();
    let process = site.start().await;
    let (mut wire, _) = process.connect().await.register("boss").await;
    let body = json!({"url": receiver.url(), "types": ["stock.low"]});
    let hook = wire.post("/webhooks", &body).await.unwrap().expect(201).json();
    let path = format!("/webhooks/{}/test", hook["id"].as_str().unwrap());
    let tested = wire.post(&path, &json!({})).await.unwrap().expect(200).json();
    assert_eq!((&tested["delivered"], receiver.messages().len()), (&json!(true), 1), "{tested}");
}
