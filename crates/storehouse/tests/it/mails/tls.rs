//! Mail servers over TLS: whose certificates are believed.

use std::fs;

use kit::mail::{Letter, Mail as _, MailError, Smtp};
use kit::outgoing::Authorities;
use tokio_rustls::rustls::ServerConfig;
use uuid::Uuid;

use super::receiver::{Encryption, Receiver};
use crate::harness::{Authority, Site, eventually};

const HERE: &str = "127.0.0.1";
const WAYS: [fn(ServerConfig) -> Encryption; 2] = [Encryption::Tls, Encryption::StartTls];

/// What becomes of a mail to this receiver.
async fn send(receiver: &Receiver, authorities: &Authorities) -> Result<(), MailError> {
    let from = "storehouse@example.com".parse().unwrap();
    let smtp = Smtp::new(&receiver.url().parse().ok().unwrap(), from, authorities).unwrap();
    let letter = Letter {
        id: Uuid::now_v7(),
        to: "ada@example.com".parse().unwrap(),
        subject: "Hello".to_owned(),
        text: "A secret.".to_owned(),
        date: kit::clock::Timestamp(0),
    };
    smtp.send(&letter).await
}

#[tokio::test]
async fn a_mail_server_is_believed_by_its_authority_and_its_name() {
    let (ours, strange) = (Authority::new("Ours"), Authority::new("Strange"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    fs::write(&file, ours.pem()).unwrap();
    let authorities = Authorities::with_file(&file).unwrap();
    let refused = Err(MailError::NotSent("no connection to the mail server, or none that is safe".into()));
    for way in WAYS {
        let good = Receiver::start_with(way(ours.server(HERE, |_| {}))).await;
        assert_eq!(send(&good, &Authorities::default()).await, refused, "the authority is nobody's yet");
        assert_eq!(send(&good, &authorities).await, Ok(()));
        assert_eq!(good.taken().len(), 1);
        for config in [strange.server(HERE, |_| {}), ours.server("mail.example.com", |_| {})] {
            let receiver = Receiver::start_with(way(config)).await;
            assert_eq!(send(&receiver, &authorities).await, refused);
            assert!(receiver.arrived().is_empty(), "nothing was told to it");
        }
    }
}

#[tokio::test]
async fn a_setting_names_the_mail_servers_authority() {
    let ours = Authority::new("Ours");
    for way in WAYS {
        let receiver = Receiver::start_with(way(ours.server(HERE, |_| {}))).await;
        let site = Site::new(None).with("SMTP_URL", &receiver.url());
        let site = site.with("MAIL_FROM", "storehouse@example.com").with("OUTGOING_CA_FILE", "authority.pem");
        fs::write(site.path("authority.pem"), ours.pem()).unwrap();
        let process = site.start().await;
        process.connect().await.register("ada").await;
        eventually("the mail comes", async || receiver.taken().len() == 1).await;
        eventually("the log tells", async || process.log().contains("a mail was sent")).await;
    }
}
