//! CPU seconds of the native stages' numerics, one JSON line each; `compare.py` puts them beside other tools.
//!
//!     cargo bench --bench stages [-- MEASURE …]        or `benches/compare.py`, which runs the peers, too
//!
//! Everything runs on one thread, five times; the fastest counts.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::f64::consts::TAU;
use std::process::ExitCode;

use ndarray::{Array2, Array3, ArrayView2};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use num_complex::Complex32;
use phasegraph::ptycho::fft::Fft2;
use phasegraph::ptycho::groups::{Neighbours, around_every_image};
use phasegraph::ptycho::placement::{Between, Weights, stitch};
use phasegraph::ptycho::real_fft::RealFft2;
use phasegraph::ptycho::{forward, metrics, overlap, registration};

type Measured = Result<f64, Box<dyn Error>>;
type Measure = fn() -> Measured;

const MEASURES: &[(&str, Measure)] = &[
    ("simulate", || simulate(false)),
    ("poisson", || simulate(true)),
    ("group", group),
    ("overlap_metrics", overlap_metrics),
    ("stitch_whole_pixels", || stitching(false, Between::Bilinear)),
    ("stitch_bilinear", || stitching(true, Between::Bilinear)),
    ("stitch_fourier", || stitching(true, Between::Fourier)),
    ("read_patches", read_patches),
    ("ssim", || metric(|t, p| Ok(metrics::ssim(t, p, metrics::peak_to_peak(t))?))),
    ("ms_ssim", || metric(|t, p| Ok(metrics::ms_ssim(t, p, 1.0)?))),
    ("ms_ssim_standard", || metric(|t, p| Ok(metrics::ms_ssim_standard(t, p, metrics::peak_to_peak(t))?))),
    ("ring_correlation", || {
        metric(|t, p| Ok(metrics::ring_correlation(t, p)?.crossing(metrics::Threshold::Fixed(0.5))?))
    }),
    ("registration", || metric(|t, p| Ok(registration::phase_correlation(t, p, 50, None)?[0]))),
    ("fft", fft),
    ("fft_1024", || {
        metric(|t, _| Ok(RealFft2::new(1024, 1024).forward(&t.iter().copied().collect::<Vec<_>>())[1].re))
    }),
    ("copy", copy),
];

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let run = || -> Result<(), Box<dyn Error>> {
        rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
        for (name, measure) in MEASURES {
            if asked.is_empty() || asked.iter().any(|a| a == name) {
                let times: Vec<f64> = (0..5).map(|_| measure()).collect::<Result<_, _>>()?;
                let best = times.into_iter().fold(f64::INFINITY, f64::min);
                println!("{{\"measure\": \"{name}\", \"cpu_s\": {best:.6}}}");
            }
        }
        Ok(())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Processor seconds of `work`.
fn timed<T>(work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Measured {
    let now = || -> Measured {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 * 1e-6)
    };
    let start = now()?;
    std::hint::black_box(work()?);
    Ok(now()? - start)
}

/// Scattered points from 0 to 1, always the same.
fn scattered(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..count).map(|_| next()).collect()
}

/// 5000 patterns of 64², of an object of 512², at 10⁶ photons each; or their noise alone.
fn simulate(noise_alone: bool) -> Measured {
    let object = Array2::from_shape_fn((512, 512), |(r, c)| {
        let (r, c) = (r as f32, c as f32);
        Complex32::from_polar(
            0.8 + 0.2 * (0.11 * r).sin() * (0.07 * c).cos(),
            0.8 * (0.05 * (r + 2.0 * c)).sin(),
        )
    });
    let probe = Array2::from_shape_fn((64, 64), |(r, c)| {
        let d = (r as f32 - 32.0).powi(2) + (c as f32 - 32.0).powi(2);
        Complex32::from_polar((-d / 150.0).exp(), 0.02 * d)
    });
    let place = |seed| scattered(5000, seed).into_iter().map(|v| (32.0 + v * 448.0).round()).collect();
    let (x, y): (Vec<f64>, Vec<f64>) = (place(1), place(2));
    let mut out = Array3::zeros((x.len(), 64, 64));
    if noise_alone {
        let powers = forward::diffract(&object, &probe, &x, &y, out.view_mut());
        let scale = forward::dose_scale(1e6, &powers)?;
        return timed(|| Ok(forward::poisson(out.view_mut(), 0, scale, 1e6, 7)?));
    }
    timed(|| {
        let powers = forward::diffract(&object, &probe, &x, &y, out.view_mut());
        let scale = forward::dose_scale(1e6, &powers)?;
        Ok(forward::poisson(out.view_mut(), 0, scale, 1e6, 7)?)
    })
}

fn scan() -> (Vec<f64>, Vec<f64>) {
    let place = |seed| scattered(5216, seed).into_iter().map(|v| v * 400.0).collect();
    (place(3), place(4))
}

/// Four nearest of each of 5216 positions.
fn group() -> Measured {
    let (x, y) = scan();
    timed(|| Ok(around_every_image(&x, &y, 4)?))
}

/// Overlap metrics 1 to 3 of 5216 positions in groups of four.
fn overlap_metrics() -> Measured {
    let (x, y) = scan();
    let groups = around_every_image(&x, &y, 4)?;
    timed(|| {
        let places = Neighbours::new(&x, &y)?;
        let (gx, gy) = overlap::centres(&x, &y, &groups);
        let centres = Neighbours::new(&gx, &gy)?;
        let first = overlap::group_based(&x, &y, &groups, 6, 38.4);
        Ok((first, overlap::image_based(&places, 6, 38.4), overlap::group_to_group(&centres, 38.4)))
    })
}

/// 20 864 patches of 64² with centres on a field of 400².
fn patches() -> Array3<Complex32> {
    let mut patches = Array3::zeros((20_864, 64, 64));
    for (i, v) in patches.iter_mut().enumerate() {
        *v = Complex32::new((i % 97) as f32, (i % 89) as f32);
    }
    patches
}

fn stitching(between_pixels: bool, between: Between) -> Measured {
    let patches = patches();
    let place = |seed| {
        let places = scattered(patches.len_of(ndarray::Axis(0)), seed).into_iter().map(|v| 40.0 + v * 400.0);
        places.map(|v| if between_pixels { v } else { v.round() }).collect()
    };
    let (x, y): (Vec<f64>, Vec<f64>) = (place(5), place(6));
    let weights = Weights::Given(Array2::from_shape_fn((64, 64), |(r, c)| {
        (1.0 - (TAU * r as f64 / 64.0).cos()) * (1.0 - (TAU * c as f64 / 64.0).cos()) + 0.01
    }));
    timed(|| Ok(stitch(patches.view(), &x, &y, &weights, between)?))
}

/// The limit: reading all patches once.
fn read_patches() -> Measured {
    let patches = patches();
    timed(|| {
        let values = patches.as_slice().ok_or("not in order")?;
        let mut sums = [Complex32::default(); 16];
        for some in values.as_chunks::<16>().0 {
            sums.iter_mut().zip(some).for_each(|(sum, v)| *sum += v);
        }
        Ok(sums)
    })
}

/// A metric of two images of 1024².
fn metric(work: fn(ArrayView2<'_, f64>, ArrayView2<'_, f64>) -> Measured) -> Measured {
    let texture = |r: usize, c: usize| ((r * r * 7 + c * 13 + r * c) % 31) as f64 / 310.0;
    let truth = Array2::from_shape_fn((1024, 1024), |(r, c)| {
        0.5 + 0.3 * (0.11 * r as f64).sin() * (0.07 * c as f64).cos() + texture(r, c)
    });
    let prediction = Array2::from_shape_fn((1024, 1024), |(r, c)| truth[[r, c]] + 0.3 * texture(c, r));
    timed(|| work(truth.view(), prediction.view()))
}

/// The limit of simulation and reconstruction: 1000 transforms of 64², there and back.
fn fft() -> Measured {
    let mut fields = vec![Complex32::new(0.3, -0.2); 100 * 64 * 64];
    let mut plan = Fft2::<f32>::new(64, 64);
    timed(|| {
        for _ in 0..10 {
            for field in fields.chunks_exact_mut(64 * 64) {
                plan.forward(field);
                plan.inverse(field);
                field.iter_mut().for_each(|v| *v *= 1.0 / 4096.0);
            }
        }
        Ok(fields[0])
    })
}

/// The other limit: copying 256 MB.
fn copy() -> Measured {
    let from = vec![1.0f32; 64 << 20];
    let mut to = vec![0.0f32; 64 << 20];
    timed(|| {
        to.copy_from_slice(&from);
        Ok(to[17])
    })
}
