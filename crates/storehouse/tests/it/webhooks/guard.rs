//! Which addresses are never asked: those of the machine itself and of its neighbours, however they are written.

use serde_json::json;
use uuid::Uuid;

use super::receiver::Receiver;
use super::{Hook, happen, stored};
use crate::harness::{App, each_engine, eventually};

const REFUSED: &str = "the host's address is private or reserved, which the settings don't allow";

#[tokio::test]
async fn i05_a_private_address_is_refused_however_it_is_written() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let app = App::with(database, |options| options.webhook_networks = Vec::new()).await;
        let (admin, receiver) = (app.admin("admin").await, Receiver::start().await);
        let port = receiver.port();
        for (host, code) in [
            ("127.0.0.1", "address_refused"),
            ("127.255.255.254", "address_refused"),
            ("0.0.0.0", "address_refused"),
            ("10.0.0.1", "address_refused"),
            ("169.254.169.254", "address_refused"),
            ("[::1]", "address_refused"),
            ("[::]", "address_refused"),
            ("[::ffff:127.0.0.1]", "address_refused"),
            ("[::ffff:7f00:1]", "address_refused"),
            ("[64:ff9b::7f00:1]", "address_refused"),
            ("[2002:7f00:1::]", "address_refused"),
            ("[fd00::1]", "address_refused"),
            ("[fe80::1]", "address_refused"),
            ("2130706433", "invalid_url"),
            ("0x7f000001", "invalid_url"),
            ("0177.0.0.1", "address_refused"),
            ("0177.0.0.01", "address_refused"),
            ("127.1", "invalid_url"),
            ("127.0.0.1.", "invalid_url"),
        ] {
            let refused = admin.post("/webhooks", json!({"url": format!("http://{host}:{port}/")})).await;
            let refused = refused.problem(422, "validation_failed").json();
            // A zero in front is no IP address to us.
            let code = if host.starts_with("0177") { "invalid_url" } else { code };
            assert_eq!(
                (&refused["errors"][0]["field"], &refused["errors"][0]["code"]),
                (&json!("url"), &json!(code)),
                "{host}"
            );
        }
        // Where a name leads is seen when it is asked for.
        for host in ["localhost", "LOCALHOST", "localhost."] {
            let hook = Hook::with(
                &admin,
                json!({"url": format!("http://{host}:{port}/"), "types": ["user.changed"]}),
            )
            .await;
            let tested = admin.post(&format!("{}/test", hook.path), json!({})).await.expect(200).json();
            assert_eq!((&tested["delivered"], &tested["status"]), (&json!(false), &json!(null)));
            assert!(
                [REFUSED, "the host's name leads nowhere"].contains(&tested["error"].as_str().unwrap()),
                "{tested}"
            );
            admin.put(&hook.path, json!({"url": format!("http://127.0.0.1:{port}/")})).await.expect(422);
            admin.delete(&hook.path).await.expect(204);
        }
        assert_eq!(receiver.messages().len(), 0);
    })
    .await;
}

/// As if a name led elsewhere than when the webhook was made: what counts is where a connection would go.
#[tokio::test]
async fn i05_the_address_is_judged_at_each_connection() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let receiver = Receiver::start().await;
        let url = format!("http://localhost:{}/", receiver.port());
        let allowing = App::with(database, |options| {
            options.webhook_networks = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        })
        .await;
        let hook =
            Hook::with(&allowing.admin("admin").await, json!({"url": url, "types": ["user.changed"]})).await;
        happen(&allowing.db, &allowing.clock, Uuid::now_v7(), 1).await;
        receiver.expect(1).await;
        drop(allowing);
        let refusing = App::with(database, |options| options.webhook_networks = Vec::new()).await;
        happen(&refusing.db, &refusing.clock, Uuid::now_v7(), 2).await;
        eventually("it is refused", async || {
            let stored = stored(&refusing.db, hook.id).await;
            stored.get(1).is_some_and(|delivery| delivery.error.as_deref() == Some(REFUSED))
        })
        .await;
        assert_eq!(receiver.messages().len(), 1);
    })
    .await;
}
