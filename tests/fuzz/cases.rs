//! Runs a parser on the seeds of `tests/fuzz` and on many variations of them. Unlike a fuzzer, this
//! needs no compiler that counts branches, and therefore works in a plain test.

use std::path::Path;
use std::prelude::rust_2024::*;
use std::time::{Duration, Instant};
use std::{env, fs};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

/// A part of a seed: the seed, the offset and the length.
type Part = (Index, Index, usize);

/// Returns how long to try each of `count` parsers, or `None` outside of `scripts/torture`.
pub fn share(count: u32) -> Option<Duration> {
    let seconds = env::var("ROOTLET_TORTURE_SECONDS").ok()?;
    Some(Duration::from_secs(seconds.parse().unwrap()) / count)
}

/// Failures are reported, and not kept in a file.
pub fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Panics if the parser does, with the smallest input that makes it panic. Returns the number of
/// cases.
pub fn try_all(name: &str, parser: impl Fn(&[u8]), time: Option<Duration>) -> u64 {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    let seeds: Vec<Vec<u8>> = fs::read_dir(directory.join(name))
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    seeds.iter().for_each(|seed| parser(seed));
    let mut count = seeds.len() as u64;

    let part = (any::<Index>(), any::<Index>(), 0_usize..12);
    let new = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Ok),
        part.prop_map(Err)
    ];
    let change = (any::<Index>(), 0_usize..8, new);
    let changed = (any::<Index>(), prop::collection::vec(change, 0..12));
    let part_of_seed = |(seed, start, length): Part| -> Vec<u8> {
        let seed = seed.get(&seeds);
        let start = start.index(seed.len() + 1);
        seed.iter().skip(start).take(length).copied().collect()
    };
    let end = time.map(|time| Instant::now() + time);
    loop {
        let mut runner = TestRunner::new(config(if cfg!(miri) { 4 } else { 256 }));
        let result = runner.run(&changed, |(seed, changes)| {
            let mut text = seed.get(&seeds).clone();
            for (at, removed, new) in changes {
                let at = at.index(text.len() + 1);
                let removed = at..(at + removed).min(text.len());
                text.splice(removed, new.unwrap_or_else(part_of_seed));
            }
            parser(&text);
            Ok(())
        });
        result.unwrap_or_else(|error| std::panic!("{name}: {error}"));
        count += u64::from(runner.config().cases);
        if end.is_none_or(|end| Instant::now() >= end) {
            return count;
        }
    }
}
