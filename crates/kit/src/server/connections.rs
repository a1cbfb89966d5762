//! How many connections a port holds at once, in all and from one origin, so that nobody takes its memory and file handles by opening more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

use crate::limit::Origin;
use crate::metrics::{Counter, Text};

/// The connections of one port.
pub struct Connections {
    most: usize,
    most_of_one: usize,
    trusted: Vec<IpNet>,
    open: Mutex<Open>,
    refused: Counter,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_origin: HashMap<Origin, usize>,
}

impl Connections {
    /// At most `most` at once, and `most_of_one` from one origin that is neither this machine nor `trusted`: many clients may
    /// come from there.
    pub fn new(most: usize, most_of_one: usize, trusted: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, trusted, open: Mutex::default(), refused: Counter::default() })
    }

    /// Room for one more, until it is dropped; none if there is none, which is counted.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let is_trusted = address.is_loopback() || self.trusted.iter().any(|net| net.contains(&address));
        let origin = (!is_trusted).then(|| Origin::of(Some(address)));
        if self.lock().admit(origin, self.most, self.most_of_one) {
            return Some(Place { connections: Arc::clone(self), origin });
        }
        self.refused.increment();
        None
    }

    /// Writes how many there are, and how many were closed for want of room.
    pub fn write_metrics(&self, service: &str, text: &mut Text) {
        let labels = [("service", service)];
        #[expect(clippy::cast_precision_loss, reason = "connections are far below 2^52")]
        let open = self.lock().all as f64;
        text.gauge("storehouse_connections", "Open connections of clients.", &labels, open);
        let help = "Connections that were closed at once, since there were too many.";
        text.counter("storehouse_connections_refused_total", help, &labels, self.refused.get());
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Nothing panics while it is held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn admit(&mut self, origin: Option<Origin>, most: usize, most_of_one: usize) -> bool {
        if self.all >= most {
            return false;
        }
        if let Some(origin) = origin {
            let count = self.by_origin.entry(origin).or_default();
            if *count >= most_of_one {
                return false;
            }
            *count += 1;
        }
        self.all += 1;
        true
    }

    fn release(&mut self, origin: Option<Origin>) {
        self.all -= 1;
        let Some(origin) = origin else { return };
        if let Some(count) = self.by_origin.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.by_origin.remove(&origin);
            }
        }
    }
}

/// Of one connection, until it ends.
pub(super) struct Place {
    connections: Arc<Connections>,
    origin: Option<Origin>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().release(self.origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(connections: &Arc<Connections>, address: &str) -> Option<Place> {
        connections.enter(address.parse().unwrap())
    }

    #[test]
    fn there_are_so_many_in_all_and_so_many_from_one_origin() {
        let port = Connections::new(4, 2, vec!["192.0.2.0/24".parse().unwrap()]);
        let one = [enter(&port, "203.0.113.1"), enter(&port, "::ffff:203.0.113.1")];
        assert!(one.iter().all(Option::is_some) && enter(&port, "203.0.113.1").is_none());
        let network = [enter(&port, "2001:db8::1"), enter(&port, "2001:db8::2")];
        assert!(network.iter().all(Option::is_some), "another origin has room of its own");
        assert!(enter(&port, "203.0.113.2").is_none(), "there are four");
        drop(network);
        let trusted: Vec<_> = [enter(&port, "192.0.2.7"), enter(&port, "127.0.0.1")].into();
        assert!(trusted.iter().all(Option::is_some));
        assert!(enter(&port, "127.0.0.1").is_none(), "there are four again");
        assert_eq!(port.refused.get(), 3);
    }

    #[test]
    fn nothing_is_kept_of_who_has_gone() {
        let port = Connections::new(100, 3, Vec::new());
        for _ in 0..2 {
            let places: Vec<_> = (0..3).map(|_| enter(&port, "203.0.113.1")).collect();
            assert!(places.iter().all(Option::is_some) && enter(&port, "203.0.113.1").is_none());
            assert!(enter(&port, "2001:db8:1:1::1").is_some());
        }
        let open = port.lock();
        assert!(open.all == 0 && open.by_origin.is_empty());
    }
}
