//! Chance that can be repeated.

use uuid::Uuid;

use crate::environment;

/// Repeats what an earlier run has printed.
const VARIABLE: &str = "NUNCIO_SEED";

/// Numbers that look random and follow from a seed: `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom
/// number generators", 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Other dice that follow from these.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self(self.roll())
    }

    /// Any number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The seed of this run: from the environment, or a new one. A test prints it, so that it can be run again.
pub fn seed() -> u64 {
    environment::number(VARIABLE).unwrap_or_else(|| Uuid::now_v7().as_u64_pair().1)
}
