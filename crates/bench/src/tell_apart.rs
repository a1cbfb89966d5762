//! Whether the time of a refused login tells a known account from an unknown one: guesses at both, one after the other, and how much
//! their times differ, by the two-sample test of Kolmogorov and Smirnov.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::measure::middle;
use crate::report::{Report, Target};
use crate::wire::{Request, Wire};

/// Guesses at each.
const GUESSES: usize = 300;

/// The accounts: one that there is, and one that there isn't.
const EMAILS: [&str; 2] = ["reader@example.com", "nobody@example.com"];

pub(crate) async fn measure(gateway: SocketAddr, report: &mut Report<impl Write>) -> Result<()> {
    let mut wire = Wire::connect(gateway).await?;
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..GUESSES {
        // Neither is always the first, so that what comes in from outside falls on both.
        for kind in if number % 2 == 0 { [0, 1] } else { [1, 0] } {
            let from = format!("10.{}.{}.{}", kind + 1, number / 250, number % 250 + 1);
            let body = json!({"email": EMAILS[kind], "password": "wrong password"});
            let request = Request::post("/auth/login", &body).header("X-Forwarded-For", &from).bytes();
            let begun = Instant::now();
            let status = wire.exchange(&request).await?;
            ensure!(status == 401, "a wrong password was answered with {status}");
            times[kind].push(begun.elapsed().as_secs_f64() * 1000.0);
        }
    }
    let medians = times.clone().map(|times| middle(times).unwrap_or_default());
    let (known, unknown) = (medians[0], medians[1]);
    let apart = (known - unknown).abs() / known.max(unknown) * 100.0;
    let distance = distance(&mut times);
    let chance = chance(distance, GUESSES);
    report.judge("medians of guesses at known and unknown accounts apart", apart, "%", Target::AtMost(5.0));
    report.judge(
        "chance of such a distance between alike (Kolmogorov–Smirnov)",
        chance,
        "",
        Target::AtLeast(0.01),
    );
    let text = format!(
        "{GUESSES} wrong logins each, interleaved: median {known:.3} ms known, {unknown:.3} ms unknown; D = {distance:.4}, p = {chance:.3}"
    );
    Ok(report.note(&text)?)
}

/// The most that the shares of those up to some time differ by.
#[expect(clippy::cast_precision_loss, reason = "there are few")]
fn distance(times: &mut [Vec<f64>; 2]) -> f64 {
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    let share =
        |times: &[f64], up_to: f64| times.partition_point(|time| *time <= up_to) as f64 / times.len() as f64;
    let all = times.iter().flatten();
    all.map(|time| (share(&times[0], *time) - share(&times[1], *time)).abs()).fold(0.0, f64::max)
}

/// How likely it is that two samples of one distribution, of `count` each, are so far apart or farther.
#[expect(clippy::cast_precision_loss, reason = "there are few")]
fn chance(distance: f64, count: usize) -> f64 {
    let size = (count as f64 / 2.0).sqrt();
    let lambda = (size + 0.12 + 0.11 / size) * distance;
    let term = |number: i32| {
        let number = f64::from(number);
        let sign = if number % 2.0 == 0.0 { -1.0 } else { 1.0 };
        sign * (-2.0 * (number * lambda).powi(2)).exp()
    };
    // For such small distances the series doesn't converge, and the chance is one.
    if lambda < 0.2 { 1.0 } else { (2.0 * (1..=100).map(term).sum::<f64>()).clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_are_not_apart_and_others_are() {
        let even: Vec<f64> = (0..300).map(f64::from).collect();
        let shifted: Vec<f64> = even.iter().map(|time| time + 60.0).collect();
        assert!(distance(&mut [even.clone(), even.clone()]) < 1e-9);
        let apart = distance(&mut [even, shifted]);
        assert!((apart - 0.2).abs() < 1e-9, "{apart}");
        assert!(chance(apart, 300) < 0.001 && chance(0.05, 300) > 0.5);
        // A value of the tables: 5 % at 1.358 / sqrt(n / 2).
        let chance = chance(1.358 / 150_f64.sqrt(), 300);
        assert!((0.03..0.06).contains(&chance), "{chance}");
    }
}
