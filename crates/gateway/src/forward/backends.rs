//! The backends of one route: what is known of each, and which is next.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kit::metrics::Counter;
use tokio::time::Instant;

use super::RouteTime;
use super::host::{Host, Hosts, State};
use crate::routes::{Balance, RouteConfig};

/// What became of the requests to one backend of one route since the start, repeated ones too; health checks don't
/// count.
#[derive(Debug, Default)]
pub struct Counters {
    /// The answer's head came.
    pub answered: Counter,
    /// No connection came about.
    pub refused: Counter,
    /// No proper answer came in the route's time; or one that was counted as answered broke off.
    pub broken: Counter,
    /// The client went away before the answer, or its body was refused.
    pub gone: Counter,
    in_flight: AtomicU64,
}

impl Counters {
    /// Requests begun whose answer hasn't ended.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// A service elsewhere, as one route leads to it.
pub struct Backend {
    pub(super) host: Arc<Host>,
    /// What became of this route's requests.
    pub counters: Counters,
}

impl Backend {
    pub(super) fn new(host: Arc<Host>) -> Self {
        Self { host, counters: Counters::default() }
    }

    /// Its host and port.
    pub fn address(&self) -> &str {
        self.host.authority.as_str()
    }

    /// Whether it takes work, as far as is known.
    pub fn is_ready(&self) -> bool {
        self.host.state() == State::Ready
    }

    /// Begins a request.
    pub(super) fn enter(self: &Arc<Self>) -> InFlight {
        self.host.begin();
        self.counters.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }
}

/// A request under way, until its answer's end or the client's: whatever becomes of it, this is dropped.
pub(super) struct InFlight(Arc<Backend>);

impl InFlight {
    pub(super) fn backend(&self) -> &Backend {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.host.end();
        self.0.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request whose outcome isn't known. Dropped so, it ran out of time, or its client left.
pub(super) struct Unsettled<'a> {
    backend: &'a Backend,
    time: &'a RouteTime,
    is_settled: bool,
}

impl<'a> Unsettled<'a> {
    pub(super) fn new(backend: &'a Backend, time: &'a RouteTime) -> Self {
        backend.host.begin_waiting();
        Self { backend, time, is_settled: false }
    }

    /// Counts its outcome.
    pub(super) fn settle(mut self, outcome: impl FnOnce(&Counters) -> &Counter) {
        outcome(&self.backend.counters).increment();
        self.is_settled = true;
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        self.backend.host.end_waiting();
        match (self.is_settled, self.time.is_over()) {
            (true, _) => {}
            (false, true) => self.backend.counters.broken.increment(),
            (false, false) => self.backend.counters.gone.increment(),
        }
    }
}

/// So many requests are sent a second time at once, and so many each second.
const MOST_RETRIES: f64 = 100.0;
const RETRIES_A_SECOND: f64 = 20.0;

/// Who may send a request a second time. Where every connection breaks, as under too much load, repeating all would double it.
struct Retries(Mutex<(f64, Instant)>);

impl Retries {
    fn new() -> Self {
        Self(Mutex::new((MOST_RETRIES, Instant::now())))
    }

    fn take(&self, now: Instant) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let more = now.duration_since(left.1).as_secs_f64() * RETRIES_A_SECOND;
        let there = (left.0 + more).min(MOST_RETRIES);
        let may = there >= 1.0;
        *left = (if may { there - 1.0 } else { there }, now);
        may
    }
}

/// All backends of one route.
pub(crate) struct Backends {
    all: Vec<Arc<Backend>>,
    balance: Balance,
    turn: AtomicUsize,
    retries: Retries,
}

impl Backends {
    pub(crate) fn new(route: &RouteConfig, hosts: &mut Hosts) -> Self {
        let check = &route.terms.health_check;
        let mut backend = |authority| Arc::new(Backend::new(hosts.of(authority, check)));
        let all = route.backends.iter().map(|configured| backend(&configured.0)).collect();
        Self { all, balance: route.terms.balance, turn: AtomicUsize::new(0), retries: Retries::new() }
    }

    /// Whether a request whose connection broke may be sent once more.
    pub(super) fn may_repeat(&self) -> bool {
        self.retries.take(Instant::now())
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.all.iter()
    }

    /// Whether one of them takes work.
    pub(super) fn any_ready(&self) -> bool {
        self.all.iter().any(|backend| backend.is_ready())
    }

    /// The backend that is next: a ready one, else one that is unready, another than `last` if there is one; `None` if
    /// all are down.
    pub(super) fn choose(&self, last: Option<&Arc<Backend>>) -> Option<&Arc<Backend>> {
        self.choose_of(State::Ready, last).or_else(|| self.choose_of(State::Unready, last))
    }

    fn choose_of(&self, state: State, last: Option<&Arc<Backend>>) -> Option<&Arc<Backend>> {
        let fitting = || self.all.iter().filter(|backend| backend.host.state() == state);
        let is_last = |backend: &Arc<Backend>| last.is_some_and(|last| Arc::ptr_eq(last, backend));
        let others = || fitting().filter(|backend| !is_last(backend));
        let chosen = match others().count() {
            0 | 1 => others().next(),
            count => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                match self.balance {
                    Balance::RoundRobin => others().nth(turn % count),
                    Balance::LeastLoaded => {
                        let pair = two_of(count, turn).into_iter().filter_map(|index| others().nth(index));
                        pair.min_by_key(|backend| backend.host.in_flight())
                    }
                }
            }
        };
        // One may have changed since they were counted; and the last one is better than none.
        chosen.or_else(|| fitting().next())
    }
}

/// Two different numbers below `count`, which is at least 2: the turn, well mixed (the finalizer of SplitMix64),
/// since chance for its own sake isn't needed.
fn two_of(count: usize, turn: usize) -> [usize; 2] {
    let mut mixed = (turn as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let (low, high) = ((mixed & 0xffff_ffff) as usize, (mixed >> 32) as usize);
    let first = low % count;
    [first, (first + 1 + high % (count - 1)) % count]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::routes::Terms;

    use super::*;

    fn backends(count: u16, balance: Balance) -> Backends {
        let (mut hosts, check) = (Hosts::default(), Terms::default().health_check);
        let mut host = |port| hosts.of(&format!("a:{port}").parse().unwrap(), &check);
        let all = (1..=count).map(|port| Arc::new(Backend::new(host(port)))).collect();
        Backends { all, balance, turn: AtomicUsize::new(0), retries: Retries::new() }
    }

    /// How often each is chosen, if every request ends at once.
    fn choices(backends: &Backends, rounds: usize) -> Vec<usize> {
        let mut counts = vec![0; backends.len()];
        for _ in 0..rounds {
            let chosen = backends.choose(None).unwrap();
            counts[backends.iter().position(|backend| Arc::ptr_eq(backend, chosen)).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn the_load_is_spread() {
        for count in [2, 3, 5] {
            let even = choices(&backends(count, Balance::RoundRobin), 100 * usize::from(count));
            assert!(even.iter().all(|chosen| *chosen == 100), "{even:?}");
            let about_even = choices(&backends(count, Balance::LeastLoaded), 1000 * usize::from(count));
            assert!(about_even.iter().all(|chosen| (850..1150).contains(chosen)), "{about_even:?}");
        }
    }

    #[test]
    fn the_least_loaded_of_two_is_chosen() {
        let two = backends(2, Balance::LeastLoaded);
        let slow = two.all[0].enter();
        assert_eq!(choices(&two, 100), [0, 100]);
        drop(slow);
        let four = backends(4, Balance::LeastLoaded);
        let held: Vec<InFlight> = (0..400).map(|_| four.choose(None).unwrap().enter()).collect();
        let loads: Vec<u64> = four.iter().map(|backend| backend.counters.in_flight()).collect();
        assert!(loads.iter().all(|load| (90..=110).contains(load)), "{loads:?}");
        drop(held);
        assert!(four.iter().all(|backend| backend.counters.in_flight() == 0));
    }

    /// What one route has under way there weighs in another's choice.
    #[test]
    fn the_load_of_other_routes_counts() {
        let one = backends(2, Balance::LeastLoaded);
        let again = |backend: &Arc<Backend>| Arc::new(Backend::new(Arc::clone(&backend.host)));
        let other = Backends { all: one.iter().map(again).collect(), ..backends(0, Balance::LeastLoaded) };
        let slow = one.all[0].enter();
        assert_eq!(choices(&other, 100), [0, 100]);
        assert_eq!((other.all[0].counters.in_flight(), one.all[0].counters.in_flight()), (0, 1));
        drop(slow);
        one.all[1].host.set_down("a test");
        assert_eq!(choices(&other, 10), [10, 0]);
    }

    #[test]
    fn only_so_many_are_repeated() {
        let (retries, start) = (Retries::new(), Instant::now());
        let taken = |after| (0..1000).filter(|_| retries.take(start + Duration::from_millis(after))).count();
        assert_eq!([0, 0, 500, 3_600_000].map(taken), [100, 0, 10, 100]);
    }

    #[test]
    fn who_is_down_is_not_chosen() {
        for balance in Balance::ALL {
            let three = backends(3, balance);
            three.all[1].host.set_down("a test");
            assert_eq!(choices(&three, 100)[1], 0);
            three.all[0].host.set_down("a test");
            assert_eq!(choices(&three, 10), [0, 0, 10]);
            assert!(three.choose(Some(&three.all[2])).is_some(), "the last is better than none");
            three.all[2].host.set_down("a test");
            assert!(three.choose(None).is_none());
            three.all[0].host.set_ready();
            assert_eq!(choices(&three, 10), [10, 0, 0]);
        }
    }

    #[test]
    fn who_is_unready_is_chosen_where_nobody_is_ready() {
        for balance in Balance::ALL {
            let three = backends(3, balance);
            three.all[0].host.set_unready("a test");
            three.all[1].host.set_down("a test");
            assert_eq!(choices(&three, 10), [0, 0, 10]);
            assert!(
                Arc::ptr_eq(three.choose(Some(&three.all[2])).unwrap(), &three.all[2]),
                "it is still ready"
            );
            three.all[2].host.set_unready("a test");
            let chosen = choices(&three, 100);
            assert!(chosen[0] > 0 && chosen[1] == 0 && chosen[2] > 0, "{chosen:?}");
            assert!(!three.any_ready());
            three.all[1].host.set_ready();
            assert_eq!(choices(&three, 10), [0, 10, 0]);
        }
    }

    #[test]
    fn another_than_the_last_is_chosen() {
        for balance in Balance::ALL {
            let two = backends(2, balance);
            for _ in 0..20 {
                assert!(Arc::ptr_eq(two.choose(Some(&two.all[0])).unwrap(), &two.all[1]));
            }
        }
    }

    #[test]
    fn two_are_always_two() {
        for count in 2..9 {
            for turn in (0..500).chain([usize::MAX]) {
                let [first, second] = two_of(count, turn);
                assert!(first != second && first < count && second < count);
            }
        }
    }
}
