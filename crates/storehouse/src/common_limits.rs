//! Limits that several processes count together, in Redis: the one file that speaks to it.
//!
//! Of each client Redis has one number, the moment at which its bucket is whole again (GCRA), by Redis's own clock, which
//! expires at that moment. A script applies to it what became of it in a process, and answers how long it is until then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kit::limit::{Buckets, Together, Told};
use kit::metrics::{Counter, Text};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// How often the others are told.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long it is waited for a connection, for an answer, and before the next attempt.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many clients one call of the script is about, so that Redis does something else in between.
const CLIENTS: usize = 500;

/// The longest time until a bucket is whole that is believed, in windows: should Redis's clock be set back, what it has
/// written lies far ahead.
const MOST_WINDOWS: u32 = 20;

/// Times are in microseconds: first the longest that is believed, then how much later a client's bucket is whole, and
/// how long that takes at least.
const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local most = now + ARGV[1]
local answers = {}
for i, key in ipairs(KEYS) do
    local later, whole_at = tonumber(ARGV[2 * i]), now + ARGV[2 * i + 1]
    local stored = tonumber(redis.call('GET', key))
    if stored then
        whole_at = math.max(whole_at, math.min(stored, most) + later)
    end
    local whole_after = math.max(0, whole_at - now)
    if whole_after > 0 then
        redis.call('SET', key, string.format('%.0f', whole_at), 'PX', math.ceil(whole_after / 1000))
    else
        redis.call('DEL', key)
    end
    answers[i] = whole_after
end
return answers
";

/// What carries this process's counts to Redis, and those of others back.
pub struct CommonLimits {
    client: Client,
    together: Arc<Together>,
    script: Script,
    /// Held during an exchange, so that there is one at a time.
    connection: Mutex<Option<MultiplexedConnection>>,
    is_connected: AtomicBool,
    exchanges: Counter,
    failures: Counter,
}

impl CommonLimits {
    /// Nothing is carried before [`CommonLimits::work`].
    pub fn new(client: Client, together: Arc<Together>) -> Self {
        Self {
            client,
            together,
            script: Script::new(SCRIPT),
            connection: Mutex::default(),
            is_connected: AtomicBool::new(false),
            exchanges: Counter::default(),
            failures: Counter::default(),
        }
    }

    /// Carries counts until it is dropped. Without Redis, each process limits by its own.
    pub async fn work(&self) {
        let mut is_news = true;
        loop {
            match self.exchange().await {
                Ok(()) if self.is_connected.swap(true, Ordering::Relaxed) => {}
                Ok(()) => info!("limits are counted together with other processes"),
                Err(error) => {
                    is_news |= self.is_connected.swap(false, Ordering::Relaxed);
                    if is_news {
                        warn!(cause = %error, "Redis can't be reached: until it can, each process counts limits by itself");
                    }
                    is_news = false;
                    sleep(PATIENCE).await;
                }
            }
            sleep(INTERVAL).await;
        }
    }

    /// Tells the others what they wouldn't learn any more, now that nobody is answered. Within a second or not at all.
    pub async fn finish(&self) {
        // A failure is counted, and the others then know less than they might.
        let _ = timeout(PATIENCE, self.exchange()).await;
    }

    /// Tells what was counted here since the last time, and learns what others counted of the same clients.
    pub async fn exchange(&self) -> Result<(), RedisError> {
        let mut connection = self.connection.lock().await;
        let outcome = self.exchange_over(&mut connection).await;
        if outcome.is_ok() {
            self.exchanges.increment();
        } else {
            *connection = None;
            self.failures.increment();
        }
        outcome
    }

    async fn exchange_over(&self, kept: &mut Option<MultiplexedConnection>) -> Result<(), RedisError> {
        let connection = match kept {
            Some(connection) => connection,
            None => {
                let connection = kept.insert(self.connect().await?);
                // What was on its way may be lost, and Redis may have forgotten.
                self.together.buckets().iter().for_each(|buckets| buckets.note_all(self.together.now()));
                connection
            }
        };
        let mut is_idle = true;
        for buckets in self.together.buckets() {
            for told in buckets.tell().chunks(CLIENTS) {
                self.carry(&buckets, told, connection).await?;
                is_idle = false;
            }
        }
        // That Redis is gone is to be noticed before there is something to tell.
        if is_idle {
            redis::cmd("PING").exec_async(connection).await?;
        }
        Ok(())
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn carry(
        &self,
        buckets: &Buckets,
        told: &[Told],
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisError> {
        // The same moment for what is told and what is learned, so that the way there and back shifts nothing.
        let now = self.together.now();
        let mut call = self.script.prepare_invoke();
        call.arg(buckets.window.saturating_mul(MOST_WINDOWS).as_micros() as u64);
        for told in told {
            call.key(format!("storehouse:limit:{}:{:016x}", buckets.name, told.client));
            call.arg(told.later).arg(told.at_least(now));
        }
        let answers: Vec<u64> = call.invoke_async(connection).await?;
        for (told, whole_after) in told.iter().zip(answers) {
            buckets.learn(told.client, Duration::from_micros(whole_after), now);
        }
        Ok(())
    }

    /// Tells whether Redis is there, and how often it was asked.
    pub fn write_metrics(&self, text: &mut Text) {
        let is_connected = if self.is_connected.load(Ordering::Relaxed) { 1.0 } else { 0.0 };
        let help =
            "Whether limits are counted together with other processes: 1, or 0 while Redis can't be reached.";
        text.gauge("storehouse_common_limits_connected", help, &[], is_connected);
        let help = "Exchanges of counts with Redis: done, or failed.";
        for (outcome, count) in [("done", &self.exchanges), ("failed", &self.failures)] {
            text.counter(
                "storehouse_common_limits_exchanges_total",
                help,
                &[("outcome", outcome)],
                count.get(),
            );
        }
    }
}
