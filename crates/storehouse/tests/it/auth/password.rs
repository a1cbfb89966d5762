//! `POST /auth/password`

use serde_json::{Value, json};

use super::{PASSWORD, client, log_in, register};
use crate::harness::each_app;

const NEW: &str = "another password";

#[tokio::test]
async fn s06_changing_it_ends_all_other_sessions() {
    each_app(async |app| {
        let pairs = [register(app, "ada").await, log_in(app, "ada").await];
        let (here, there) = (client(app, &pairs[0]), client(app, &pairs[1]));
        here.post("/auth/password", change(PASSWORD, NEW)).await.expect(204);
        here.get("/users/me").await.expect(200);
        there.get("/users/me").await.problem(401, "invalid_token");
        let refresh = json!({"refresh_token": pairs[1]["refresh_token"]});
        app.nobody().post("/auth/refresh", refresh).await.problem(401, "invalid_token");
        let refresh = json!({"refresh_token": pairs[0]["refresh_token"]});
        app.nobody().post("/auth/refresh", refresh).await.expect(200);
        let login = |password: &str| json!({"email": "ada@example.com", "password": password});
        app.nobody().post("/auth/login", login(PASSWORD)).await.problem(401, "invalid_credentials");
        app.nobody().post("/auth/login", login(NEW)).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn it_takes_the_current_one_and_a_good_new_one() {
    each_app(async |app| {
        let ada = client(app, &register(app, "ada.lovelace").await);
        let there = client(app, &log_in(app, "ada.lovelace").await);
        ada.post("/auth/password", change("wrong password", NEW)).await.problem(401, "invalid_credentials");
        for bad in ["short", "ada.lovelace", "ADA.lovelace@example.com"] {
            let problem =
                ada.post("/auth/password", change(PASSWORD, bad)).await.problem(422, "validation_failed");
            assert_eq!(problem.faulty_fields(), ["new_password"], "{bad}");
        }
        let missing = ada.post("/auth/password", json!({})).await.problem(422, "validation_failed");
        assert_eq!(missing.faulty_fields(), ["current_password", "new_password"]);
        there.get("/users/me").await.expect(200);
        log_in(app, "ada.lovelace").await;
    })
    .await;
}

fn change(current: &str, new: &str) -> Value {
    json!({"current_password": current, "new_password": new})
}
