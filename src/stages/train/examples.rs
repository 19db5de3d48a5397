//! A few groups, what the network draws of them, and what was learnt of the beam: for people to look at.

use std::path::Path;

use ndarray::{Array2, Array3, Array4, s};
use num_complex::Complex32;

use crate::diag::StageResult;
use crate::io::npz::NpzWriter;
use crate::nn::network::Network;
use crate::nn::samples::Samples;
use crate::nn::workspace::Workspace;

/// Groups shown, evenly spread: of those held out, if there are any, else of all.
const GROUPS: usize = 8;

/// Writes `diffraction` (E,C,N,N) f32, normalised; `patches` (E,C,N,N) c64, 0 outside the drawn part; `xcoords` and
/// `ycoords` (E,C) f64, the images' centres; `dataset` (E,) i64; and, where probes were learnt, `probes` (D,N,N) c64 in
/// the datasets' unit.
pub(super) fn write(path: &Path, network: &Network<f32>, samples: &Samples<f32>) -> StageResult {
    let (n, drawn, channels) = (samples.side, samples.drawn, network.graph.maps[0].channels);
    let all = samples.groups.len();
    let from = if samples.held_out > 0 { all - samples.held_out } else { 0 };
    let count = GROUPS.min(all - from);
    let chosen: Vec<usize> = (0..count).map(|i| from + i * (all - from) / count).collect();
    let mut patterns = Array4::<f32>::zeros((count, channels, n, n));
    let mut patches = Array4::<Complex32>::zeros((count, channels, n, n));
    let mut workspace = Workspace::new(&network.graph);
    let mut input = vec![0.0; channels * n * n];
    let margin = (n - drawn) / 2;
    for (e, &sample) in chosen.iter().enumerate() {
        samples.input(sample, 0, &mut input);
        workspace.forward(network, &input);
        patterns.slice_mut(s![e, .., .., ..]).iter_mut().zip(&input).for_each(|(to, from)| *to = *from);
        let inside = margin..margin + drawn;
        let mut part = patches.slice_mut(s![e, .., inside.clone(), inside]);
        let drawn = workspace.output.amplitude.iter().zip(&workspace.output.phase);
        part.iter_mut().zip(drawn).for_each(|(to, (&a, &phi))| *to = Complex32::from_polar(a, phi));
    }
    let place = |of: fn(&crate::nn::samples::Scan<f32>) -> &Vec<f64>| {
        Array2::from_shape_fn((count, channels), |(e, c)| {
            let group = &samples.groups[chosen[e]];
            of(&samples.scans[group.scan])[group.images[c]]
        })
    };
    let mut npz = NpzWriter::create(path)?;
    npz.array("diffraction", &patterns)?;
    npz.array("patches", &patches)?;
    npz.array("xcoords", &place(|scan| &scan.x))?;
    npz.array("ycoords", &place(|scan| &scan.y))?;
    let datasets: Vec<i64> = chosen.iter().map(|&sample| samples.groups[sample].scan as i64).collect();
    npz.vector("dataset", &datasets)?;
    if samples.beam.probe {
        let physical = &network.parameters[network.graph.parameters..];
        let mut probes = Array3::<Complex32>::zeros((samples.scans.len(), n, n));
        let mut probe = Vec::new();
        for (scan, mut to) in probes.outer_iter_mut().enumerate() {
            samples.probe(scan, physical, &mut probe);
            let unit = (samples.scans[scan].normalisation / n as f64) as f32;
            to.iter_mut().zip(&probe).for_each(|(to, from)| *to = from / unit);
        }
        npz.array("probes", &probes)?;
    }
    Ok(npz.finish()?)
}
