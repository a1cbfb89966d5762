//! `checks`: what it costs to know who asks, before anything is done for him. In this process, without a socket; an API key is looked up in a database
//! once, and then known.

use std::hint::black_box;
use std::io::Write;
use std::time::Duration;

use accounts::{FirstAdmin, LiveSessions, NewAccount, SessionLimits, StoredKey, add_key, create_account};
use anyhow::{Result, anyhow};
use db::{DatabaseUrl, Db};
use futures_util::FutureExt;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use kit::api_key::generate;
use kit::author::Author;
use kit::clock::{Clock, Timestamp, new_id};
use kit::identity::{Role, authenticate};
use kit::secret::Secret;
use kit::token::Tokens;
use rustix::time::{ClockId, clock_gettime};

use crate::report::{Report, Target};
use crate::setup::Setup;
use crate::site::Site;

/// More than are kept in mind, so that each is checked anew.
const STRANGERS: usize = 20_000;
const REPETITIONS: usize = 200_000;
const ROUNDS: usize = 5;

pub(crate) async fn measure(setup: &Setup, report: &mut Report<impl Write>) -> Result<()> {
    let tokens = Tokens::new(&Secret::new("a secret of the benchmark, 0123456789"), Clock::default());
    let known = sign(&tokens)?;
    let strangers = (0..STRANGERS).map(|_| sign(&tokens)).collect::<Result<Vec<_>>>()?;
    let seen = micros(|_| tokens.verify(known.expose()).is_ok());
    let new = micros(|number| tokens.verify(strangers[number % STRANGERS].expose()).is_ok());
    let forged = micros(|_| tokens.verify(&known.expose()[1..]).is_ok());
    let key = check_known_key(setup, &tokens).await?;
    report.title("checks, of one request, in microseconds of CPU")?;
    report.note(&format!(
        "an access token seen before {seen:.2}, a new one {new:.2}, a forged one {forged:.2}; an API key {key:.2}"
    ))?;
    report.judge("checking a new access token", new, "µs", Target::AtMost(3.0));
    report.judge("checking an API key", key, "µs", Target::AtMost(5.0));
    Ok(())
}

/// An API key that this process has seen: from the header to the account and its scopes.
async fn check_known_key(setup: &Setup, tokens: &Tokens) -> Result<f64> {
    let site = Site::new(setup)?;
    site.migrate()?;
    let db = Db::open(&DatabaseUrl::Sqlite(site.database())).await?;
    let live = LiveSessions::new(db.clone(), Clock::default(), SessionLimits::default());
    let mut headers = HeaderMap::new();
    let key = store_key(&db, Clock::default().now()).await?;
    headers.insert(AUTHORIZATION, format!("Bearer {}", key.expose()).try_into()?);
    let check = || authenticate(tokens, &*live, &headers);
    check().await.map_err(|problem| anyhow!("the key is not taken: {problem:?}"))?;
    Ok(micros(|_| check().now_or_never().is_some_and(|caller| caller.is_ok())))
}

/// A key of a new admin's.
async fn store_key(db: &Db, now: Timestamp) -> Result<Secret> {
    let (secret, hash) = generate()?;
    let email = "admin@example.com".parse().map_err(|_| anyhow!("no email"))?;
    let username = "admin".parse().map_err(|_| anyhow!("no user name"))?;
    let account = NewAccount { role: Role::Admin, ..NewAccount::customer(email, username, Secret::new("")) };
    db.write((account, hash, now), |tx, (account, hash, now)| {
        async move {
            let author = Author::nobody(*now);
            let admin = create_account(tx, account, FirstAdmin::NotPromoted, &author).await?;
            let key = StoredKey {
                id: new_id(),
                account_id: admin.id,
                name: "a machine".to_owned(),
                scopes: vec!["orders:read".to_owned()],
                created_at: *now,
                expires_at: now.plus(Duration::from_secs(3600)),
                last_used_at: None,
            };
            add_key(tx, &key, hash, &author).await
        }
        .boxed()
    })
    .await
    .map(|()| secret)
    .map_err(|error| anyhow!("no key: {error:?}"))
}

fn sign(tokens: &Tokens) -> Result<Secret> {
    let signed = tokens.sign(new_id(), "somebody@example.com", Role::Customer, new_id());
    signed.map_err(|problem| anyhow!("no token: {problem:?}"))
}

/// The best round's microseconds of this thread's CPU time for one: what else the machine does only adds to it.
fn micros<T>(check: impl Fn(usize) -> T) -> f64 {
    let round = || {
        let begun = cpu_seconds();
        for number in 0..REPETITIONS {
            black_box(check(black_box(number)));
        }
        (cpu_seconds() - begun) * 1e6 / REPETITIONS as f64
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}
