//! A mapping's keys: which are known, which stand twice, which one was meant.

use super::fault::Faults;
use super::yaml::{Node, Value};

/// How many letters may differ between what was written and what was meant.
const NEAR: usize = 3;

/// A mapping of known keys, none twice.
pub(super) struct Keys<'a> {
    map: &'a Node,
    found: Vec<(&'a str, &'a Node)>,
    /// What the unknown keys were probably meant to be: these aren't missing too.
    meant: Vec<&'static str>,
}

impl<'a> Keys<'a> {
    /// Tells of every key that isn't `known`, and of every one that stands again.
    pub(super) fn read(
        map: &'a Node,
        what: &str,
        known: &'static [&'static str],
        faults: &mut Faults,
    ) -> Option<Self> {
        let Value::Map(entries) = &map.value else {
            let message = format!("{what} must be a mapping with the keys {}", known.join(", "));
            faults.add(map.referenced, format!("{message}; this is {}", map.value.kind()));
            return None;
        };
        let mut keys = Self { map, found: Vec::new(), meant: Vec::new() };
        for (key, value) in entries {
            if !known.contains(&key.value.as_str()) {
                let nearest = nearest(&key.value, known);
                keys.meant.extend(nearest);
                faults.add(key.referenced, unknown(&key.value, nearest, what, known));
            } else if keys.get(&key.value).is_some() {
                faults.add(key.referenced, format!("the key `{}` stands twice", key.value));
            } else {
                keys.found.push((&key.value, value));
            }
        }
        Some(keys)
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.found.iter().find(|(found, _)| *found == key).map(|(_, value)| *value)
    }

    /// The value of a key that must be there.
    pub(super) fn require(&self, key: &str, faults: &mut Faults) -> Option<&'a Node> {
        let value = self.get(key);
        if value.is_none() && !self.meant.contains(&key) {
            faults.add(self.map.referenced, format!("the key `{key}` is missing"));
        }
        value
    }
}

fn nearest(key: &str, known: &'static [&'static str]) -> Option<&'static str> {
    let distance = |known: &str| strsim::damerau_levenshtein(&key.to_lowercase(), known);
    let nearest = known.iter().copied().min_by_key(|known| distance(known))?;
    (distance(nearest) <= NEAR.min(nearest.len() / 2)).then_some(nearest)
}

fn unknown(key: &str, nearest: Option<&str>, what: &str, known: &[&str]) -> String {
    let meant = nearest.map(|nearest| format!(": did you mean `{nearest}`?")).unwrap_or(".".to_owned());
    format!("unknown key `{key}`{meant} The keys of {what} are {}", known.join(", "))
}
