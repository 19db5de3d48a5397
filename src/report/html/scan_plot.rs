//! Where a scan looked, to scale.

use std::fmt::Write;

use crate::dossier::Positions;

/// Longest side of the drawing.
const SIDE: f64 = 300.0;
/// Neighbours whose discs are drawn about that in the middle.
const NEIGHBOURS: usize = 6;

/// A disc of the probe.
pub(super) struct Disc {
    pub x: f64,
    pub y: f64,
    pub r: f64,
}

/// The drawing.
pub(super) struct ScanPlot {
    pub title: String,
    pub about: String,
    pub width: f64,
    pub height: f64,
    /// All positions as one path of dots.
    pub dots: String,
    /// The disc in the middle and its nearest neighbours'.
    pub discs: Vec<Disc>,
    /// The scale: left end, right end, height, words.
    pub ruler: (f64, f64, f64, String),
}

pub(super) fn scan_plot(positions: &Positions) -> Option<ScanPlot> {
    let ends = |values: &[f64]| {
        let lo = values.iter().copied().reduce(f64::min)?;
        Some((lo, values.iter().copied().reduce(f64::max)?))
    };
    let reach = positions.diameter.unwrap_or(0.0) / 2.0;
    let ((left, right), (top, bottom)) = (ends(&positions.x)?, ends(&positions.y)?);
    let (wide, high) = (right - left + 2.0 * reach, bottom - top + 2.0 * reach);
    let scale = SIDE / wide.max(high).max(1.0);
    let place = |x: f64, y: f64| (6.0 + (x - left + reach) * scale, 6.0 + (y - top + reach) * scale);
    let mut dots = String::new();
    for (x, y) in positions.x.iter().zip(&positions.y) {
        let (x, y) = place(*x, *y);
        let _ = write!(dots, "M{x:.1} {y:.1}h0");
    }
    let (width, height) = (wide * scale + 12.0, high * scale + 12.0);
    let length = ruler(wide / 3.0);
    let ruler = (6.0, 6.0 + length * scale, height + 12.0, format!("{length} px"));
    let images = positions.total;
    let overlap = positions.overlap.map(|o| format!(", neighbours overlap by {:.0} %", 100.0 * o));
    let probe = positions.diameter.map(|d| format!(", probe {d:.0} px wide")).unwrap_or_default();
    let about = format!("{images} images{}{probe}", overlap.unwrap_or_default());
    let discs = discs(positions).into_iter().map(|(x, y)| {
        let (x, y) = place(x, y);
        Disc { x, y, r: reach * scale }
    });
    Some(ScanPlot {
        title: positions.title.clone(),
        about,
        width,
        height: height + 22.0,
        dots,
        discs: discs.collect(),
        ruler,
    })
}

/// The position nearest the middle, and its nearest neighbours. None if the probe's width is not known.
fn discs(positions: &Positions) -> Vec<(f64, f64)> {
    if positions.diameter.is_none() {
        return Vec::new();
    }
    let mut all: Vec<(f64, f64)> = positions.x.iter().copied().zip(positions.y.iter().copied()).collect();
    let count = all.len().max(1) as f64;
    let middle = all.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / count, y + p.1 / count));
    let far = |from: (f64, f64)| {
        move |a: &(f64, f64), b: &(f64, f64)| {
            let distance = |p: &(f64, f64)| (p.0 - from.0).hypot(p.1 - from.1);
            distance(a).total_cmp(&distance(b))
        }
    };
    let Some(centre) = all.iter().copied().min_by(far(middle)) else { return Vec::new() };
    all.sort_by(far(centre));
    all.truncate(NEIGHBOURS + 1);
    all
}

/// The largest 1, 2 or 5 times a power of ten that is no longer than that; at least 1.
pub(super) fn ruler(most: f64) -> f64 {
    let decade = 10f64.powf(most.max(1.0).log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|n| n * decade).find(|n| *n <= most).unwrap_or(decade)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rulers_are_round() {
        assert_eq!([0.3, 1.0, 7.0, 80.0, 250.0].map(ruler), [1.0, 1.0, 5.0, 50.0, 200.0]);
    }
}
