//! Colour maps and the scales that put values on them.

use ndarray::ArrayView2;

/// A colour map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stages) enum Map {
    /// Black to white.
    Grey,
    /// Blue over white to red: zero is white, so signs are seen (ColorBrewer's RdBu, reversed).
    Diverging,
}

/// ColorBrewer RdBu with 11 classes, blue first.
const RD_BU: [[u8; 3]; 11] = [
    [5, 48, 97],
    [33, 102, 172],
    [67, 147, 195],
    [146, 197, 222],
    [209, 229, 240],
    [247, 247, 247],
    [253, 219, 199],
    [244, 165, 130],
    [214, 96, 77],
    [178, 24, 43],
    [103, 0, 31],
];

impl Map {
    /// Colour of `t` in [0, 1]; values outside take the end's colour.
    pub(in crate::stages) fn colour(self, t: f64) -> [u8; 3] {
        let t = t.clamp(0.0, 1.0);
        match self {
            Self::Grey => [(t * 255.0).round() as u8; 3],
            Self::Diverging => {
                let place = t * (RD_BU.len() - 1) as f64;
                let below = (place as usize).min(RD_BU.len() - 2);
                let part = place - below as f64;
                let (a, b) = (RD_BU[below], RD_BU[below + 1]);
                std::array::from_fn(|i| {
                    (f64::from(a[i]) * (1.0 - part) + f64::from(b[i]) * part).round() as u8
                })
            }
        }
    }
}

/// Which values the ends of a map stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::stages) struct Scale {
    /// The map.
    pub(in crate::stages) map: Map,
    lo: f64,
    hi: f64,
}

impl Scale {
    /// The scale on which an image fills its map: from its 1st to its 99th percentile, so that a few
    /// outliers do not drown the rest; a diverging map gets as much on either side of zero.
    pub(in crate::stages) fn spanning(map: Map, image: ArrayView2<'_, f64>) -> Self {
        let mut values: Vec<f64> = image.iter().copied().filter(|v| v.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |part: f64| {
            let index = (part * values.len().saturating_sub(1) as f64).round() as usize;
            values.get(index).copied().unwrap_or(0.0)
        };
        let (lo, hi) = (at(0.01), at(0.99));
        match map {
            Map::Grey => Self { map, lo, hi },
            Map::Diverging => {
                let reach = lo.abs().max(hi.abs());
                Self { map, lo: -reach, hi: reach }
            }
        }
    }

    /// Colour of a value.
    pub(super) fn colour(&self, value: f64) -> [u8; 3] {
        let width = self.hi - self.lo;
        self.map.colour(if width > 0.0 { (value - self.lo) / width } else { 0.5 })
    }

    /// Lower and upper end, as text.
    pub(super) fn ends(&self) -> [String; 2] {
        [self.lo, self.hi].map(|v| format!("{v:.2}"))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn ends_and_middle_have_their_colours() {
        assert_eq!(Map::Grey.colour(-1.0), [0; 3]);
        assert_eq!(Map::Grey.colour(2.0), [255; 3]);
        assert_eq!(Map::Diverging.colour(0.0), RD_BU[0]);
        assert_eq!(Map::Diverging.colour(0.5), [247; 3]);
        assert_eq!(Map::Diverging.colour(1.0), RD_BU[10]);
    }

    #[test]
    fn outliers_do_not_set_the_scale_and_zero_is_white() {
        let mut image = Array2::from_shape_fn((50, 50), |(r, c)| (r * 50 + c) as f64 / 2500.0 - 0.2);
        image[[0, 0]] = 1e6;
        let scale = Scale::spanning(Map::Diverging, image.view());
        assert_eq!(scale.colour(0.0), [247; 3]);
        assert_eq!(scale.ends(), ["-0.79", "0.79"]);
        let flat = Scale::spanning(Map::Grey, array![[2.0, 2.0]].view());
        assert_eq!(flat.colour(2.0), [128; 3]);
    }
}
