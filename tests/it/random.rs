//! Chance that can be repeated: everything that a test decides at random follows from a seed, which it prints.

use uuid::Uuid;

/// What the environment says to a test.
#[expect(clippy::disallowed_methods, reason = "the program's config reads it for itself; tests have none")]
pub fn asked<T: std::str::FromStr>(variable: &str) -> Option<T> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} cannot be {value}")))
}

/// SplitMix64.
pub struct Random(u64);

impl Random {
    /// From `PHOTOMETA_TEST_SEED`, or anew. A failing test shows what it has printed.
    pub fn seeded() -> Self {
        let seed = asked("PHOTOMETA_TEST_SEED").unwrap_or_else(|| Uuid::new_v4().as_u64_pair().1);
        println!("to repeat: PHOTOMETA_TEST_SEED={seed}");
        Self(seed)
    }

    /// Always the same for a worker.
    pub fn of_worker(worker: usize) -> Self {
        Self(u64::try_from(worker).unwrap())
    }

    /// Another one, which hangs on a number only: what one round decides leaves the next one alone.
    pub fn of(&self, number: u64) -> Self {
        let mut random = Self(self.0 ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        Self(random.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below another one.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// The same, of another type.
    pub fn number(&mut self, end: i32) -> i32 {
        i32::try_from(self.below(usize::try_from(end).unwrap())).unwrap()
    }

    /// Whether it is the one case in so many.
    pub fn one_in(&mut self, cases: usize) -> bool {
        self.below(cases) == 0
    }

    /// A UUID.
    pub fn uuid(&mut self) -> Uuid {
        let bits = u128::from(self.next()) << 64 | u128::from(self.next());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, several: &[T]) -> T {
        several[self.below(several.len())]
    }

    /// Puts things into another order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for end in (1..things.len()).rev() {
            things.swap(end, self.below(end + 1));
        }
    }
}
