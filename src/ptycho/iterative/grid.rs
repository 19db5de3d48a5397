//! Between the object and its patches: cutting out, and adding back in an order that no thread changes.

use num_complex::Complex32;
use rayon::prelude::*;

use super::kernels;
use super::scan::Place;

/// Weights of the pixel, its right, its lower and its lower right neighbour.
fn taps([fy, fx]: [f32; 2]) -> [f32; 4] {
    [(1.0 - fy) * (1.0 - fx), (1.0 - fy) * fx, fy * (1.0 - fx), fy * fx]
}

/// Copies the patch at `place` out of an object of `width` columns, with bilinear weights.
pub(super) fn gather(object: &[Complex32], width: usize, place: Place, side: usize, patch: &mut [Complex32]) {
    for (r, line) in patch.chunks_exact_mut(side).enumerate() {
        gather_row(object, width, place, r, line);
    }
}

/// Row `r` of the patch at `place`.
pub(super) fn gather_row(object: &[Complex32], width: usize, place: Place, r: usize, line: &mut [Complex32]) {
    let Place { corner: [row, col], fraction: [fy, fx] } = place;
    let taps = taps(place.fraction);
    let upper = &object[(row + r) * width + col..];
    if fy == 0.0 && fx == 0.0 {
        line.copy_from_slice(&upper[..line.len()]);
    } else if fx == 0.0 {
        for ((out, a), b) in line.iter_mut().zip(upper).zip(&upper[width..]) {
            *out = a * taps[0] + b * taps[2];
        }
    } else if fy == 0.0 {
        for (out, a) in line.iter_mut().zip(upper.windows(2)) {
            *out = a[0] * taps[0] + a[1] * taps[1];
        }
    } else {
        for ((out, a), b) in line.iter_mut().zip(upper.windows(2)).zip(upper[width..].windows(2)) {
            *out = a[0] * taps[0] + a[1] * taps[1] + b[0] * taps[2] + b[1] * taps[3];
        }
    }
}

/// What is added to an image: patches one after another, each row on demand.
pub(super) trait Rows<T>: Sync {
    /// Number of patches.
    fn len(&self) -> usize;
    /// Where patch `i` lies.
    fn place(&self, i: usize) -> Place;
    /// Writes row `r` of patch `i`.
    fn row(&self, i: usize, r: usize, line: &mut [T]);
}

/// A number that patches are made of.
pub(super) trait Pixel: Copy + Default + Send + Sync {
    /// `sum` += `factor`·`values`.
    fn add_scaled(values: &[Self], factor: f32, sum: &mut [Self]);
}

impl Pixel for Complex32 {
    fn add_scaled(values: &[Self], factor: f32, sum: &mut [Self]) {
        kernels::add_scaled(values, factor, sum);
    }
}

impl Pixel for f32 {
    fn add_scaled(values: &[Self], factor: f32, sum: &mut [Self]) {
        kernels::add_scaled_real(values, factor, sum);
    }
}

/// Adds patches of `side` pixels to an image of `width` columns, with the weights of [`gather`], whose adjoint
/// this is.
///
/// Threads share the image's rows, not the patches: every pixel gets its terms in the order of the patches,
/// however many threads there are.
pub(super) fn spread<T: Pixel>(image: &mut [T], width: usize, side: usize, patches: &impl Rows<T>) {
    let rows = image.len() / width;
    let threads = if patches.len() > 1 { rayon::current_num_threads() } else { 1 };
    let band = rows.div_ceil(threads).max(1);
    let fill = |(index, image): (usize, &mut [T])| {
        let mut line = vec![T::default(); side];
        for i in 0..patches.len() {
            add(image, index * band, width, side, patches, i, &mut line);
        }
    };
    match threads {
        1 => fill((0, image)),
        _ => image.par_chunks_mut(band * width).enumerate().for_each(fill),
    }
}

/// Adds what of patch `i` falls on the rows of `image`, the first of which is row `first` of the whole.
fn add<T: Pixel>(
    image: &mut [T],
    first: usize,
    width: usize,
    side: usize,
    patches: &impl Rows<T>,
    i: usize,
    line: &mut [T],
) {
    let place = patches.place(i);
    let [row, col] = place.corner;
    let weights = taps(place.fraction);
    let lower = usize::from(place.fraction[0] > 0.0);
    let end = first + image.len() / width;
    // Row r of the patch reaches rows row + r and, with a fraction, the one below.
    let from = first.saturating_sub(row + lower).min(side);
    let to = end.saturating_sub(row).min(side);
    for r in from..to {
        patches.row(i, r, line);
        for (tap, (down, right)) in weights.into_iter().zip([(0, 0), (0, 1), (1, 0), (1, 1)]) {
            let at = row + r + down;
            if tap > 0.0 && at >= first && at < end {
                let start = (at - first) * width + col + right;
                T::add_scaled(line, tap, &mut image[start..start + side]);
            }
        }
    }
}

/// The same real patch at every place.
pub(super) struct Stamp<'a> {
    pub places: &'a [Place],
    pub patch: &'a [f32],
    pub side: usize,
}

impl Rows<f32> for Stamp<'_> {
    fn len(&self) -> usize {
        self.places.len()
    }
    fn place(&self, i: usize) -> Place {
        self.places[i]
    }
    fn row(&self, _: usize, r: usize, line: &mut [f32]) {
        line.copy_from_slice(&self.patch[r * self.side..(r + 1) * self.side]);
    }
}
