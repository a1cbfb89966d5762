//! Hashing passwords, on a bounded pool of its own: cores − 1 at a time, a bounded queue before it, 503 past that.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use kit::fields::Invalid;
use kit::metrics::{Counter, Histogram, Text};
use kit::problem::Problem;
use kit::secret::Secret;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::argon2id::{self, Memory};
use crate::guessable::Guessable;
use crate::model::Password;

/// The original system's cost.
const BCRYPT_COST: u32 = 12;

/// More than this many wait for no turn: the last in the queue waits about two seconds for Argon2id on one core.
const MAX_WAITING: usize = 64;

/// What new passwords are hashed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordHash {
    /// RFC 9106.
    Argon2id,
    /// What the original system used; at most 72 bytes.
    Bcrypt,
}

impl PasswordHash {
    /// The hash of a password that nobody has, in the cost of every other: verifying against it makes an unknown
    /// email cost what a wrong password costs.
    fn dummy(self) -> &'static str {
        match self {
            Self::Argon2id => argon2id::DUMMY,
            Self::Bcrypt => "$2b$12$abcdefghijklmnopqrstuuGTWbYSPqEBKVsdvqNeDgDdTl0gcTu0K",
        }
    }
}

/// The pool.
pub struct Passwords {
    algorithm: PasswordHash,
    /// What is refused because it is tried first; nothing where that is off.
    guessable: Option<Guessable>,
    turns: Arc<Semaphore>,
    threads: Threads,
    /// The memory of those who are not hashing: no more than ever hashed at a time. It is kept, since an allocator that
    /// is given such large blocks and asked for them again ends up with several for each.
    memories: Arc<Mutex<Vec<Memory>>>,
    /// How many are hashed at a time.
    most_running: usize,
    /// Those who are hashed too.
    waiting: AtomicUsize,
    refused: Counter,
    times: Arc<Histogram>,
}

/// What came of comparing a password with a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is another.
    Wrong,
    /// It is the one.
    Right,
    /// It is the one, but hashed as it isn't done any more; here is the new hash.
    Outdated(Secret),
}

impl Passwords {
    /// A pool that hashes on all cores but one, at least one. An error if the system gives it no way to run threads.
    pub fn new(algorithm: PasswordHash, denylist: bool) -> io::Result<Self> {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let most_running = cores.saturating_sub(1).max(1);
        Ok(Self {
            algorithm,
            guessable: denylist.then(Guessable::new),
            turns: Arc::new(Semaphore::new(most_running)),
            threads: Threads::new(most_running)?,
            memories: Arc::default(),
            most_running,
            waiting: AtomicUsize::new(0),
            refused: Counter::default(),
            times: Arc::new(Histogram::of_times()),
        })
    }

    /// Whether somebody with these names may take this password: it is none of them, the algorithm can hash it, and it is not
    /// among those that are tried first.
    pub fn check(&self, password: &Password, email: &str, username: &str) -> Result<(), Invalid> {
        let invalid =
            |message: &'static str| Err(Invalid { code: "invalid_password", message: message.into() });
        if password.repeats(email, username) {
            return invalid("must not be the email or user name");
        }
        if self.algorithm == PasswordHash::Bcrypt && !bcrypt_takes(password.secret().expose().as_bytes()) {
            return invalid(
                "must be at most 72 bytes, without NUL characters, since passwords are hashed with bcrypt",
            );
        }
        let guessable = self.guessable.as_ref();
        guessable.map_or(Ok(()), |guessable| guessable.check(password.secret().expose(), email, username))
    }

    /// The hash of a new password.
    pub async fn hash(&self, password: &Password) -> Result<Secret, Problem> {
        let (algorithm, secret) = (self.algorithm, password.secret().clone());
        self.in_turn(move |memory| hash(algorithm, &secret, memory)).await?
    }

    /// Refuses what would be refused anyway, before anything is looked up for it, so that it costs little.
    pub fn refuse_if_full(&self) -> Result<(), Problem> {
        if self.waiting.load(Ordering::Relaxed) < MAX_WAITING {
            return Ok(());
        }
        Err(self.refuse())
    }

    fn refuse(&self) -> Problem {
        self.refused.increment();
        Problem::unavailable(2, "Too many passwords are being checked; try again shortly.")
    }

    /// Compares a password with a stored hash; without one it takes as long, and is wrong.
    pub async fn verify(&self, password: Secret, stored: Option<Secret>) -> Result<Verdict, Problem> {
        let algorithm = self.algorithm;
        self.in_turn(move |memory| {
            let is_right =
                matches(&password, stored.as_ref().map_or(algorithm.dummy(), Secret::expose), memory);
            match stored {
                Some(stored) if is_right && is_outdated(algorithm, stored.expose()) => {
                    hash(algorithm, &password, memory).map(Verdict::Outdated).or(Ok(Verdict::Right))
                }
                Some(_) if is_right => Ok(Verdict::Right),
                _ => Ok(Verdict::Wrong),
            }
        })
        .await?
    }

    /// Writes how the queue is, and how long hashing takes.
    pub fn write_metrics(&self, text: &mut Text) {
        let running = self.most_running.saturating_sub(self.turns.available_permits());
        let waiting = self.waiting.load(Ordering::Relaxed).saturating_sub(running);
        let help = "Passwords being hashed or compared.";
        text.gauge("storehouse_password_hashes_running", help, &[], running as f64);
        let help = "Passwords waiting to be hashed or compared.";
        text.gauge("storehouse_password_hashes_waiting", help, &[], waiting as f64);
        let help = "Passwords that were refused because too many waited.";
        text.counter("storehouse_password_hashes_refused_total", help, &[], self.refused.get());
        let help = "How long hashing or comparing a password took, without waiting, in seconds.";
        text.histogram("storehouse_password_hash_seconds", help, &[], &self.times);
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let _place = Place::take(&self.waiting).ok_or_else(|| self.refuse())?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(Problem::internal)?;
        // The turn goes along, so that a client that hangs up doesn't let one more in than there are cores.
        let (times, memories) = (Arc::clone(&self.times), Arc::clone(&self.memories));
        let done = self.threads.run(move || {
            let (_turn, begun) = (turn, Instant::now());
            let lock = || memories.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = lock().pop().unwrap_or_default();
            let worked = work(&mut memory);
            lock().push(memory);
            times.observe_time(begun.elapsed());
            worked
        });
        done.await.map_err(Problem::internal)
    }
}

/// As many threads as hash at a time, which give way to the threads that answer requests.
struct Threads {
    handle: Handle,
    /// Taken when dropped.
    runtime: Option<Runtime>,
}

impl Threads {
    fn new(count: usize) -> io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        builder.max_blocking_threads(count).thread_name("password").on_thread_start(give_way);
        let runtime = builder.build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.handle.spawn_blocking(work)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// On Linux a thread has a priority of its own.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "the threads that hash can't give way to others");
    }
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hash(algorithm: PasswordHash, password: &Secret, memory: &mut Memory) -> Result<Secret, Problem> {
    let bytes = password.expose().as_bytes();
    let hash = match algorithm {
        PasswordHash::Argon2id => argon2id::hash(bytes, memory).map_err(Problem::internal),
        PasswordHash::Bcrypt => bcrypt::hash(bytes, BCRYPT_COST).map_err(Problem::internal),
    };
    hash.map(Secret::new)
}

/// A hash says itself how it was made.
fn matches(password: &Secret, stored: &str, memory: &mut Memory) -> bool {
    let bytes = password.expose().as_bytes();
    if stored.starts_with("$argon2") {
        argon2id::matches(bytes, stored, memory)
    } else {
        bcrypt::verify(bytes, stored).unwrap_or(false) && bcrypt_takes(bytes)
    }
}

/// Bcrypt looks at 72 bytes, and repeats a shorter password behind a NUL: past that, others would match too.
fn bcrypt_takes(password: &[u8]) -> bool {
    password.len() <= 72 && !password.contains(&0)
}

fn is_outdated(algorithm: PasswordHash, stored: &str) -> bool {
    let current = match algorithm {
        PasswordHash::Argon2id => argon2id::CURRENT,
        PasswordHash::Bcrypt => "$2b$12$",
    };
    !stored.starts_with(current)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn both_algorithms_verify_and_the_other_is_outdated() {
        for (first, second) in
            [(PasswordHash::Argon2id, PasswordHash::Bcrypt), (PasswordHash::Bcrypt, PasswordHash::Argon2id)]
        {
            let password: Password = "password123".parse().unwrap();
            let stored = Passwords::new(first, false).unwrap().hash(&password).await.unwrap();
            let verify = |algorithm, text: &str, stored: Option<&Secret>| {
                let (secret, stored) = (Secret::new(text), stored.cloned());
                async move { Passwords::new(algorithm, false).unwrap().verify(secret, stored).await.unwrap() }
            };
            assert_eq!(verify(first, "password123", Some(&stored)).await, Verdict::Right);
            assert_eq!(verify(first, "password124", Some(&stored)).await, Verdict::Wrong);
            assert_eq!(verify(first, "password123", None).await, Verdict::Wrong);
            let Verdict::Outdated(upgraded) = verify(second, "password123", Some(&stored)).await else {
                panic!()
            };
            assert_eq!(verify(second, "password123", Some(&upgraded)).await, Verdict::Right);
        }
    }

    #[tokio::test]
    async fn a04_past_its_bound_the_queue_refuses_at_once_and_gives_every_place_back() {
        let passwords = Passwords::new(PasswordHash::Argon2id, false).unwrap();
        let verify = || passwords.verify(Secret::new("password123"), None);
        let outcomes = join_all((0..MAX_WAITING + 36).map(|_| verify())).await;
        let refused: Vec<u16> =
            outcomes.into_iter().filter_map(Result::err).map(|problem| problem.status().as_u16()).collect();
        assert_eq!(refused, [503; 36]);
        assert_eq!(passwords.refused.get(), 36);
        let full: Vec<_> = (0..MAX_WAITING).filter_map(|_| Place::take(&passwords.waiting)).collect();
        assert_eq!(passwords.refuse_if_full().unwrap_err().status().as_u16(), 503);
        assert_eq!(passwords.refused.get(), 37);
        drop(full);
        assert!(passwords.refuse_if_full().is_ok());
        assert_eq!(verify().await.unwrap(), Verdict::Wrong);
        assert_eq!(passwords.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn common_passwords_are_refused_where_that_is_on() {
        for (denylist, is_taken) in [(true, false), (false, true)] {
            let passwords = Passwords::new(PasswordHash::Argon2id, denylist).unwrap();
            let checked = passwords.check(&"password123".parse().unwrap(), "ada@example.com", "ada");
            assert_eq!(checked.is_ok(), is_taken);
            let good = passwords.check(&"another password".parse().unwrap(), "ada@example.com", "ada");
            assert!(good.is_ok());
        }
    }

    #[test]
    fn the_dummy_hashes_can_be_verified_and_cost_what_others_cost() {
        for algorithm in [PasswordHash::Argon2id, PasswordHash::Bcrypt] {
            assert!(!is_outdated(algorithm, algorithm.dummy()));
            assert!(!matches(&Secret::new("password123"), algorithm.dummy(), &mut Memory::default()));
        }
        assert!(bcrypt::verify("x", PasswordHash::Bcrypt.dummy()).is_ok());
    }
}
