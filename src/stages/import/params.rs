//! What the study file may say about an import.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `import`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Which keys the file has, NPZ or HDF5: `phasegraph` (`diffraction` or `diff3d`, `xcoords`, `ycoords`,
    /// `probeGuess`), `tike` (`data`, `scan`, `probe`), `cxi` (`entry_1/…`, the Coherent X-ray Imaging format),
    /// `ptychodus` (`dp` or `entry/data/data`, `probe_position_x_m`, …), `keys` (as `keys` names them), or
    /// `auto`: `keys` if those are given, else by the keys found.
    #[serde(default)]
    pub layout: LayoutChoice,
    /// Names of the arrays in the file: all of them for the layout `keys`; with `cxi` and `ptychodus`, in place
    /// of the layout's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// What the stored patterns are: `amplitude` (square root of counts), `counts`, or `auto` by layout
    /// (phasegraph: amplitude, all others: counts).
    #[serde(default)]
    pub values: ValuesChoice,
    /// Where the zero frequency of the stored patterns lies: `center` (index N/2), `corner` (index 0), or
    /// `auto` by layout (tike: corner, all others: center). A warning says when the data look otherwise.
    #[serde(default)]
    pub zero_frequency: ZeroFrequencyChoice,
    /// How positions in the file become object pixels.
    #[serde(default)]
    pub coordinates: Coordinates,
    /// Whether positions are kept as absolute object pixels or moved together onto a canvas.
    #[serde(default)]
    pub positions: Positions,
    /// Canvas rows and columns before the first patch when positions are moved, pixels.
    #[serde(default = "margin")]
    #[schemars(range(min = 0, max = 100_000))]
    pub margin_px: f64,
    /// Whether the probe is scaled to the measured photons.
    #[serde(default)]
    pub probe: ProbeChoice,
    /// Keep only the first so many patterns, in file order.
    #[schemars(range(min = 1))]
    #[serde(default)]
    pub limit: Option<usize>,
    /// Keep only the central so many detector pixels along each axis (even). Resolution falls in
    /// proportion: object pixels grow by N/crop, so positions shrink and the probe is resampled.
    #[schemars(range(min = 8), extend("multipleOf" = 2))]
    #[serde(default)]
    pub crop: Option<usize>,
    /// Leave out the true object that the file may hold.
    #[serde(default)]
    pub drop_object: bool,
}

fn margin() -> f64 {
    8.0
}

/// How the file is laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayoutChoice {
    /// By the keys found.
    #[default]
    Auto,
    /// The reference contract.
    Phasegraph,
    /// tike's test data.
    Tike,
    /// Coherent X-ray Imaging format.
    Cxi,
    /// ptychodus, diffraction and product in one file or two.
    Ptychodus,
    /// The names that `keys` gives.
    Keys,
}

/// Names of arrays in the file. In HDF5 they are paths (`/entry/data/data`; the leading slash may be left out).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// (M, N, N): the patterns.
    pub patterns: Option<String>,
    /// (M, 2) or (M, 3): x and y of every pattern; a third column is not looked at.
    pub positions: Option<String>,
    /// (M,): x of every pattern, in place of `positions`.
    pub x: Option<String>,
    /// (M,): y of every pattern, in place of `positions`.
    pub y: Option<String>,
    /// (…, N, N) complex: the illumination. Without one, it is guessed from the mean pattern.
    pub probe: Option<String>,
    /// (N, N): 0 where a pixel was measured; anything else is CXI's bits for what is wrong with it. Masked pixels
    /// count 0 and take no part in a reconstruction.
    pub mask: Option<String>,
    /// (…, H, W) complex: an object to be kept as the true one. None is read unless it is named here, because what
    /// programs store under that name is their own reconstruction.
    pub object: Option<String>,
}

/// What the stored values are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValuesChoice {
    /// By layout.
    #[default]
    Auto,
    /// Square roots of counts.
    Amplitude,
    /// Counts.
    Counts,
}

/// Where the zero frequency lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ZeroFrequencyChoice {
    /// By layout.
    #[default]
    Auto,
    /// At index N/2.
    Center,
    /// At index 0.
    Corner,
}

/// What happens to positions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// Kept if every patch begins at 0 or later or the file holds the object they refer to, else moved.
    #[default]
    Auto,
    /// Kept.
    Keep,
    /// Moved together so that the first patch begins `margin_px` inside the canvas.
    Move,
}

/// What happens to the probe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeChoice {
    /// By layout: phasegraph keeps, all others scale.
    #[default]
    Auto,
    /// Kept as it is.
    Keep,
    /// Scaled so that its power equals the mean pattern's: right where the object transmits fully.
    Photons,
}

/// How positions in the file become object pixels, in this order: swap, scale, flip.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Coordinates {
    /// Exchange x (column) and y (row).
    pub swap_xy: bool,
    /// Object pixels per unit of the file: 1 for pixels, 1/(pixel size in metres) for metres. If not given, 1;
    /// for `cxi` and `ptychodus`, whose positions are metres, what the geometry in the file says.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub pixels_per_unit: Option<f64>,
    /// Mirror x.
    pub flip_x: bool,
    /// Mirror y.
    pub flip_y: bool,
}

impl Coordinates {
    /// The (x, y) of object pixels for coordinate lists of the file; `per_unit` is the number of pixels (along x,
    /// along y) in a unit of the file, unless `pixels_per_unit` says it.
    pub fn apply(&self, x: &mut Vec<f64>, y: &mut Vec<f64>, per_unit: [f64; 2]) {
        if self.swap_xy {
            std::mem::swap(x, y);
        }
        let per_unit = self.pixels_per_unit.map_or(per_unit, |n| [n, n]);
        for ((list, flip), pixels) in [(x, self.flip_x), (y, self.flip_y)].into_iter().zip(per_unit) {
            let factor = if flip { -pixels } else { pixels };
            list.iter_mut().for_each(|v| *v *= factor);
        }
    }

    /// Whether positions stay as the file has them.
    pub fn is_identity(&self) -> bool {
        !self.swap_xy && !self.flip_x && !self.flip_y && self.pixels_per_unit.is_none_or(|n| n == 1.0)
    }
}
