//! The Mersenne Twister exactly as NumPy's legacy `RandomState` runs it.

/// Words of state.
const N: usize = 624;
/// Offset of the word that a twist mixes in.
const M: usize = 397;
const MATRIX: u32 = 0x9908_b0df;

/// MT19937, bit for bit `numpy.random.RandomState(seed)` (Matsumoto and Nishimura 1998). For draws that
/// must equal the reference study's; anything else takes [`keyed`](super::keyed()).
#[derive(Debug, Clone)]
pub struct Mt19937 {
    key: [u32; N],
    position: usize,
}

impl Mt19937 {
    /// The generator NumPy's `seed(seed)` makes.
    pub fn new(seed: u32) -> Self {
        let mut key = [seed; N];
        for i in 1..N {
            let previous = key[i - 1];
            key[i] = 1_812_433_253u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(i as u32);
        }
        Self { key, position: N }
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.position == N {
            self.twist();
        }
        let mut y = self.key[self.position];
        self.position += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// A double in [0, 1) with 53 random bits, from two draws.
    pub fn unit(&mut self) -> f64 {
        let (high, low) = (self.next_u32() >> 5, self.next_u32() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// A double in [lo, hi), as `RandomState.uniform`.
    pub fn uniform(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * self.unit()
    }

    fn twist(&mut self) {
        for i in 0..N {
            let mixed = (self.key[i] & 0x8000_0000) | (self.key[(i + 1) % N] & 0x7fff_ffff);
            let matrix = if mixed & 1 == 0 { 0 } else { MATRIX };
            self.key[i] = self.key[(i + M) % N] ^ (mixed >> 1) ^ matrix;
        }
        self.position = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Mt19937;

    #[test]
    fn first_words_equal_numpy() {
        let mut rng = Mt19937::new(42);
        let words: Vec<u32> = (0..4).map(|_| rng.next_u32()).collect();
        assert_eq!(words, [1_608_637_542, 3_421_126_067, 4_083_286_876, 787_846_414]);
    }

    #[test]
    fn positions_of_the_reference_study() {
        let mut rng = Mt19937::new(42);
        let x: Vec<f64> = (0..10_304).map(|_| rng.uniform(64.0, 400.0)).collect();
        assert_eq!(x[..3], [189.8454799327138, 383.4400069537318, 309.9499644486321]);
        // More than 624 words later, so that several twists are behind these.
        assert_eq!(rng.uniform(64.0, 400.0), 150.884298441732);
        assert_eq!(rng.uniform(64.0, 400.0), 307.33285070361234);
    }
}
