//! The corpus of the fuzzer, and changes of it at random, through the fuzzer's own targets (`scripts/fuzz.sh` runs them for longer, guided by coverage).

use std::fs;
use std::path::Path;

#[path = "../../../../../fuzz/src/targets.rs"]
mod targets;

use self::targets::{Subject, TARGETS};
use crate::harness::Random;

/// How many changes of each target's seeds; most cost some hundred microseconds.
const CHANGES: usize = 300;

#[test]
fn what_fuzzing_looks_for_is_not_found_near_the_corpus() {
    let (subject, mut random) = (Subject::new(), Random::new());
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let seeds: Vec<Vec<u8>> =
            fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
        seeds.iter().for_each(|seed| target(&subject, seed));
        for _ in 0..CHANGES {
            let (seed, other) = (&seeds[random.below(seeds.len())], &seeds[random.below(seeds.len())]);
            target(&subject, &changed(seed.clone(), other, &mut random));
        }
    }
}

/// Some bytes flipped, taken out, put in or repeated, and sometimes the rest of another seed.
fn changed(mut bytes: Vec<u8>, other: &[u8], random: &mut Random) -> Vec<u8> {
    const SIGNS: &[u8] = b"\0\xff%/.;\\\"'{}[]:,= \r\n-0\xed\xa0\x80";
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.insert(at, SIGNS[random.below(SIGNS.len())]),
            3 => {
                let again = bytes[at..].to_vec();
                bytes.splice(at..at, again.into_iter().take(40));
            }
            _ => {
                bytes.truncate(at);
                bytes.extend(&other[random.below(other.len() + 1)..]);
            }
        }
    }
    bytes
}
