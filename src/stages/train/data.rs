//! Datasets → what the trainer takes: groups, labels, optics.

use num_complex::Complex32;
use rand::seq::SliceRandom;

use super::build;
use super::params::{Architecture, Params};
use crate::diag::{StageError, StageResult};
use crate::nn::graph::Graph;
use crate::nn::physics::{Likelihood, Optics};
use crate::nn::samples::{Group, Labels, Samples, Scan};
use crate::nn::symmetry::Symmetry;
use crate::ptycho::dataset::Dataset;
use crate::ptycho::groups::around_every_image;
use crate::ptycho::rng::keyed;
use crate::stages::infer::rms_factor;
use crate::stages::{Context, JobInput};

/// A probe that changes by less than this share of its norm when it is turned counts as symmetric.
const SYMMETRY_TOLERANCE: f64 = 1e-2;

/// Dark counts per pixel that the Poisson likelihood assumes, so that no pixel is impossible. The
/// reference had none, and NaN for every pixel predicted dark.
const DARK_COUNTS: f64 = 1e-3;

/// A group this many patterns wide is no group: its canvas would only cost memory.
const WIDEST: f64 = 8.0;

/// What training needs to know of all datasets.
pub struct Prepared {
    /// The network for patterns of the datasets' size.
    pub graph: Graph,
    /// Samples, all with the same side.
    pub samples: Samples<f32>,
    /// Amplitude of a flat guess: root mean square of the object.
    pub level: f64,
    /// Per dataset, in order.
    pub parts: Vec<Part>,
}

/// A dataset's share.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Part {
    /// The task that made it, or its path.
    pub origin: String,
    /// Images it holds.
    pub images: usize,
    /// Images that are in a group that is learnt from.
    pub images_used: usize,
    /// Groups that are learnt from.
    pub groups: usize,
    /// Images that are held out.
    pub images_held_out: usize,
    /// Used groups with an image that shares no pixel with the seed image's patch.
    pub groups_without_overlap: usize,
    /// Orientations in which images are shown, 1 to 8.
    pub orientations: usize,
    /// Factor on the amplitudes: √((N/2)² / mean of ΣX²).
    pub normalisation: f64,
}

/// Reads all datasets of the slot `data` and forms their groups.
pub fn prepare(cx: &Context<'_>, params: &Params) -> StageResult<Prepared> {
    let likelihood = params.likelihood()?;
    let inputs = cx.inputs("data");
    let learns = params.learns()?;
    let (mut scans, mut groups, mut held, mut parts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut squares = 0.0;
    let mut graph: Option<Graph> = None;
    for input in inputs {
        let data = read(input)?;
        let side = data.side();
        let graph = match &graph {
            Some(graph) => graph,
            None => graph.insert(build(params, side)?),
        };
        let expected = graph.architecture.side;
        if side != expected {
            return Err(StageError::input(format!(
                "{} holds patterns of {side} px, but {} holds patterns of {expected} px",
                input.origin, inputs[0].origin
            ))
            .hint("one network takes patterns of one size; train one per size"));
        }
        let members = around_every_image(&data.x, &data.y, params.channels())
            .map_err(|e| StageError { message: format!("{}: {}", input.origin, e.message), ..e })?;
        // The last images of the scan: a region of a raster, so that few groups are lost between both.
        let kept = data.len() - (params.validation * data.len() as f64).round() as usize;
        for row in members.outer_iter() {
            let images: Vec<usize> = row.iter().map(|i| *i as usize).collect();
            let out = images.iter().filter(|i| **i >= kept).count();
            let group = Group { scan: scans.len(), images };
            match out {
                0 => groups.push(group),
                _ if group.images[0] >= kept => held.push(group),
                _ => {}
            }
        }
        let (scan, level) = scan_of(&data, input, params, likelihood, graph.drawn())?;
        squares += level * level;
        parts.push(Part {
            origin: input.origin.clone(),
            images: data.len(),
            images_used: 0,
            images_held_out: data.len() - kept,
            groups: 0,
            groups_without_overlap: 0,
            orientations: scan.symmetries.len(),
            normalisation: scan.normalisation,
        });
        scans.push(scan);
    }
    let Some(graph) = graph else {
        return Err(StageError::input("input `data` has no files, expected at least 1"));
    };
    let side = graph.architecture.side;
    if let Some(limit) = params.max_groups.filter(|limit| *limit < groups.len()) {
        groups.shuffle(&mut keyed(cx.job().seed, "groups used", 0));
        groups.truncate(limit);
        groups.sort_by(|a, b| (a.scan, &a.images).cmp(&(b.scan, &b.images)));
    }
    if groups.is_empty() {
        return Err(StageError::input(
            "every group holds an image that is held out; there is nothing to learn from",
        )
        .hint("lower `validation`"));
    }
    count(&groups, &scans, side, &mut parts)?;
    let held_out = held.len();
    groups.extend(held);
    let level: f64 = (squares / scans.len() as f64).sqrt();
    let samples = Samples { side, drawn: graph.drawn(), scans, groups, held_out, beam: learns };
    Ok(Prepared { graph, samples, level, parts })
}

fn read(input: &JobInput) -> StageResult<Dataset> {
    let data = Dataset::read(&input.path)?;
    if data.is_empty() {
        return Err(StageError::input(format!("{} holds no images", input.origin)));
    }
    Ok(data)
}

/// The dataset as training sees it, and the root-mean-square amplitude of its object.
fn scan_of(
    data: &Dataset,
    input: &JobInput,
    params: &Params,
    likelihood: Likelihood,
    drawn: usize,
) -> StageResult<(Scan<f32>, f64)> {
    let place = |e: StageError| StageError { message: format!("{}: {}", input.origin, e.message), ..e };
    let n = data.side();
    let normalisation = rms_factor(data.diffraction.view()).map_err(place)?;
    let power: f64 = data.probe.iter().map(|p| f64::from(p.re).powi(2) + f64::from(p.im).powi(2)).sum();
    if !(power.is_finite() && power > 0.0) {
        return Err(place(StageError::input(format!("the probe's power is {power}, expected more than 0"))));
    }
    let probe: Vec<Complex32> = data.probe.iter().copied().collect();
    let (labels, level) = match params.architecture {
        // ΣX² = Σ|O·P|² by Parseval, so mean ΣX² / Σ|P|² is the mean of |O|² under the probe.
        Architecture::Pinn => (None, n as f64 / 2.0 / normalisation / power.sqrt()),
        Architecture::Baseline => {
            let (labels, level) = labels(data, &probe, drawn).map_err(place)?;
            (Some(labels), level)
        }
    };
    let symmetries = match params.augment {
        true => Symmetry::of_probe(&probe, n, SYMMETRY_TOLERANCE),
        false => vec![Symmetry::IDENTITY],
    };
    let scale = (normalisation / n as f64) as f32;
    let optics = Optics {
        probe: probe.iter().map(|p| p * scale).collect(),
        mask: data.mask.as_ref().map(|mask| mask.iter().map(|m| f32::from(*m)).collect()),
        background: level as f32,
        likelihood,
        floor: (DARK_COUNTS * (normalisation / data.scale()).powi(2)) as f32,
    };
    let scan = Scan {
        patterns: data.diffraction.clone(),
        normalisation,
        y: data.y.clone(),
        x: data.x.clone(),
        symmetries,
        optics,
        labels,
    };
    Ok((scan, level))
}

/// The object with the weights of a patch's pixels, and its root-mean-square amplitude at the positions.
fn labels(data: &Dataset, probe: &[Complex32], drawn: usize) -> StageResult<(Labels, f64)> {
    let Some(object) = &data.object else {
        return Err(StageError::input("holds no `objectGuess`, which `architecture: baseline` learns from")
            .hint("take `architecture: pinn`, which needs no true object"));
    };
    let at = |i: usize| -> Option<f64> {
        let (row, col) = (data.y[i].round(), data.x[i].round());
        let inside = row >= 0.0 && col >= 0.0;
        let value = inside.then(|| object.get([row as usize, col as usize])).flatten()?;
        Some(f64::from(value.norm()).powi(2))
    };
    let mut squares = 0.0;
    for i in 0..data.len() {
        squares += at(i).ok_or_else(|| {
            let (rows, cols) = object.dim();
            StageError::input(format!(
                "image {i} lies at row {:.1}, column {:.1}, outside `objectGuess` of {rows}×{cols} px",
                data.y[i], data.x[i]
            ))
            .hint("positions are absolute object pixels, x = column, y = row; check that they belong to this object")
        })?;
    }
    let level = (squares / data.len() as f64).sqrt();
    if level <= 0.0 {
        return Err(StageError::input("`objectGuess` is 0 wherever an image was taken"));
    }
    Ok((Labels { object: object.clone(), weights: illumination(probe, data.side(), drawn) }, level))
}

/// Weights of the pixels of the drawn patch: the probe's amplitude there, summing to 1.
fn illumination(probe: &[Complex32], side: usize, drawn: usize) -> Vec<f32> {
    let margin = (side - drawn) / 2;
    let light = |i: usize| f64::from(probe[(margin + i / drawn) * side + margin + i % drawn].norm());
    let total: f64 = (0..drawn * drawn).map(light).sum();
    (0..drawn * drawn).map(|i| (light(i) / total) as f32).collect()
}

/// Fills in what the used groups cover, and refuses groups whose canvas would be absurd.
fn count(groups: &[Group], scans: &[Scan<f32>], side: usize, parts: &mut [Part]) -> StageResult {
    let mut used: Vec<Vec<bool>> = parts.iter().map(|p| vec![false; p.images]).collect();
    for group in groups {
        let (scan, part) = (&scans[group.scan], &mut parts[group.scan]);
        let seed = group.images[0];
        let reach = |i: usize| (scan.y[i] - scan.y[seed]).abs().max((scan.x[i] - scan.x[seed]).abs());
        let widest = group.images.iter().map(|i| reach(*i)).fold(0.0, f64::max);
        if widest > WIDEST * side as f64 {
            return Err(StageError::input(format!(
                "{}: the nearest images around image {seed} are up to {widest:.0} px away, {:.0} patterns",
                part.origin,
                widest / side as f64
            ))
            .hint("such images share nothing; take `gridsize: 1`, or a denser scan"));
        }
        part.groups += 1;
        part.groups_without_overlap += usize::from(widest >= side as f64);
        group.images.iter().for_each(|i| used[group.scan][*i] = true);
    }
    for (part, used) in parts.iter_mut().zip(&used) {
        part.images_used = used.iter().filter(|u| **u).count();
    }
    Ok(())
}
