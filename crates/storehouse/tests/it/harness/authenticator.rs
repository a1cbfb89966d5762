//! Somebody's authenticator.

use std::time::Duration;

use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use super::{App, Client};

const STEP: i64 = 30;

/// Somebody's authenticator, and the codes for when it is lost.
pub(crate) struct Authenticator {
    totp: Totp,
    pub(crate) secret: String,
    pub(crate) recovery_codes: Vec<String>,
}

impl Authenticator {
    /// Takes the secret that `POST /auth/totp` answered with.
    pub(crate) fn new(begun: &Value) -> Self {
        let secret = begun["secret"].as_str().unwrap().to_owned();
        let totp = Builder::new().with_secret(Secret::try_from_base32(&secret).unwrap()).build().unwrap();
        Self { totp, secret, recovery_codes: Vec::new() }
    }

    /// Keeps the recovery codes of an answer, in place of those that it had.
    pub(crate) fn keep(&mut self, answer: &Value) {
        let codes = answer["recovery_codes"].as_array().unwrap();
        self.recovery_codes = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    }

    /// Its secret, as bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        Secret::try_from_base32(&self.secret).unwrap().as_bytes().to_vec()
    }

    /// What it shows at a moment, in seconds since 1970.
    pub(crate) fn code_at(&self, moment: i64) -> String {
        self.totp.generate(u64::try_from(moment).unwrap()).to_string()
    }

    /// What it shows so many steps from now.
    pub(crate) fn code(&self, app: &App, steps: i64) -> String {
        self.code_at(app.clock.now().seconds() + steps * STEP)
    }

    /// A code that it never shows around now.
    pub(crate) fn wrong_code(&self, app: &App) -> String {
        let shown: Vec<String> = (-3..=3).map(|steps| self.code(app, steps)).collect();
        (0..).map(|number| format!("{number:06}")).find(|code| !shown.contains(code)).unwrap()
    }
}

/// Waits until a step has just begun, so that it can't end within what follows.
pub(crate) fn at_the_beginning_of_a_step(app: &App) {
    let gone = app.clock.now().seconds() % STEP;
    app.clock.advance(Duration::from_secs(u64::try_from(STEP - gone).unwrap()));
}

/// Turns two-factor authentication on.
pub(crate) async fn enrol(app: &App, client: &Client<'_>, password: &str) -> Authenticator {
    at_the_beginning_of_a_step(app);
    let begun = client.post("/auth/totp", json!({"current_password": password})).await.expect(200).json();
    let mut authenticator = Authenticator::new(&begun);
    let code = json!({"code": authenticator.code(app, 0)});
    authenticator.keep(&client.post("/auth/totp/confirm", code).await.expect(200).json());
    authenticator
}
