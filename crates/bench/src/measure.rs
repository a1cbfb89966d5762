//! What a measurement yields, and the median of several.

use std::time::Duration;

use anyhow::Result;

/// The CPU time that the measured processes have used so far.
pub(crate) type Cpu<'a> = &'a dyn Fn() -> Result<Duration>;

/// One measurement.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// Successful requests a second.
    pub(crate) rate: f64,
    /// CPU time of the server, in microseconds a request.
    pub(crate) server_cpu: Option<f64>,
    /// CPU time of the load generator, in microseconds a request.
    pub(crate) client_cpu: Option<f64>,
    /// Half of the answers came within this, in milliseconds.
    pub(crate) p50: Option<f64>,
    /// 99 of 100 answers came within this, in milliseconds.
    pub(crate) p99: Option<f64>,
    /// Requests without an answer, or with one other than 2xx.
    pub(crate) failed: u64,
    /// Why the first of those failed.
    pub(crate) failure: Option<String>,
}

impl Sample {
    /// So many requests in a span of time, and the CPU time that they took of the server and of the load generator.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub(crate) fn of(done: u64, span: Duration, server: Option<Duration>, client: Option<Duration>) -> Self {
        let done = done as f64;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / done.max(1.0);
        Self {
            rate: done / span.as_secs_f64(),
            server_cpu: server.map(each),
            client_cpu: client.map(each),
            ..Self::default()
        }
    }
}

/// The median of each figure by itself; failures are summed.
pub(crate) fn median(rounds: &[Sample]) -> Sample {
    let known = |figure: fn(&Sample) -> Option<f64>| middle(rounds.iter().filter_map(figure).collect());
    Sample {
        rate: middle(rounds.iter().map(|sample| sample.rate).collect()).unwrap_or_default(),
        server_cpu: known(|sample| sample.server_cpu),
        client_cpu: known(|sample| sample.client_cpu),
        p50: known(|sample| sample.p50),
        p99: known(|sample| sample.p99),
        failed: rounds.iter().map(|sample| sample.failed).sum(),
        failure: rounds.iter().find_map(|sample| sample.failure.clone()),
    }
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn middle(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let upper = *figures.get(figures.len() / 2)?;
    let lower = *figures.get((figures.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_spread_over_the_requests() {
        let sample = Sample::of(1000, Duration::from_secs(2), Some(Duration::from_millis(50)), None);
        assert_eq!((sample.rate, sample.server_cpu, sample.client_cpu), (500.0, Some(50.0), None));
    }

    #[test]
    fn the_median_is_each_figures_own_and_failures_add_up() {
        let sample = |rate, p99, failed| Sample { rate, p99: Some(p99), failed, ..Sample::default() };
        let all = median(&[sample(1.0, 9.0, 1), sample(3.0, 2.0, 0), sample(2.0, 4.0, 1)]);
        assert_eq!((all.rate, all.p99, all.p50, all.failed), (2.0, Some(4.0), None, 2));
        assert_eq!(middle(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(middle(Vec::new()), None);
    }
}
