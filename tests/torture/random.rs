//! Random numbers from a seed, which is printed. `ROOTLET_TORTURE_SEED` repeats a run.

use std::sync::OnceLock;
use std::time::SystemTime;

/// Returns the seed of this whole run.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let seed = match std::env::var("ROOTLET_TORTURE_SEED") {
            Ok(text) => text.parse().unwrap(),
            Err(_) => SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
        };
        println!("ROOTLET_TORTURE_SEED={seed}");
        seed
    })
}

/// xorshift64*.
pub struct Random(u64);

impl Random {
    pub fn new(stream: u64) -> Random {
        let mut random = Random(seed() ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.below(1);
        random
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % limit
    }

    /// Returns the numbers below `length` in a random order.
    pub fn order(&mut self, length: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..length).collect();
        for index in (1..length).rev() {
            order.swap(index, self.below(index as u64 + 1) as usize);
        }
        order
    }
}
