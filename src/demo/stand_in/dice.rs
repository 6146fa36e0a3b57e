//! Chance that repeats: the same host and count give the same run.

/// A splitmix64 generator.
pub(super) struct Dice(u64);

impl Dice {
    /// For the run number `count` of a host.
    pub(super) fn new(host: &str, count: u64) -> Self {
        let seed = host
            .bytes()
            .fold(count, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` up to, not including, `high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low).max(1)
    }

    /// Some of these, at least one, in their order.
    pub(super) fn some<T: Copy>(&mut self, of: &[T]) -> Vec<T> {
        let mut chosen: Vec<T> = of
            .iter()
            .copied()
            .filter(|_| self.between(0, 3) > 0)
            .collect();
        if chosen.is_empty() {
            chosen.extend(of.first());
        }
        chosen
    }

    /// The hash part of a store path.
    pub(super) fn hash(&mut self) -> String {
        const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
        (0..32)
            .map(|_| char::from(DIGITS[(self.next() % 32) as usize]))
            .collect()
    }

    /// A git revision.
    pub(super) fn revision(&mut self) -> String {
        (0..40)
            .map(|_| char::from_digit((self.next() % 16) as u32, 16).unwrap_or('0'))
            .collect()
    }
}
