//! From what a file stores to the contract: amplitudes, zero frequency in the middle, a canvas for the
//! positions, a probe in the units of the data.

use ndarray::{Array2, Array3, ArrayViewMut2, Axis, s};
use num_complex::Complex32;

use super::params::{Params, Positions};
use crate::diag::{StageError, StageResult};
use crate::ptycho::dataset::Dataset;
use crate::ptycho::fft::{Fft2, fftshift2, ifftshift2, shifted};

/// Amplitudes from counts, in place.
pub fn take_roots(diffraction: &mut Array3<f32>) {
    diffraction.mapv_inplace(f32::sqrt);
}

/// Moves the zero frequency of every pattern from index 0 to index N/2.
pub fn center_zero_frequency(diffraction: &mut Array3<f32>) {
    diffraction.outer_iter_mut().for_each(center);
}

/// Moves what is at index 0 of an image to index N/2.
pub fn center<T: Copy>(mut image: ArrayViewMut2<T>) {
    let ((rows, cols), source) = (image.dim(), image.to_owned());
    image.indexed_iter_mut().for_each(|((r, c), v)| *v = source[[shifted(r, rows), shifted(c, cols)]]);
}

/// Share of the summed squared amplitudes within N/4 of index N/2, and of index 0 (wrapped around).
/// Whichever is larger tells where the zero frequency really is.
pub fn concentration(diffraction: &Array3<f32>) -> [f64; 2] {
    let side = diffraction.len_of(Axis(1));
    let (mut total, mut center, mut corner) = (0.0, 0.0, 0.0);
    for image in diffraction.outer_iter() {
        for ((r, c), amplitude) in image.indexed_iter() {
            let value = f64::from(*amplitude).powi(2);
            let from_center = |i: usize| i.abs_diff(side / 2);
            let from_corner = |i: usize| i.min(side - i);
            total += value;
            if from_center(r).pow(2) + from_center(c).pow(2) < (side / 4).pow(2) {
                center += value;
            }
            if from_corner(r).pow(2) + from_corner(c).pow(2) < (side / 4).pow(2) {
                corner += value;
            }
        }
    }
    if total > 0.0 { [center / total, corner / total] } else { [0.0, 0.0] }
}

/// A probe for data without one: the inverse transform of the root of the mean intensity. Its pattern is the mean
/// pattern, which is that of the probe alone where the object scatters little; its phase on the detector is flat,
/// so it is in focus.
pub fn guess_probe(diffraction: &Array3<f32>) -> Array2<Complex32> {
    let (m, rows, cols) = diffraction.dim();
    let mut mean = vec![0.0f64; rows * cols];
    for image in diffraction.outer_iter() {
        mean.iter_mut().zip(&image).for_each(|(sum, a)| *sum += f64::from(*a).powi(2));
    }
    let roots: Vec<Complex32> =
        mean.iter().map(|sum| Complex32::new((sum / m as f64).sqrt() as f32, 0.0)).collect();
    let mut wave = ifftshift2(&roots, rows, cols);
    Fft2::new(rows, cols).inverse(&mut wave);
    let wave = fftshift2(&wave, rows, cols);
    // The plain inverse transform; times this it is unitary.
    let unitary = ((rows * cols) as f32).sqrt().recip();
    Array2::from_shape_fn((rows, cols), |(r, c)| wave[r * cols + c] * unitary)
}

/// Keeps the central `size` × `size` detector pixels; returns the share of photons kept.
///
/// Half the detector means half the resolution: an object pixel becomes N/size times as large, so that
/// positions in pixels are multiplied by size/N, and the probe is cut in Fourier space likewise (unitary
/// transforms, so its power is what falls inside the cut).
pub fn crop_detector(data: &mut Dataset, size: usize) -> StageResult<f64> {
    let side = data.side();
    if size > side {
        return Err(StageError::input(format!("`crop` is {size}, but patterns are {side}×{side} pixels")));
    }
    if data.object.is_some() {
        return Err(StageError::input(
            "`crop` changes the pixel size, which the file's object would not follow",
        )
        .hint("set `drop_object: true`"));
    }
    let first = side / 2 - size / 2;
    let power = |d: &Array3<f32>| d.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>();
    let before = power(&data.diffraction);
    let range = first..first + size;
    data.diffraction = data.diffraction.slice(s![.., range.clone(), range.clone()]).to_owned();
    data.mask = data.mask.take().map(|mask| mask.slice(s![range.clone(), range]).to_owned());
    data.probe = crop_probe(&data.probe, size);
    let ratio = size as f64 / side as f64;
    for list in [&mut data.x, &mut data.y, &mut data.x_start, &mut data.y_start] {
        list.iter_mut().for_each(|v| *v *= ratio);
    }
    Ok(if before > 0.0 { power(&data.diffraction) / before } else { 1.0 })
}

fn crop_probe(probe: &Array2<Complex32>, size: usize) -> Array2<Complex32> {
    let side = probe.nrows();
    let values: Vec<Complex32> = probe.iter().copied().collect();
    // The probe's own middle (index N/2) goes to index 0 first, so that cutting adds no phase ramp.
    let mut spectrum = ifftshift2(&values, side, side);
    Fft2::new(side, side).forward(&mut spectrum);
    let spectrum = fftshift2(&spectrum, side, side);
    let first = side / 2 - size / 2;
    let unitary = 1.0 / (side * size) as f32;
    let cut: Vec<Complex32> =
        (0..size * size).map(|i| spectrum[(first + i / size) * side + first + i % size] * unitary).collect();
    let mut cut = ifftshift2(&cut, size, size);
    Fft2::new(size, size).inverse(&mut cut);
    let cut = fftshift2(&cut, size, size);
    Array2::from_shape_fn((size, size), |(r, c)| cut[r * size + c])
}

/// Moves positions onto a canvas if asked for or needed; returns the offset (y, x) that was added.
pub fn place(data: &mut Dataset, params: &Params) -> StageResult<[f64; 2]> {
    let half = (data.side() / 2) as f64;
    let first = |centres: &[f64]| centres.iter().copied().fold(f64::INFINITY, f64::min) - half;
    let (first_y, first_x) = (first(&data.y), first(&data.x));
    let moves = match params.positions {
        Positions::Keep => false,
        Positions::Move => true,
        Positions::Auto => data.object.is_none() && (first_y < 0.0 || first_x < 0.0),
    };
    if !moves {
        return Ok([0.0, 0.0]);
    }
    if data.object.is_some() {
        return Err(StageError::input(
            "`positions: move` would part the positions from the object in the file",
        )
        .hint("set `drop_object: true`, or `positions: keep`"));
    }
    let offset = [params.margin_px - first_y, params.margin_px - first_x];
    data.y.iter_mut().chain(&mut data.y_start).for_each(|v| *v += offset[0]);
    data.x.iter_mut().chain(&mut data.x_start).for_each(|v| *v += offset[1]);
    Ok(offset)
}

/// Scales the probe so that its power `Σ|P|²` is the mean of `Σ diffraction²`; returns the factor.
///
/// With a unitary transform that is Parseval's theorem for an object that transmits everything; a real
/// object absorbs, so the true probe is somewhat stronger, which reconstruction corrects.
pub fn scale_probe(data: &mut Dataset) -> f64 {
    let power: f64 = data.probe.iter().map(|p| f64::from(p.norm_sqr())).sum();
    let measured = data.diffraction.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>() / data.len() as f64;
    let factor = (measured / power).sqrt();
    data.probe.mapv_inplace(|p| p * factor as f32);
    factor
}

/// How many patches reach outside the object or, without one, before pixel 0.
pub fn outside(data: &Dataset) -> usize {
    let half = (data.side() / 2) as f64;
    let [rows, cols] = data.canvas();
    let beyond = |v: f64, size: usize| v - half < 0.0 || v - half + data.side() as f64 > size as f64;
    data.x.iter().zip(&data.y).filter(|(x, y)| beyond(**x, cols) || beyond(**y, rows)).count()
}
