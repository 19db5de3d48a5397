//! A small scan of a small object, simulated by the definition.

use ndarray::{Array2, Array3};
use num_complex::{Complex, Complex32};
use rand::RngExt;

use crate::nn::architecture::{Architecture, Design, Field};
use crate::nn::graph::Graph;
use crate::nn::network::Network;
use crate::nn::physics::{Likelihood, Optics};
use crate::nn::real::Real;
use crate::nn::samples::{Group, Labels, Learns, Samples, Scan};
use crate::nn::symmetry::Symmetry;
use crate::ptycho::fft::Fft2;
use crate::ptycho::rng::keyed;

/// Side of the patterns.
pub const SIDE: usize = 16;

pub fn random(purpose: &str, len: usize) -> Vec<f64> {
    let mut rng = keyed(7, purpose, 0);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// A network of depth 2 and width 3 on patterns of [`SIDE`]. Biases are moved away from 0: where all
/// inputs are 0 a new network stands exactly on the kinks of its ReLUs.
pub fn network<T: Real>(channels: usize, field: Field) -> Network<T> {
    of_design(channels, Design::Compact { width: 3, depth: 2, field })
}

/// A network on patterns of [`SIDE`].
pub fn of_design<T: Real>(channels: usize, design: Design) -> Network<T> {
    let architecture = Architecture { side: SIDE, channels, design };
    let mut network = Network::new(Graph::new(architecture).unwrap(), 5, 0.7, 1.75);
    for conv in &network.graph.convs {
        let biases = &mut network.parameters[conv.offset + conv.weights()..conv.offset + conv.len()];
        for (bias, shift) in biases.iter_mut().zip(random("biases", conv.outputs)) {
            *bias += T::of(0.05 * shift);
        }
    }
    network
}

/// An object with smooth amplitude and phase.
fn object() -> Array2<Complex32> {
    Array2::from_shape_fn((40, 44), |(r, c)| {
        let wave = (0.5 * r as f32).sin() * (0.4 * c as f32).cos();
        Complex32::from_polar(0.7 + 0.25 * wave, 0.8 * wave)
    })
}

fn probe() -> Array2<Complex32> {
    Array2::from_shape_fn((SIDE, SIDE), |(r, c)| {
        let (r, c) = (r as f32 - 8.0, c as f32 - 8.0);
        let r2 = r * r + c * c;
        Complex32::from_polar((-r2 / 12.0).exp(), 0.15 * r2)
    })
}

/// `images` noiseless patterns at random sub-pixel positions, in groups of `channels` successive images.
pub fn samples<T: Real>(images: usize, channels: usize, drawn: usize, likelihood: Likelihood) -> Samples<T> {
    let (object, probe, mut rng) = (object(), probe(), keyed(7, "positions", 0));
    let (mut x, mut y) = (Vec::new(), Vec::new());
    let mut patterns = Array3::zeros((images, SIDE, SIDE));
    let mut fft = Fft2::<f32>::new(SIDE, SIDE);
    for i in 0..images {
        // Successive images overlap; groups drift over the object.
        let drift = 14.0 * i as f64 / images as f64;
        y.push(10.0 + drift + rng.random_range(0.0..4.0));
        x.push(12.0 + drift + rng.random_range(0.0..4.0));
        let at = |r: usize, c: usize| {
            let (row, col) = (y[i] - 8.0 + r as f64, x[i] - 8.0 + c as f64);
            let (fr, fc) = ((row - row.floor()) as f32, (col - col.floor()) as f32);
            let (r, c) = (row as usize, col as usize);
            let top = object[[r, c]] * (1.0 - fc) + object[[r, c + 1]] * fc;
            let bottom = object[[r + 1, c]] * (1.0 - fc) + object[[r + 1, c + 1]] * fc;
            top * (1.0 - fr) + bottom * fr
        };
        let mut field: Vec<Complex32> =
            (0..SIDE * SIDE).map(|k| at(k / SIDE, k % SIDE) * probe[[k / SIDE, k % SIDE]]).collect();
        fft.forward(&mut field);
        for r in 0..SIDE {
            for c in 0..SIDE {
                let from = (r + SIDE / 2) % SIDE * SIDE + (c + SIDE / 2) % SIDE;
                patterns[[i, r, c]] = field[from].norm() / SIDE as f32;
            }
        }
    }
    let energy = patterns.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / images as f64;
    let normalisation = (SIDE as f64 / 2.0) / energy.sqrt();
    let scaled = |p: &Complex32| {
        let scale = normalisation / SIDE as f64;
        Complex::new(T::of(f64::from(p.re) * scale), T::of(f64::from(p.im) * scale))
    };
    let optics = Optics {
        probe: probe.iter().map(scaled).collect(),
        mask: None,
        background: T::of(0.7),
        likelihood,
        floor: T::of(1e-4),
    };
    let margin = (SIDE - drawn) / 2;
    let light = |i: usize| probe[[margin + i / drawn, margin + i % drawn]].norm();
    let total: f32 = (0..drawn * drawn).map(light).sum();
    let weights = (0..drawn * drawn).map(|i| light(i) / total).collect();
    let scan = Scan {
        patterns,
        normalisation,
        y,
        x,
        symmetries: Symmetry::all().collect(),
        optics,
        labels: Some(Labels { object, weights }),
    };
    let groups = (0..images / channels)
        .map(|g| Group { scan: 0, images: (g * channels..(g + 1) * channels).collect() })
        .collect();
    Samples { side: SIDE, drawn, scans: vec![scan], groups, held_out: 0, beam: Learns::default() }
}
