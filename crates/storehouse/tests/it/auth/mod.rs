mod guessable;
mod hashes;
mod keys;
mod login;
mod names;
mod password;
mod refresh;
mod register;
mod revocation;
mod sessions;
mod set_up;
mod tokens;
mod two_factor;

use serde_json::{Value, json};

use crate::harness::{App, Client};

/// The password of everybody here.
const PASSWORD: &str = "canary-4f1c of auth";

/// Registers `name`, and gives the whole answer.
async fn register(app: &App, name: &str) -> Value {
    app.nobody().post("/auth/register", registration(name)).await.expect(201).json()
}

fn registration(name: &str) -> Value {
    json!({"email": format!("{name}@example.com"), "password": PASSWORD, "username": name})
}

async fn log_in(app: &App, name: &str) -> Value {
    let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
    app.nobody().post("/auth/login", body).await.expect(200).json()
}

/// Whom an answer of registering, logging in or refreshing is about.
fn client<'a>(app: &'a App, answer: &Value) -> Client<'a> {
    app.nobody().with_token(text(answer, "token"))
}

fn text<'a>(answer: &'a Value, field: &str) -> &'a str {
    answer[field].as_str().unwrap()
}
