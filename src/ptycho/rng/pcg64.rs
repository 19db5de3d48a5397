//! PCG64 with NumPy's seeding and its `Generator.choice`.

/// Multiplier of the 128-bit congruential step.
const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;

/// PCG64 XSL-RR 128/64, bit for bit `numpy.random.default_rng(seed)`. For draws that must equal the
/// reference study's; anything else takes [`keyed`](super::keyed()).
#[derive(Debug, Clone)]
pub struct Pcg64 {
    state: u128,
    increment: u128,
    /// High half of a 64-bit draw of which only the low half was used.
    buffered: Option<u32>,
}

impl Pcg64 {
    /// The generator `numpy.random.default_rng(seed)` makes.
    pub fn new(seed: u64) -> Self {
        let words = seed_sequence::<8>(seed);
        // A pair of words is one u64, low half first; the first of two u64 is the high half of a u128.
        let quad = |i: usize| {
            let pair = |j: usize| u128::from(words[j]) | u128::from(words[j + 1]) << 32;
            pair(i) << 64 | pair(i + 2)
        };
        let mut rng = Self { state: 0, increment: quad(4) << 1 | 1, buffered: None };
        rng.step();
        rng.state = rng.state.wrapping_add(quad(0));
        rng.step();
        rng
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    /// The next 32 bits: the low half of a 64-bit draw, then its high half.
    pub fn next_u32(&mut self) -> u32 {
        if let Some(high) = self.buffered.take() {
            return high;
        }
        let draw = self.next_u64();
        self.buffered = Some((draw >> 32) as u32);
        draw as u32
    }

    /// A whole number in 0..=`max`, all equally likely (Lemire's multiplication method, 32 bits).
    /// No draw is made for `max` = 0.
    pub fn bounded(&mut self, max: u32) -> u32 {
        if max == 0 {
            return 0;
        }
        if max == u32::MAX {
            return self.next_u32();
        }
        let span = max + 1;
        let mut product = u64::from(self.next_u32()) * u64::from(span);
        if (product as u32) < span {
            let threshold = (u32::MAX - max) % span;
            while (product as u32) < threshold {
                product = u64::from(self.next_u32()) * u64::from(span);
            }
        }
        (product >> 32) as u32
    }

    /// `k` different numbers below `n`, as `Generator.choice(n, k, replace=False)`; `None` if `k` > `n`.
    pub fn choice(&mut self, n: u32, k: u32) -> Option<Vec<u32>> {
        if k > n {
            return None;
        }
        // NumPy's rule for when remembering the chosen beats shuffling everything.
        Some(if n <= 10_000 || k <= n / 50 { self.floyd(n, k) } else { self.tail_shuffle(n, k) })
    }

    /// `k` numbers below `n`, repetitions allowed, as `Generator.choice(n, k)`; `None` if `n` is 0.
    pub fn choice_with_replacement(&mut self, n: u32, k: u32) -> Option<Vec<u32>> {
        let max = n.checked_sub(1)?;
        Some((0..k).map(|_| self.bounded(max)).collect())
    }

    /// Floyd's sampling, then a shuffle, because Floyd's order is not random.
    fn floyd(&mut self, n: u32, k: u32) -> Vec<u32> {
        let mut taken = vec![false; n as usize];
        let mut chosen = Vec::with_capacity(k as usize);
        for j in n - k..n {
            let draw = self.bounded(j);
            let value = if taken[draw as usize] { j } else { draw };
            taken[value as usize] = true;
            chosen.push(value);
        }
        for i in (1..chosen.len()).rev() {
            chosen.swap(i, self.bounded(i as u32) as usize);
        }
        chosen
    }

    /// A Fisher–Yates shuffle that stops once the last `k` places are settled.
    fn tail_shuffle(&mut self, n: u32, k: u32) -> Vec<u32> {
        let mut all: Vec<u32> = (0..n).collect();
        for i in ((n - k).max(1)..n).rev() {
            all.swap(i as usize, self.bounded(i) as usize);
        }
        all.split_off((n - k) as usize)
    }

    fn step(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }
}

/// One of NumPy's running hashes: every use multiplies the state on.
struct RunningHash {
    state: u32,
    multiplier: u32,
}

impl RunningHash {
    fn apply(&mut self, value: u32) -> u32 {
        let value = value ^ self.state;
        self.state = self.state.wrapping_mul(self.multiplier);
        let value = value.wrapping_mul(self.state);
        value ^ value >> 16
    }
}

/// The first `WORDS` words of NumPy's `SeedSequence(entropy)` (O'Neill's `seed_seq_fe`), for entropy of
/// at most two words, which is less than the pool holds.
fn seed_sequence<const WORDS: usize>(entropy: u64) -> [u32; WORDS] {
    let mut hash = RunningHash { state: 0x43b0_d7e5, multiplier: 0x931e_8875 };
    let mut pool = [entropy as u32, (entropy >> 32) as u32, 0, 0].map(|word| hash.apply(word));
    for source in 0..pool.len() {
        for target in (0..pool.len()).filter(|t| *t != source) {
            let mixed = 0xca01_f9ddu32
                .wrapping_mul(pool[target])
                .wrapping_sub(0x4973_f715u32.wrapping_mul(hash.apply(pool[source])));
            pool[target] = mixed ^ mixed >> 16;
        }
    }
    let mut hash = RunningHash { state: 0x8b51_f9dd, multiplier: 0x58f3_8ded };
    std::array::from_fn(|i| hash.apply(pool[i % pool.len()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64) -> [u64; 3] {
        let mut rng = Pcg64::new(seed);
        std::array::from_fn(|_| rng.next_u64())
    }

    fn chosen(seed: u64, n: u32, k: u32, shown: usize) -> Vec<u32> {
        let all = Pcg64::new(seed).choice(n, k).unwrap();
        assert_eq!(all.len(), k as usize);
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), k as usize);
        all[..shown].to_vec()
    }

    #[test]
    fn seeding_equals_numpy() {
        assert_eq!(
            seed_sequence::<8>(42),
            [0xcd540ab7, 0x9f1e2e6d, 0x79fb94b6, 0xd57873dc, 0x64d420b7, 0x7d282a1b, 0x4692d5ff, 0x33657971]
        );
        let rng = Pcg64::new(42);
        assert_eq!(rng.state, 0xcea44f6798798f2aacbc7c9d68860ac8);
        assert_eq!(rng.increment, 0xfa505436c9a8416e66caf2e28d25abff);
    }

    #[test]
    fn streams_equal_numpy() {
        assert_eq!(first(42), [0xc621fbcd16d92688, 0x705a5661a791ffc1, 0xdbcd12c26eda1624]);
        assert_eq!(first(456), [0x783c81785a56aa4c, 0x729989a17749d9ff, 0x1fc22fd50b52e491]);
        // default_rng(2**40 + 7): entropy of two words.
        assert_eq!(first((1 << 40) + 7), [0xd46e9e2034de21aa, 0x415badc99c087675, 0x275ed40f045acb84]);
        // Halves come low first, and the high half is kept for the next call.
        let mut rng = Pcg64::new(42);
        assert_eq!([rng.next_u32(), rng.next_u32()], [0x16d92688, 0xc621fbcd]);
    }

    #[test]
    fn choices_equal_numpy() {
        assert_eq!(chosen(456, 5088, 4070, 5), [2313, 1923, 2591, 2444, 1937]);
        assert_eq!(chosen(456, 5216, 4173, 5), [1871, 2487, 4486, 2128, 4858]);
        assert_eq!(chosen(42, 4070, 512, 5), [3051, 2458, 815, 3229, 2518]);
        assert_eq!(chosen(42, 4173, 512, 5), [4153, 2526, 839, 3315, 2586]);
        assert_eq!(chosen(42, 20_000, 500, 4), [8305, 18068, 7297, 2318]);
        assert_eq!(chosen(42, 20_000, 400, 4), [16089, 8881, 13343, 8603]);
        let repeated = Pcg64::new(42).choice_with_replacement(10, 8).unwrap();
        assert_eq!(repeated, [0, 7, 6, 4, 4, 8, 0, 6]);
    }

    #[test]
    fn edges() {
        assert_eq!(Pcg64::new(1).choice(3, 4), None);
        assert_eq!(Pcg64::new(1).choice_with_replacement(0, 1), None);
        assert_eq!(Pcg64::new(1).choice(0, 0), Some(vec![]));
        // Everything is a permutation, also where the tail shuffle reaches index 1.
        let mut all = Pcg64::new(42).choice(10_001, 10_001).unwrap();
        assert_eq!(all[..4], [1591, 6497, 3899, 7780]);
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..10_001));
        // A range that must reject: 2³¹ + 1 numbers leave almost half of all words unusable.
        let mut rng = Pcg64::new(42);
        assert_eq!([(); 3].map(|()| rng.bounded(1 << 31)), [942484272, 1843824993, 184566854]);
    }
}
