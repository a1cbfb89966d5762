//! Copies of a service that count their limits together, in Redis; and what is left of that while Redis is away.

use std::time::Duration;

use ::gateway::Routes;
use http::Method;
use kit::clock::Clock;
use kit::limit::{Counting, Limiter, Rate};
use kit::secret::Secret;
use serde_json::json;
use storehouse::common_limits::CommonLimits;

use crate::harness::{
    Answer, App, Authority, Client, Random, Redis, SECRET, Site, TestDatabase, each_engine, eventually,
};

/// So slow that nothing comes back while a test runs.
const ROUTES: &str = "
routes:
  - path: /orders
    backend: http://localhost:8082
    methods: [GET]
    rate_limit: {requests: 1, per: 1h, burst: 500}
";

async fn copy(database: &TestDatabase, redis: &Redis) -> App {
    App::with(database, |options| {
        options.rate_limit = true;
        options.redis = Some(redis.client());
        options.routes = Routes::parse(ROUTES, "routes.yaml").unwrap();
    })
    .await
}

/// What a copy tells of itself.
async fn figure(app: &App, series: &str) -> u64 {
    let metrics = app.nobody().get("/metrics").await.expect(200).text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)).map(str::trim);
    line.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().unwrap()
}

async fn is_connected(app: &App) -> bool {
    figure(app, "storehouse_common_limits_connected").await == 1
}

/// Asks once, and tells the others; so the next answer knows what all have counted.
async fn ask_and_exchange(client: &Client<'_>) -> u64 {
    let left = left(&client.get("/orders").await.expect(200));
    client.app.exchange_counts().await;
    left
}

fn left(answer: &Answer) -> u64 {
    let told = answer.header("ratelimit").strip_prefix("\"/orders\";r=").unwrap();
    told.split(';').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_one_gateway_lets_through_another_counts() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let Some(redis) = Redis::start().await else { return };
        let (one, other) = (copy(database, &redis).await, copy(database, &redis).await);
        let ada = one.customer("ada").await;
        for _ in 0..499 {
            ada.get("/orders").await.expect(200);
        }
        ask_and_exchange(&ada).await;
        let there = ada.on(&other);
        ask_and_exchange(&there).await;
        let refused = there.get("/orders").await.problem(429, "rate_limited");
        // One hour for it, and one for what came too much, less what the test takes.
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((7000..=7200).contains(&wait), "{wait}");
        for (key, time) in redis.keys().await {
            let (name, client) = key.rsplit_once(':').unwrap();
            assert_eq!(name, "storehouse:limit:/orders");
            assert!(client.len() == 16 && client.bytes().all(|c| c.is_ascii_hexdigit()), "{key}");
            assert!(time > 0, "{key} goes by itself");
        }
    })
    .await;
}

#[tokio::test]
async fn a11_guesses_count_wherever_they_are_made() {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let Some(redis) = Redis::start().await else { return };
        let (one, other) = (copy(database, &redis).await, copy(database, &redis).await);
        let guess = async |app: &App, number: u32| {
            let body = json!({"email": format!("user{number}@example.com"), "password": "wrong password"});
            app.nobody().request(Method::POST, "/auth/login").to("auth").json(&body).send().await
        };
        for number in 0..10 {
            guess(&one, number).await.problem(401, "invalid_credentials");
        }
        one.exchange_counts().await;
        guess(&other, 11).await.problem(401, "invalid_credentials");
        other.exchange_counts().await;
        guess(&other, 12).await.problem(429, "rate_limited");
    })
    .await;
}

/// A user of two copies, one of which was asked once.
async fn two_copies(test: impl AsyncFn(&mut Redis, &Client<'_>, &Client<'_>)) {
    each_engine(storehouse::migrations::MIGRATIONS, async |database| {
        let Some(mut redis) = Redis::start().await else { return };
        let (one, other) = (copy(database, &redis).await, copy(database, &redis).await);
        let ada = one.customer("ada").await;
        assert_eq!(ask_and_exchange(&ada).await, 499);
        test(&mut redis, &ada, &ada.on(&other)).await;
    })
    .await;
}

/// Nine requests to one copy, eight to the other, each of which counts by itself.
async fn ask_both_alone(here: &Client<'_>, there: &Client<'_>) {
    for number in (490..499).rev() {
        assert_eq!(left(&here.get("/orders").await.expect(200)), number);
    }
    for number in (492..500).rev() {
        assert_eq!(left(&there.get("/orders").await.expect(200)), number);
    }
}

/// What is left after two more requests: ten went through here and eight there, but what was told to a Redis that didn't take it isn't added to the other's.
async fn asked_twice_more(there: &Client<'_>) -> u64 {
    ask_and_exchange(there).await;
    let left = ask_and_exchange(there).await;
    assert!((480..=488).contains(&left), "{left}");
    left
}

async fn both_are_connected(here: &Client<'_>, there: &Client<'_>, wanted: bool) {
    eventually("both notice", async || {
        is_connected(here.app).await == wanted && is_connected(there.app).await == wanted
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_learns_what_each_copy_knows() {
    two_copies(async |redis, here, there| {
        redis.stop();
        ask_both_alone(here, there).await;
        both_are_connected(here, there, false).await;
        redis.start_again().await;
        both_are_connected(here, there, true).await;
        let left = asked_twice_more(there).await;
        ask_and_exchange(here).await;
        assert_eq!(ask_and_exchange(here).await, left - 2);
    })
    .await;
}

#[tokio::test]
async fn while_redis_stands_still_each_copy_goes_on_by_itself() {
    two_copies(async |redis, here, there| {
        redis.pause();
        ask_both_alone(here, there).await;
        both_are_connected(here, there, false).await;
        redis.resume();
        both_are_connected(here, there, true).await;
        asked_twice_more(there).await;
    })
    .await;
}

#[tokio::test]
async fn what_redis_refuses_is_not_lost() {
    two_copies(async |redis, here, there| {
        redis.set("maxmemory", "1").await;
        ask_both_alone(here, there).await;
        both_are_connected(here, there, false).await;
        redis.set("maxmemory", "0").await;
        both_are_connected(here, there, true).await;
        asked_twice_more(there).await;
    })
    .await;
}

/// A limiter as if in a process of its own.
struct Process {
    limiter: Limiter,
    limits: CommonLimits,
}

const BURST: u32 = 10_000;

impl Process {
    fn start(redis: &Redis) -> Self {
        let (counting, together) = Counting::together(Clock::default(), &Secret::new(SECRET));
        let limiter = Limiter::new("test", Rate::new(1, Duration::from_secs(3600), BURST), &counting);
        Self { limiter, limits: CommonLimits::new(redis.client(), together) }
    }
}

/// Whatever is taken and put back wherever, in the end all processes know the same.
#[tokio::test]
async fn what_is_taken_and_put_back_anywhere_adds_up() {
    let Some(redis) = Redis::start().await else { return };
    let mut random = Random::new();
    let processes: Vec<Process> = (0..3).map(|_| Process::start(&redis)).collect();
    let mut taken = [[0_u32; 3]; 4];
    for _ in 0..3000 {
        let (place, client) = (random.below(3), random.below(4));
        let Process { limiter, limits } = &processes[place];
        let taken = &mut taken[client][place];
        if *taken > 0 && random.once_in(3) {
            limiter.give_back(&client);
            *taken -= 1;
        } else {
            assert!(limiter.take(&client).allowed);
            *taken += 1;
        }
        if random.once_in(10) {
            limits.exchange().await.unwrap();
        }
    }
    // Twice, since who comes first hasn't heard of the last; each learns of those only of whom it has something to tell.
    for Process { limiter, limits } in processes.iter().chain(&processes) {
        for client in 0..taken.len() {
            limiter.take(&client);
            limiter.give_back(&client);
        }
        limits.exchange().await.unwrap();
    }
    for (client, taken) in taken.iter().enumerate() {
        let left = BURST - taken.iter().sum::<u32>();
        for Process { limiter, .. } in &processes {
            assert_eq!(limiter.look(&client).remaining, left);
        }
    }
}

/// The real program, by its settings alone.
async fn counts_together(site: &Site) {
    let process = site.start().await;
    let text = "limits are counted together with other processes";
    eventually("they are", async || process.log().contains(text)).await;
    let guess = json!({"email": "ada@example.com", "password": "wrong password"});
    let mut wire = process.connect().await;
    wire.send(Method::POST, "/auth/login", Some(&guess), None).await.unwrap().expect(401);
    assert_eq!(process.signal_and_wait("TERM").await, Some(0));
}

#[tokio::test]
async fn a_process_finds_redis_in_the_clear_and_over_tls() {
    let Some(redis) = Redis::start().await else { return };
    let authority = Authority::new("ours");
    let port = redis.over_tls(authority.server("localhost", |_| {})).await;
    for url in [redis.url(), format!("rediss://localhost:{port}")] {
        let site = Site::new(None).with("REDIS_URL", &url).with("RATE_LIMIT", "on");
        let site = site.with("OUTGOING_CA_FILE", "authority.pem");
        std::fs::write(site.path("authority.pem"), authority.pem()).unwrap();
        counts_together(&site).await;
        let keys = redis.keys().await;
        assert!(keys.iter().any(|(key, _)| key.starts_with("storehouse:limit:login-failures:")), "{keys:?}");
        redis.clear().await;
    }
}

#[tokio::test]
async fn a_redis_that_is_not_there_or_not_ours_is_told_of_and_keeps_nobody_waiting() {
    let Some(redis) = Redis::start().await else { return };
    let stranger = Authority::new("somebody else's");
    let port = redis.over_tls(stranger.server("localhost", |_| {})).await;
    for url in ["redis://127.0.0.1:1".to_owned(), format!("rediss://localhost:{port}")] {
        let site = Site::new(None).with("REDIS_URL", &url).with("RATE_LIMIT", "on");
        let process = site.start().await;
        eventually("it is told", async || process.log().contains("Redis can't be reached")).await;
        process.connect().await.get("/orders").await.unwrap().expect(401);
    }
}
