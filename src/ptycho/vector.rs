//! Loops that are compiled for wider processors, too, without a change of their results.

/// Defines a loop and compiles it twice: for any processor, and for those with AVX2. The operations and their
/// order are the same (nothing is fused), so the results are the same to the bit.
macro_rules! kernel {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        $vis fn $name($($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            fn plain($($arg: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn wide($($arg: $type),*) $(-> $result)? {
                plain($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has just said that it has these instructions.
                return unsafe { wide($($arg),*) };
            }
            plain($($arg),*)
        }
    };
}

pub(crate) use kernel;

/// Values looked at side by side.
const LANES: usize = 8;

kernel! {
    /// Whether every value is finite.
    pub(crate) fn all_finite(values: &[f64]) -> bool {
        // Zero times what is not finite is NaN, and stays so.
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += value * 0.0;
            }
        }
        lanes.iter().sum::<f64>() == 0.0 && rest.iter().all(|v| v.is_finite())
    }
}

kernel! {
    /// \[smallest, largest\] of finite values and of two others.
    pub(crate) fn extremes(values: &[f64], so_far: [f64; 2]) -> [f64; 2] {
        let (mut low, mut high) = ([so_far[0]; LANES], [so_far[1]; LANES]);
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                low[i] = if chunk[i] < low[i] { chunk[i] } else { low[i] };
                high[i] = if chunk[i] > high[i] { chunk[i] } else { high[i] };
            }
        }
        let least = low.iter().chain(rest).copied().fold(so_far[0], f64::min);
        let most = high.iter().chain(rest).copied().fold(so_far[1], f64::max);
        [least, most]
    }
}
