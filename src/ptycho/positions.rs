//! Scan positions: raster with jitter, Fermat spiral, and the reference's uniform draw.

use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rng::{Mt19937, keyed};
use crate::diag::{StageError, StageResult};

/// More positions than any detector delivers; beyond it a step was mistyped.
const MOST: f64 = 1e7;

/// How the probe moves over the object. Lengths are object pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scan {
    /// Rows of equally spaced positions, centred in the object, each displaced at random.
    Raster {
        /// Distance of neighbouring positions, pixels.
        #[schemars(extend("exclusiveMinimum" = 0))]
        step_px: f64,
        /// Largest random displacement in x and in y, pixels.
        #[serde(default)]
        #[schemars(range(min = 0))]
        jitter_px: f64,
        /// Rows and columns; as many as fit if absent.
        #[serde(default)]
        #[schemars(inner(range(min = 1)))]
        shape: Option<[u32; 2]>,
    },
    /// A Fermat spiral from the centre outwards (golden angle), cut to the object's rectangle: even
    /// density without the periodicity of a raster.
    Spiral {
        /// Square root of the area per position, pixels.
        #[schemars(extend("exclusiveMinimum" = 0))]
        spacing_px: f64,
        /// Number of positions, from the centre; as many as fit if absent.
        #[serde(default)]
        #[schemars(range(min = 1))]
        count: Option<u32>,
    },
    /// Independent uniform draws, bit for bit those of the reference study (NumPy's legacy MT19937).
    Uniform {
        /// Number of positions (10304 in the reference).
        #[schemars(range(min = 1, max = 10_000_000))]
        count: u32,
        /// Seed of the draw (42 in the reference); the low 32 bits of the study's seed if absent.
        #[serde(default)]
        seed: Option<u32>,
    },
}

/// Where patch centres may lie, object pixels, both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Smallest and largest x (column).
    pub x: [f64; 2],
    /// Smallest and largest y (row).
    pub y: [f64; 2],
}

impl Region {
    /// The part of an object of `shape` (rows, columns) at least `buffer` pixels from every edge:
    /// [buffer, W − buffer] × [buffer, H − buffer], as in the reference. A patch of side N stays inside
    /// the object if `buffer` ≥ N/2.
    pub fn inside(shape: (usize, usize), buffer: f64) -> StageResult<Self> {
        let (rows, cols) = shape;
        let side = |length: usize| [buffer, length as f64 - buffer];
        let region = Self { x: side(cols), y: side(rows) };
        if region.width() < 0.0 || region.height() < 0.0 {
            let message =
                format!("an object of {rows}×{cols} pixels has no place {buffer} pixels from every edge");
            return Err(StageError::input(message).hint("make the object larger or the buffer smaller"));
        }
        Ok(region)
    }

    fn width(&self) -> f64 {
        self.x[1] - self.x[0]
    }

    fn height(&self) -> f64 {
        self.y[1] - self.y[0]
    }

    fn centre(&self) -> [f64; 2] {
        [(self.x[0] + self.x[1]) / 2.0, (self.y[0] + self.y[1]) / 2.0]
    }

    fn contains(&self, x: f64, y: f64) -> bool {
        (self.x[0]..=self.x[1]).contains(&x) && (self.y[0]..=self.y[1]).contains(&y)
    }
}

impl Scan {
    /// The x and y of every position, in scan order, all inside `region`. `seed` is the study's; dose
    /// has no part in it, so conditions of one study share their positions.
    pub fn positions(&self, region: Region, seed: u64) -> StageResult<(Vec<f64>, Vec<f64>)> {
        match *self {
            Self::Raster { step_px, jitter_px, shape } => raster(region, step_px, jitter_px, shape, seed),
            Self::Spiral { spacing_px, count } => spiral(region, spacing_px, count),
            Self::Uniform { count, seed: own } => {
                Ok(uniform(region, count as usize, own.unwrap_or(seed as u32)))
            }
        }
    }
}

/// The reference's draw (study.md §3.1): all x first, then all y, from one MT19937 stream.
pub fn uniform(region: Region, count: usize, seed: u32) -> (Vec<f64>, Vec<f64>) {
    let mut rng = Mt19937::new(seed);
    let mut draw = |[lo, hi]: [f64; 2]| (0..count).map(|_| rng.uniform(lo, hi)).collect();
    (draw(region.x), draw(region.y))
}

fn raster(
    region: Region,
    step: f64,
    jitter: f64,
    shape: Option<[u32; 2]>,
    seed: u64,
) -> StageResult<(Vec<f64>, Vec<f64>)> {
    // Displacements stay inside because the grid itself keeps `jitter` away from the region's edge.
    let room = |length: f64| length - 2.0 * jitter;
    let (width, height) = (room(region.width()), room(region.height()));
    let fits = |length: f64| {
        if length < 0.0 { 0.0 } else { (length / step).floor() + 1.0 }
    };
    let [rows, cols] = shape.map_or([fits(height), fits(width)], |s| s.map(f64::from));
    let (tall, wide) = ((rows - 1.0) * step, (cols - 1.0) * step);
    if rows < 1.0 || cols < 1.0 || tall > height || wide > width {
        let message = format!(
            "a raster of {rows}×{cols} positions, {step} pixels apart and moved by up to {jitter}, \
             does not fit: there is room for {:.1}×{:.1} pixels",
            region.height(),
            region.width()
        );
        return Err(
            StageError::input(message).hint("make the object larger, or step, shape or jitter smaller")
        );
    }
    refuse_more_than_most(rows * cols)?;
    let [cx, cy] = region.centre();
    let (x0, y0) = (cx - wide / 2.0, cy - tall / 2.0);
    let (rows, cols) = (rows as usize, cols as usize);
    Ok((0..rows * cols)
        .map(|i| {
            let mut rng = keyed(seed, "positions", i as u64);
            let mut moved = || jitter * (2.0 * rng.random::<f64>() - 1.0);
            (x0 + (i % cols) as f64 * step + moved(), y0 + (i / cols) as f64 * step + moved())
        })
        .unzip())
}

/// r = c√k, θ = k·(golden angle). The disc of radius r then holds r²/c² positions, so the area per
/// position is πc² and the spacing asked for is c√π.
fn spiral(region: Region, spacing: f64, count: Option<u32>) -> StageResult<(Vec<f64>, Vec<f64>)> {
    let golden_angle = std::f64::consts::PI * (3.0 - 5.0f64.sqrt());
    let c = spacing / std::f64::consts::PI.sqrt();
    let [cx, cy] = region.centre();
    let reach = region.width().hypot(region.height()) / 2.0;
    let turns = (reach / c).powi(2).floor();
    refuse_more_than_most(turns)?;
    let wanted = count.map_or(usize::MAX, |n| n as usize);
    let (x, y): (Vec<f64>, Vec<f64>) = (0..=turns as usize)
        .map(|k| {
            let (radius, angle) = (c * (k as f64).sqrt(), k as f64 * golden_angle);
            (cx + radius * angle.cos(), cy + radius * angle.sin())
        })
        .filter(|(x, y)| region.contains(*x, *y))
        .take(wanted)
        .unzip();
    match count {
        Some(n) if x.len() < n as usize => {
            let fit = x.len();
            let message = format!("only {fit} of {n} spiral positions {spacing} pixels apart fit the object");
            Err(StageError::input(message).hint("make the object larger, or count or spacing smaller"))
        }
        _ => Ok((x, y)),
    }
}

fn refuse_more_than_most(count: f64) -> StageResult {
    if count > MOST {
        let message = format!("the scan would have {count} positions, expected at most {MOST:e}");
        return Err(StageError::input(message).hint("make the step larger"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> Region {
        Region::inside((464, 464), 64.0).unwrap()
    }

    #[test]
    fn uniform_is_the_reference_draw() {
        let scan = Scan::Uniform { count: 10_304, seed: None };
        let (x, y) = scan.positions(region(), 42).unwrap();
        assert_eq!(x[..2], [189.8454799327138, 383.4400069537318]);
        assert_eq!(y[..2], [150.884298441732, 307.33285070361234]);
        let own = Scan::Uniform { count: 10_304, seed: Some(42) };
        assert_eq!(own.positions(region(), 7).unwrap(), (x.clone(), y));
        assert_ne!(scan.positions(region(), 7).unwrap().0, x);
    }

    #[test]
    fn every_kind_stays_inside() {
        let region = Region::inside((200, 300), 33.5).unwrap();
        for (scan, least) in [
            (Scan::Raster { step_px: 7.0, jitter_px: 3.0, shape: None }, 500),
            (Scan::Raster { step_px: 7.0, jitter_px: 0.0, shape: Some([3, 5]) }, 15),
            (Scan::Spiral { spacing_px: 6.0, count: None }, 700),
            (Scan::Uniform { count: 999, seed: None }, 999),
        ] {
            let (x, y) = scan.positions(region, 3).unwrap();
            assert!(x.len() >= least && x.len() == y.len(), "{scan:?} gave {}", x.len());
            assert!(x.iter().zip(&y).all(|(x, y)| region.contains(*x, *y)), "{scan:?}");
        }
    }

    #[test]
    fn raster_is_centred_and_moved_by_the_seed() {
        let region = Region::inside((110, 100), 10.0).unwrap();
        let still = Scan::Raster { step_px: 20.0, jitter_px: 0.0, shape: None };
        let (x, y) = still.positions(region, 1).unwrap();
        assert_eq!(x[..6], [10.0, 30.0, 50.0, 70.0, 90.0, 10.0]);
        assert_eq!((y[0], y[24]), (15.0, 95.0));
        let moved = Scan::Raster { step_px: 20.0, jitter_px: 2.0, shape: Some([4, 4]) };
        let (a, _) = moved.positions(region, 1).unwrap();
        assert_ne!(a, moved.positions(region, 2).unwrap().0);
        assert!(a.iter().enumerate().all(|(i, x)| (x - 20.0 - (i % 4) as f64 * 20.0).abs() <= 2.0));
        // Some displacement is used.
        assert!(a.iter().enumerate().any(|(i, x)| (x - 20.0 - (i % 4) as f64 * 20.0).abs() > 1.0));
    }

    #[test]
    fn spiral_has_the_density_asked_for() {
        let region = Region::inside((400, 400), 0.0).unwrap();
        let (x, _) = Scan::Spiral { spacing_px: 8.0, count: None }.positions(region, 0).unwrap();
        let expected = 400.0 * 400.0 / 64.0;
        assert!((x.len() as f64 - expected).abs() < 0.01 * expected, "{}", x.len());
    }

    #[test]
    fn what_does_not_fit_is_refused_with_numbers() {
        assert!(Region::inside((100, 60), 32.0).unwrap_err().message.contains("100×60"));
        let tiny = Region::inside((70, 70), 32.0).unwrap();
        let error = |scan: Scan| scan.positions(tiny, 0).unwrap_err().message;
        assert!(error(Scan::Raster { step_px: 3.0, jitter_px: 0.0, shape: Some([9, 2]) }).contains("9×2"));
        assert!(error(Scan::Raster { step_px: 3.0, jitter_px: 9.0, shape: None }).contains("6.0×6.0"));
        assert!(error(Scan::Raster { step_px: 1e-6, jitter_px: 0.0, shape: None }).contains("at most"));
        assert!(error(Scan::Spiral { spacing_px: 1e-6, count: None }).contains("at most"));
        assert!(error(Scan::Spiral { spacing_px: 3.0, count: Some(100) }).contains("of 100"));
    }

    #[test]
    fn the_schema_refuses_unknown_and_senseless_parameters() {
        let typo = serde_json::json!({"kind": "raster", "step_px": 3, "jiter_px": 1});
        assert!(serde_json::from_value::<Scan>(typo).is_err());
        let schema = serde_json::to_value(schemars::schema_for!(Scan)).unwrap();
        let kinds = schema["oneOf"].as_array().unwrap();
        assert!(kinds.iter().all(|k| k["additionalProperties"] == false), "{schema:#}");
        let raster = &kinds[0]["properties"];
        assert_eq!(raster["step_px"]["exclusiveMinimum"], 0);
        assert_eq!(raster["jitter_px"]["minimum"], 0);
        assert_eq!(raster["shape"]["items"]["minimum"], 1, "{raster:#}");
    }
}
