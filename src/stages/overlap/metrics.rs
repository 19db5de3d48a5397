//! The metrics file, in the reference's fields (study.md §4.6).

use ndarray::Array2;
use serde::Serialize;

use super::Params;
use crate::diag::StageResult;
use crate::ptycho::dataset::Dataset;
use crate::ptycho::groups::Neighbours;
use crate::ptycho::overlap;

/// Content of `overlap.json`; fields that do not apply are absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics {
    metrics_version: &'static str,
    gridsize: u32,
    s_img: f64,
    n_groups: u32,
    neighbor_count: u32,
    probe_diameter_px: f64,
    rng_seed_subsample: u64,
    /// Only for groups of several images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_1_group_based_avg: Option<f64>,
    pub metric_2_image_based_avg: f64,
    pub metric_3_group_to_group_avg: f64,
    /// Images before subsampling. (The reference wrote the number after it here.)
    n_images_total: usize,
    n_images_subsampled: usize,
    n_unique_images: usize,
    n_groups_actual: usize,
    geometry_acceptance_bound: f64,
    effective_min_acceptance: f64,
}

impl Metrics {
    /// Measures the kept images `data`, of `total`, in `groups`.
    pub fn measure(
        params: &Params,
        data: &Dataset,
        scan: &Neighbours,
        groups: &Array2<u32>,
        total: usize,
        diameter: f64,
        seed_subsample: u64,
    ) -> StageResult<Self> {
        let k = params.neighbor_count as usize;
        let (x, y) = overlap::centres(&data.x, &data.y, groups);
        let centres = Neighbours::new(&x, &y)?;
        let bound = overlap::geometry_bound(&data.x, &data.y, diameter);
        Ok(Self {
            metrics_version: "1.0",
            gridsize: params.gridsize,
            s_img: params.s_img,
            n_groups: params.n_groups,
            neighbor_count: params.neighbor_count,
            probe_diameter_px: diameter,
            rng_seed_subsample: seed_subsample,
            metric_1_group_based_avg: overlap::group_based(&data.x, &data.y, groups, k, diameter),
            metric_2_image_based_avg: overlap::image_based(scan, k, diameter),
            metric_3_group_to_group_avg: overlap::group_to_group(&centres, diameter),
            n_images_total: total,
            n_images_subsampled: data.len(),
            n_unique_images: scan.places().len(),
            n_groups_actual: groups.nrows(),
            geometry_acceptance_bound: bound,
            effective_min_acceptance: overlap::effective_min_acceptance(bound),
        })
    }
}
