//! What passwords are hashed with, and how old hashes are replaced.

use accounts::{PasswordHash, store};
use futures_util::FutureExt;
use serde_json::json;

use super::{log_in, register};
use crate::harness::{App, TestDatabase, each_engine};

#[tokio::test]
async fn a16_a_hash_is_replaced_at_login_when_the_setting_has_changed() {
    let test = async |database: &TestDatabase| {
        let modern = App::new(database).await;
        let old = App::with(database, |options| options.password_hash = PasswordHash::Bcrypt).await;
        register(&old, "ada").await;
        assert!(stored_hash(&old).await.starts_with("$2b$12$"));
        log_in(&modern, "ada").await;
        let upgraded = stored_hash(&modern).await;
        assert!(upgraded.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{upgraded}");
        log_in(&modern, "ada").await;
        assert_eq!(stored_hash(&modern).await, upgraded, "what is up to date stays");
        log_in(&old, "ada").await;
        assert!(stored_hash(&old).await.starts_with("$2b$12$"));
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

#[tokio::test]
async fn a02_with_bcrypt_a_new_password_has_at_most_72_bytes() {
    let test = async |database: &TestDatabase| {
        let app = App::with(database, |options| options.password_hash = PasswordHash::Bcrypt).await;
        for password in ["a".repeat(73), "é".repeat(37), "12345678\u{0}".to_owned()] {
            let body = json!({"email": "ada@example.com", "password": password, "username": "ada"});
            let problem = app.nobody().post("/auth/register", body).await.problem(422, "validation_failed");
            assert_eq!(problem.faulty_fields(), ["password"]);
        }
        let longest = "a".repeat(72);
        let body = json!({"email": "ada@example.com", "password": longest, "username": "ada"});
        app.nobody().post("/auth/register", body).await.expect(201);
        let login = |password: &str| json!({"email": "ada@example.com", "password": password});
        app.nobody().post("/auth/login", login(&longest)).await.expect(200);
        for other in [format!("{longest}Y"), format!("{longest}\u{0}"), format!("{}b", &longest[1..])] {
            app.nobody().post("/auth/login", login(&other)).await.problem(401, "invalid_credentials");
        }
    };
    each_engine(storehouse::migrations::MIGRATIONS, test).await;
}

async fn stored_hash(app: &App) -> String {
    let find = app.db.lookup((), |tx, ()| store::find_credentials_by_email(tx, "ada@example.com").boxed());
    find.await.unwrap().unwrap().password_hash.unwrap().expose().to_owned()
}
