//! Stage kind `overlap`: keep part of a scan, form the reference's groups, measure how much it overlaps.

mod metrics;

use std::path::Path;

use ndarray::Array2;
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::metrics::Metrics;
use super::{Context, Stage};
use crate::diag::{StageError, StageResult};
use crate::io::atomic;
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::dataset::{Dataset, DatasetWriter};
use crate::ptycho::groups::{self, Neighbours, Pool, coverage};
use crate::ptycho::overlap;
use crate::ptycho::rng::keyed;

/// The `overlap` stage.
pub struct Overlap;

/// An overlap view: which share of the images is kept, and how its overlap is measured.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Side of the groups: 1 takes every image alone, 2 groups of 4 neighbours.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 2))]
    gridsize: u32,
    /// Share of the images to keep, above 0 and at most 1; rounded to whole images, halves to even.
    #[serde(default = "whole")]
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    s_img: f64,
    /// Groups drawn for metrics 1 and 3 if gridsize is 2. Networks are trained on their own groups.
    #[serde(default = "n_groups")]
    #[schemars(range(min = 1, max = 10_000_000))]
    n_groups: u32,
    /// Choose the members of a group at random among so many nearest neighbours of its seed image, K, instead of the
    /// nearest ones: no combination twice, every image a seed before any is one again, so that `n_groups` may be
    /// larger than the number of images.
    #[serde(default)]
    #[schemars(inner(range(min = 1, max = 10_000)))]
    group_pool: Option<u32>,
    /// Whether the seed image belongs to its own group; only with `group_pool`. (The reference leaves it out when it
    /// trains.)
    #[serde(default = "yes")]
    seed_in_group: bool,
    /// Nearest neighbours K that enter metrics 1 and 2 (6 or 25 in the reference).
    #[serde(default = "neighbor_count")]
    #[schemars(range(min = 1, max = 10_000))]
    neighbor_count: u32,
    /// Diameter of the illuminated disc, pixels; 0.6 times the pattern's side if absent. (The reference
    /// uses 38.4 throughout, which is 0.6 · 64, also for its patterns of 128 pixels.)
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0))]
    probe_diameter_px: Option<f64>,
    /// Seed of NumPy's draw of the kept images; follows from the study's seed if absent (456 in the
    /// reference).
    #[serde(default)]
    seed_subsample: Option<u64>,
    /// Seed of NumPy's draw of the groups; follows from the study's seed if absent (42 in the reference).
    #[serde(default)]
    seed_groups: Option<u64>,
}

fn one() -> u32 {
    1
}

fn whole() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

fn n_groups() -> u32 {
    512
}

fn neighbor_count() -> u32 {
    6
}

impl Params {
    /// The groups of metrics 1 and 3.
    fn groups(&self, scan: &Neighbours, seed: u64) -> StageResult<Array2<u32>> {
        let side = self.gridsize as usize;
        match self.group_pool {
            Some(neighbours) if side > 1 => {
                let (members, neighbours) = (side * side, neighbours as usize);
                let pool = Pool { members, neighbours, with_seed: self.seed_in_group };
                groups::chosen(scan, pool, self.n_groups, seed)
            }
            None if !self.seed_in_group => Err(StageError::input(
                "`seed_in_group: false` without `group_pool`: the nearest images begin with the seed image",
            )
            .hint("set `group_pool` to the number of neighbours to choose from, 4 for exactly the nearest")),
            _ => overlap::metric_groups(scan, side, self.n_groups, seed),
        }
    }
}

/// Share of a pattern's side that the illuminated disc is taken to have.
const DIAMETER_SHARE: f64 = 0.6;

impl Stage for Overlap {
    fn kind(&self) -> Kind {
        Kind {
            name: "overlap",
            version: 1,
            summary: "keep part of a scan and measure the overlap of its positions",
            inputs: &[Slot { name: "data", arity: Arity::One, doc: "dataset (NPZ)" }],
            outputs: &[
                Output {
                    name: "data",
                    file: "dataset.npz",
                    doc: "the kept images, in their order, with probe and object",
                },
                Output {
                    name: "metrics",
                    file: "overlap.json",
                    doc: "overlap metrics 1–3, counts and geometry bound, in the reference's fields",
                },
            ],
            params: || schemars::schema_for!(Params),
            tuning: &[],
            seeded: true,
            needs_runtime: false,
            resumes: false,
            open: false,
        }
    }

    fn run(&self, cx: &mut Context<'_>) -> StageResult {
        let params: Params = cx.params()?;
        let path = cx.input("data")?;
        let (mut data, patterns) = Dataset::open(path, &cx.job().staging.join("patterns.f32"))?;
        let total = data.len();
        let side = data.side();
        let seed = cx.job().seed;
        let seed_subsample = params.seed_subsample.unwrap_or_else(|| derived(seed, "overlap subsample"));
        let seed_groups = params.seed_groups.unwrap_or_else(|| derived(seed, "overlap groups"));
        let diameter = params.probe_diameter_px.unwrap_or(DIAMETER_SHARE * side as f64);

        let images = u32::try_from(total)
            .map_err(|_| StageError::input(format!("{total} images, expected at most {}", u32::MAX)))?;
        let kept = overlap::subsample(images, params.s_img, seed_subsample);
        let kept: Vec<usize> = kept.iter().map(|i| *i as usize).collect();
        if kept.len() < total {
            data = data.select(&kept);
        }
        let scan = Neighbours::new(&data.x, &data.y)?;
        let groups = params.groups(&scan, seed_groups)?;
        let metrics = Metrics::measure(&params, &data, &scan, &groups, total, diameter, seed_subsample)?;
        let coverage = coverage(&groups, data.len());

        data.append_transformation(
            "phasegraph overlap",
            "subsample",
            serde_json::json!({
                "gridsize": params.gridsize,
                "s_img": params.s_img,
                "seed_subsample": seed_subsample,
                "n_images_total": total,
                "n_images_kept": data.len(),
            }),
        );
        let mut writer = DatasetWriter::create(&cx.output("data")?, kept.len(), side)?;
        let mut image = 0;
        // Patterns pass through one by one; those that are kept are in the order of the file.
        patterns.pass(path, |values| {
            image += 1;
            kept.binary_search(&(image - 1)).map_or(Ok(()), |_| writer.append(values))
        })?;
        writer.finish(&data)?;
        write_json(&cx.output("metrics")?, &metrics)?;
        // The view as it was asked for, as it was kept (whole images), and the overlap that came of it.
        cx.measure("view_nominal_share", params.s_img);
        cx.measure("view_kept_share", data.len() as f64 / total as f64);
        cx.measure("images", data.len());
        cx.measure("groups", coverage.groups);
        cx.measure("images_in_groups", coverage.used);
        cx.measure("probe_diameter_px", diameter);
        if let Some(value) = metrics.metric_1_group_based_avg {
            cx.measure("overlap_group_based", value);
        }
        cx.measure("overlap_image_based", metrics.metric_2_image_based_avg);
        cx.measure("overlap_group_to_group", metrics.metric_3_group_to_group_avg);
        Ok(())
    }
}

/// A seed for a NumPy generator out of the study's. 32 bits, so that every JSON reader keeps it exactly
/// and `default_rng(seed)` repeats the draw.
fn derived(seed: u64, purpose: &str) -> u64 {
    u64::from(keyed(seed, purpose, 0).next_u32())
}

fn write_json(path: &Path, metrics: &Metrics) -> StageResult {
    let mut text = serde_json::to_string_pretty(metrics)
        .map_err(|e| StageError::check(format!("overlap metrics cannot be written: {e}")))?;
    text.push('\n');
    Ok(atomic::write(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests;
