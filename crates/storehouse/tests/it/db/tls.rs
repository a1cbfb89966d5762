//! A PostgreSQL server that takes connections over TLS alone: whom the program trusts, and that all it does goes that way.

use std::fs;

use serde_json::json;

use crate::harness::{Authority, Server, Site, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_goes_to_the_server_goes_over_tls() {
    let (authority, other) = (Authority::new("one's own"), Authority::new("a stranger"));
    let Some(server) = Server::start_over_tls(authority.certificate("localhost")) else { return };
    let files = tempfile::tempdir().unwrap();
    let file_of = |name: &str, authority: &Authority| {
        let path = files.path().join(name);
        fs::write(&path, authority.pem()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (own, strange) = (file_of("own.pem", &authority), file_of("strange.pem", &other));
    let address = |host: &str, parameters: &str| {
        format!("postgres://storehouse@{host}:{}/postgres{parameters}", server.port())
    };
    for (host, parameters, why) in [
        ("localhost", String::new(), "no encryption"),
        ("localhost", "?sslmode=require".to_owned(), "certificate"),
        ("localhost", format!("?sslmode=require&sslrootcert={strange}"), "certificate"),
        ("127.0.0.1", format!("?sslmode=require&sslrootcert={own}"), "certificate"),
        ("localhost", "?sslmode=verify-full&sslrootcert=/nowhere.pem".to_owned(), "/nowhere.pem"),
    ] {
        let refused = Site::new(Some(&address(host, &parameters))).refusal(&["serve"]);
        assert!(refused.contains(why), "{host}{parameters}: {refused}");
    }
    let site = Site::new(Some(&address("localhost", &format!("?sslmode=verify-full&sslrootcert={own}"))));
    works(&site).await;
}

/// People, orders, the session feed and a backup by PostgreSQL's own program.
async fn works(site: &Site) {
    let process = site.start().await;
    let (mut wire, _) = process.connect().await.register("boss").await;
    let laptop = json!({"product_name": "Laptop", "quantity": 1, "total_price": 999.99});
    wire.post("/orders", &laptop).await.unwrap().expect(201);
    wire.post("/auth/logout", &json!({})).await.unwrap().expect(204);
    let token = wire.token().to_owned();
    eventually("the session has ended", async || {
        let mut wire = process.connect().await.with_token(&token);
        wire.get("/orders").await.unwrap().status == 401
    })
    .await;
    let backup = site.run(&["backup", "all.backup"]);
    assert!(backup.status.success(), "{}", String::from_utf8_lossy(&backup.stderr));
}
