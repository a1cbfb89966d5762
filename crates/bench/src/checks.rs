//! `checks`: what it costs to know who asks, before anything is done for him. In this process, without a socket or a database.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use anyhow::{Result, anyhow};
use kit::clock::{Clock, new_id};
use kit::identity::Role;
use kit::secret::Secret;
use kit::token::Tokens;

use crate::report::{Report, Target};

/// More than are kept in mind, so that each is checked anew.
const STRANGERS: usize = 20_000;
const REPETITIONS: usize = 200_000;
const ROUNDS: usize = 5;

pub(crate) fn measure(report: &mut Report<impl Write>) -> Result<()> {
    let tokens = Tokens::new(&Secret::new("a secret of the benchmark, 0123456789"), Clock::default());
    let known = sign(&tokens)?;
    let strangers = (0..STRANGERS).map(|_| sign(&tokens)).collect::<Result<Vec<_>>>()?;
    let seen = micros(|_| tokens.verify(known.expose()).is_ok());
    let new = micros(|number| tokens.verify(strangers[number % STRANGERS].expose()).is_ok());
    let forged = micros(|_| tokens.verify(&known.expose()[1..]).is_ok());
    report.title("checks, of one request, in microseconds of CPU")?;
    report.note(&format!(
        "an access token seen before {seen:.2}, a new one {new:.2}, a forged one {forged:.2}"
    ))?;
    report.judge("checking a new access token", new, "µs", Target::AtMost(3.0));
    Ok(())
}

fn sign(tokens: &Tokens) -> Result<Secret> {
    let signed = tokens.sign(new_id(), "somebody@example.com", Role::Customer, new_id());
    signed.map_err(|problem| anyhow!("no token: {problem:?}"))
}

/// The best round's microseconds for one: what else the machine does only adds to it.
fn micros<T>(check: impl Fn(usize) -> T) -> f64 {
    let round = || {
        let begun = Instant::now();
        for number in 0..REPETITIONS {
            black_box(check(black_box(number)));
        }
        begun.elapsed().as_secs_f64() * 1e6 / REPETITIONS as f64
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}
