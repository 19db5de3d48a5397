//! How much the illuminated discs of a scan overlap: the reference's metrics 1–3 and geometry bound
//! (study.md §4).

use std::f64::consts::PI;

use ndarray::Array2;
use rayon::prelude::*;

use super::groups::{self, Neighbours, distance};
use super::rng::Pcg64;
use crate::diag::StageResult;

/// Bounds are never below this, so that nothing divides by it or compares with zero.
const EPSILON: f64 = 1e-6;
/// The reference caps its acceptance bound here.
const BOUND_CAP: f64 = 0.10;

/// Share of a disc of `diameter` covered by an equal disc `d` away: 1 at 0, about 0.391 at the radius,
/// 0 from one diameter on.
///
/// A(d) = 2R²·acos(d/2R) − (d/2)·√(4R² − d²), f = A/(πR²).
pub fn disc_overlap(d: f64, diameter: f64) -> f64 {
    if d >= diameter {
        return 0.0;
    }
    if d < 1e-10 {
        return 1.0;
    }
    let r = diameter / 2.0;
    let lens = 2.0 * r * r * (d / diameter).acos() - d / 2.0 * (diameter * diameter - d * d).sqrt();
    lens / (PI * r * r)
}

/// Indices kept of `n` images: round-half-even(`share`·n), at least one, drawn as NumPy's
/// `default_rng(seed).choice(n, k, replace=False)` and returned ascending, so that file order is kept.
/// `share` is in (0, 1].
pub fn subsample(n: u32, share: f64, seed: u64) -> Vec<u32> {
    let keep = (share * f64::from(n)).round_ties_even().clamp(1.0f64.min(f64::from(n)), f64::from(n));
    let mut kept = Pcg64::new(seed).choice(n, keep as u32).unwrap_or_default();
    kept.sort_unstable();
    kept
}

/// The reference's groups for metrics 1 and 3: with `gridsize` 1 every image is its own group, in file
/// order; otherwise [`groups::sampled`] with gridsize² members.
pub fn metric_groups(
    scan: &Neighbours,
    gridsize: usize,
    n_groups: u32,
    seed: u64,
) -> StageResult<Array2<u32>> {
    if gridsize == 1 {
        return Ok(Array2::from_shape_fn((scan.images(), 1), |(g, _)| g as u32));
    }
    groups::sampled(scan, gridsize * gridsize, n_groups, seed)
}

/// Metric 1, group-based: for every member of every group the mean overlap with its min(`k`, C − 1)
/// nearest co-members, averaged over all members. `groups` is (g, C) with indices into `x`, `y`.
/// `None` for groups of one image and for no groups, where it is not defined.
pub fn group_based(x: &[f64], y: &[f64], groups: &Array2<u32>, k: usize, diameter: f64) -> Option<f64> {
    let c = groups.ncols();
    if c < 2 || groups.nrows() == 0 {
        return None;
    }
    let means: Vec<f64> = groups
        .outer_iter()
        .flat_map(|group| {
            let points: Vec<[f64; 2]> = group.iter().map(|i| [x[*i as usize], y[*i as usize]]).collect();
            (0..c)
                .map(move |member| {
                    let others = (0..c).filter(|other| *other != member);
                    let distances = others.map(|other| distance(points[member], points[other])).collect();
                    nearest_mean(distances, k, diameter)
                })
                .collect::<Vec<_>>()
        })
        .collect();
    Some(mean(&means))
}

/// Metric 2, image-based: exact repeats of a position count once; for every position the mean overlap
/// with its min(`k`, n − 1) nearest others, averaged. 0 for a single position.
pub fn image_based(scan: &Neighbours, k: usize, diameter: f64) -> f64 {
    let places = scan.places();
    if places.len() < 2 {
        return 0.0;
    }
    let means: Vec<f64> = (0..places.len())
        .into_par_iter()
        .map(|own| {
            let found = scan.nearest_places(places[own], k.saturating_add(1));
            let others = found.into_iter().filter(|(place, _)| *place != own);
            nearest_mean(others.map(|(_, d)| d).collect(), k, diameter)
        })
        .collect();
    mean(&means)
}

/// Metric 3, group-to-group: for every group's centre of mass the mean overlap with all other centres
/// nearer than `diameter` (0 if there are none), averaged over groups. `centres` holds the centres of
/// mass; 0 for fewer than two groups.
pub fn group_to_group(centres: &Neighbours, diameter: f64) -> f64 {
    let groups = centres.images();
    if groups < 2 {
        return 0.0;
    }
    let of_place: Vec<f64> = centres
        .places()
        .par_iter()
        .enumerate()
        .map(|(own, at)| {
            let mut near = centres.places_within(*at, diameter);
            // The tree's order is its own affair; sums need a fixed one.
            near.sort_unstable_by_key(|(place, _)| *place);
            let (mut sum, mut count) = (0.0, 0usize);
            for (place, d) in near.into_iter().filter(|(_, d)| *d < diameter) {
                let others = centres.members(place).len() - usize::from(place == own);
                sum += others as f64 * disc_overlap(d, diameter);
                count += others;
            }
            if count == 0 { 0.0 } else { sum / count as f64 }
        })
        .collect();
    let of_group: Vec<f64> = (0..groups).map(|g| of_place[centres.place_of(g)]).collect();
    mean(&of_group)
}

/// Centre of mass (x, y) of every group.
pub fn centres(x: &[f64], y: &[f64], groups: &Array2<u32>) -> (Vec<f64>, Vec<f64>) {
    let centre = |of: &[f64]| {
        let rows = groups.outer_iter();
        rows.map(|g| g.iter().map(|i| of[*i as usize]).sum::<f64>() / g.len() as f64).collect()
    };
    (centre(x), centre(y))
}

/// Upper bound on the share of images that discs of `diameter` could tile without overlap: area spanned
/// by the positions over n disc areas, at most 0.10. 0 for no positions. Informational.
pub fn geometry_bound(x: &[f64], y: &[f64], diameter: f64) -> f64 {
    if x.is_empty() {
        return 0.0;
    }
    let span = |v: &[f64]| {
        let (lo, hi) = v.iter().fold((f64::MAX, f64::MIN), |(lo, hi), c| (lo.min(*c), hi.max(*c)));
        hi - lo
    };
    let area = (span(x) * span(y)).max(EPSILON);
    let discs = (x.len() as f64 * PI * (diameter / 2.0).powi(2)).max(EPSILON);
    (area / discs).min(BOUND_CAP)
}

/// The smallest acceptance the reference would have demanded: the bound, but never 0.
pub fn effective_min_acceptance(bound: f64) -> f64 {
    bound.max(EPSILON)
}

/// Mean overlap at the `k` smallest of `distances`.
fn nearest_mean(mut distances: Vec<f64>, k: usize, diameter: f64) -> f64 {
    distances.sort_unstable_by(f64::total_cmp);
    distances.truncate(k);
    mean(&distances.iter().map(|d| disc_overlap(*d, diameter)).collect::<Vec<_>>())
}

/// Mean in the order given; 0 for nothing.
fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTRA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/golden_extra.json");

    fn extra() -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(EXTRA).unwrap()).unwrap()
    }

    #[test]
    fn disc_overlap_equals_the_golden_values() {
        let golden = &extra()["disc_overlap"];
        let list = |key: &str| -> Vec<f64> { serde_json::from_value(golden[key].clone()).unwrap() };
        let diameter = golden["D"].as_f64().unwrap();
        for (d, f) in list("d").iter().zip(list("f")) {
            assert!((disc_overlap(*d, diameter) - f).abs() < 1e-14, "f({d})");
        }
    }

    #[test]
    fn image_based_equals_the_golden_value() {
        let extra = extra();
        let points: Vec<[f64; 2]> = serde_json::from_value(extra["knn"]["points"].clone()).unwrap();
        let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|p| (p[0], p[1])).unzip();
        let expected = extra["disc_overlap"]["metric2_image_based_K6_D38.4"].as_f64().unwrap();
        let found = image_based(&Neighbours::new(&x, &y).unwrap(), 6, 38.4);
        assert!((found - expected).abs() < 1e-13, "{found} is not {expected}");
    }

    #[test]
    fn repeats_count_once_for_images_and_each_for_groups() {
        // Two places 4 apart, the first held by two images; D = 10.
        let (x, y) = ([0.0, 0.0, 4.0], [0.0; 3]);
        let scan = Neighbours::new(&x, &y).unwrap();
        let f = disc_overlap(4.0, 10.0);
        assert!((image_based(&scan, 6, 10.0) - f).abs() < 1e-15);
        // Images 0 and 1 see each other (1) and image 2 (f); image 2 sees both (f).
        let expected = (2.0 * (1.0 + f) / 2.0 + f) / 3.0;
        assert!((group_to_group(&scan, 10.0) - expected).abs() < 1e-15);
        // The pair (0, 2) has f both ways; the pair (0, 1) is one place.
        let groups = Array2::from_shape_vec((2, 2), vec![0, 2, 0, 1]).unwrap();
        let found = group_based(&x, &y, &groups, 6, 10.0).unwrap();
        assert!((found - (f + f + 1.0 + 1.0) / 4.0).abs() < 1e-15);
    }

    #[test]
    fn edges() {
        let one = Neighbours::new(&[5.0, 5.0], &[5.0, 5.0]).unwrap();
        assert_eq!(image_based(&one, 6, 10.0), 0.0);
        assert_eq!(group_to_group(&one, 10.0), 1.0);
        let far = Neighbours::new(&[0.0, 10.0], &[0.0, 0.0]).unwrap();
        assert_eq!(group_to_group(&far, 10.0), 0.0);
        let single = Neighbours::new(&[0.0], &[0.0]).unwrap();
        assert_eq!(group_to_group(&single, 10.0), 0.0);
        assert_eq!(geometry_bound(&[], &[], 10.0), 0.0);
        assert_eq!(geometry_bound(&[0.0, 1e3], &[0.0, 1e3], 10.0), BOUND_CAP);
        assert_eq!(effective_min_acceptance(0.0), EPSILON);
        assert_eq!(group_based(&[0.0], &[0.0], &Array2::zeros((1, 1)), 6, 10.0), None);
    }

    #[test]
    fn subsampling_rounds_half_to_even_and_keeps_order() {
        // 0.8 · 5216 = 4172.8 is rounded, not floored; 0.5 · 5 = 2.5 goes to 2.
        assert_eq!(subsample(5216, 0.8, 456).len(), 4173);
        assert_eq!(subsample(5, 0.5, 1).len(), 2);
        assert_eq!(subsample(7, 1.0, 1), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(subsample(7, 1e-9, 1).len(), 1);
        assert_eq!(subsample(0, 0.5, 1), [0u32; 0]);
        let kept = subsample(5088, 0.8, 456);
        assert!(kept.is_sorted() && kept.contains(&2313) && kept.contains(&1937));
    }
}
