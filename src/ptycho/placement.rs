//! Placing patches at absolute positions on a canvas that knows where it lies.
//!
//! The reference study anchored its canvas at the mean of the offsets and cropped the truth at their
//! bounding box, and so scored good images 1–3 pixels off. Here a canvas carries its origin in object
//! coordinates, patches are placed by their absolute centre, and no mean is ever taken.

mod deposit;
mod fourier;

use ndarray::{Array2, ArrayView2, ArrayView3, Axis, CowArray, Ix2, s};
use num_complex::{Complex32, Complex64};

use self::deposit::{Deposit, Place};
use self::fourier::Mover;
use super::image::Image;

/// Most pixels a canvas may have: 2³⁰ take 24 GiB of sums, far beyond any scan.
const LARGEST: usize = 1 << 30;

/// Weights below this part of the largest count as no coverage: such a sum is rounding noise.
const NEGLIGIBLE: f64 = 1e-9;

/// Why patches cannot be placed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlacementError {
    /// Patches and positions differ in number.
    #[error("{patches} patches but {x} x- and {y} y-positions: every patch needs its own")]
    Count {
        /// Number of patches.
        patches: usize,
        /// Number of columns given.
        x: usize,
        /// Number of rows given.
        y: usize,
    },
    /// There are none.
    #[error("there are no patches")]
    Empty,
    /// A position is NaN or infinite.
    #[error("position {index} is (x, y) = ({x}, {y})")]
    Position {
        /// Which.
        index: usize,
        /// Column.
        x: f64,
        /// Row.
        y: f64,
    },
    /// The positions span too much.
    #[error("positions span {rows} × {cols} pixels, more than a canvas can hold")]
    TooLarge {
        /// Rows spanned.
        rows: f64,
        /// Columns spanned.
        cols: f64,
    },
    /// The weights do not fit the patches.
    #[error("weights are {weights:?} but patches are {patch:?}")]
    Weights {
        /// Shape of the weights.
        weights: (usize, usize),
        /// Shape of a patch.
        patch: (usize, usize),
    },
    /// The crop does not fit the patches.
    #[error("crop {crop} must be from 1 to the patch side {side}")]
    Crop {
        /// What was asked for.
        crop: usize,
        /// Side of a patch.
        side: usize,
    },
}

/// Weighted sums of patches. Values are `sum / weight`.
///
/// Sums are in f64 and added in the order of the calls, so the result does not depend on how the patches
/// were produced or chunked.
#[derive(Debug, Clone)]
pub struct Canvas {
    /// Object coordinates (row, column) of pixel \[0, 0\].
    origin: [i64; 2],
    sum: Array2<Complex64>,
    weight: Array2<f64>,
    deposit: Deposit,
}

impl Canvas {
    /// An empty canvas whose pixel \[0, 0\] is at object (row, column) `origin`.
    pub fn new(origin: [i64; 2], shape: (usize, usize)) -> Self {
        Self { origin, sum: Array2::zeros(shape), weight: Array2::zeros(shape), deposit: Deposit::default() }
    }

    /// The smallest canvas that holds every patch of `side` pixels centred at the positions, with the
    /// pixel more that placing between pixels reaches.
    pub fn around(x: &[f64], y: &[f64], side: usize) -> Result<Self, PlacementError> {
        if x.is_empty() || x.len() != y.len() {
            return Err(match x.is_empty() && y.is_empty() {
                true => PlacementError::Empty,
                false => PlacementError::Count { patches: x.len(), x: x.len(), y: y.len() },
            });
        }
        if let Some(index) = (0..x.len()).find(|&i| !x[i].is_finite() || !y[i].is_finite()) {
            return Err(PlacementError::Position { index, x: x[index], y: y[index] });
        }
        let span = |centres: &[f64]| {
            let (lo, hi) =
                centres.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
            let first = lo.floor() - (side / 2) as f64;
            (first, hi.ceil() + (side - side / 2) as f64 - first)
        };
        let ((top, rows), (left, cols)) = (span(y), span(x));
        // Far from zero, f64 positions lose whole pixels long before i64 overflows.
        if rows * cols > LARGEST as f64 || top.abs().max(left.abs()) > 1e12 {
            return Err(PlacementError::TooLarge { rows, cols });
        }
        Ok(Self::new([top as i64, left as i64], (rows as usize, cols as usize)))
    }

    /// Adds a patch whose index \[n/2, n/2\] lies at column `x`, row `y`.
    ///
    /// Between pixels, each value is shared among its four neighbours with bilinear weights, which count
    /// in the sum of weights too. What falls outside the canvas is dropped.
    pub fn add(&mut self, patch: ArrayView2<'_, Complex32>, weights: ArrayView2<'_, f64>, x: f64, y: f64) {
        self.add_window(patch, weights, [patch.nrows() / 2, patch.ncols() / 2], x, y);
    }

    /// Adds a patch whose index `centre` lies at column `x`, row `y`.
    fn add_window(
        &mut self,
        patch: ArrayView2<'_, Complex32>,
        weights: ArrayView2<'_, f64>,
        centre: [usize; 2],
        x: f64,
        y: f64,
    ) {
        let [row, fy] = split(y, centre[0], self.origin[0]);
        let [col, fx] = split(x, centre[1], self.origin[1]);
        let place = Place { at: [row as i64, col as i64], fraction: [fy, fx] };
        let (patch, weights) = (with_plain_lines(patch), with_plain_lines(weights));
        self.deposit.add(&mut self.sum, &mut self.weight, patch.view(), weights.view(), place);
    }

    /// The weighted mean, with the summed weights as coverage. Pixels without coverage are zero.
    pub fn finish(self) -> Image {
        let floor = NEGLIGIBLE * self.weight.iter().copied().fold(0.0, f64::max);
        let mut object = Array2::zeros(self.sum.dim());
        let mut coverage = Array2::zeros(self.sum.dim());
        ndarray::Zip::from(&mut object).and(&mut coverage).and(&self.sum).and(&self.weight).for_each(
            |value: &mut Complex32, covered: &mut f32, sum, &weight| {
                if weight > floor {
                    *value = Complex32::new((sum.re / weight) as f32, (sum.im / weight) as f32);
                    *covered = weight as f32;
                }
            },
        );
        Image { object, origin_yx: self.origin.map(|v| v as f64), coverage: Some(coverage) }
    }
}

/// The same with lines that are slices: as it is, unless columns are far apart in memory.
fn with_plain_lines<T: Clone>(image: ArrayView2<'_, T>) -> CowArray<'_, T, Ix2> {
    match image.strides()[1] {
        1 => image.into(),
        _ => image.as_standard_layout().into_owned().into(),
    }
}

/// Canvas pixel of a patch's index 0 and the fraction beyond it.
fn split(centre: f64, index: usize, origin: i64) -> [f64; 2] {
    let first = centre - index as f64 - origin as f64;
    [first.floor(), first - first.floor()]
}

/// What happens to a patch between pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Between {
    /// Each value is shared among its four neighbours, with weights that count.
    #[default]
    Bilinear,
    /// The patch is moved by the fraction in Fourier space: sharper, and exact for what is below Nyquist, but edges
    /// of a patch that does not end as it begins ring.
    Fourier,
}

/// How much each pixel of a patch counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// Only the central M×M pixels, all alike: rows and columns N/2 − M/2 up to M more.
    Crop(usize),
    /// These, of the patch's shape; for example the probe's intensity.
    Given(Array2<f64>),
}

/// Stitches patches (P, N, N) whose centres (index N/2) lie at columns `x`, rows `y` of the object, on the
/// smallest canvas that holds every whole patch, whatever the weights.
pub fn stitch(
    patches: ArrayView3<'_, Complex32>,
    x: &[f64],
    y: &[f64],
    weights: &Weights,
    between: Between,
) -> Result<Image, PlacementError> {
    let (count, rows, cols) = patches.dim();
    if count != x.len() || count != y.len() {
        return Err(PlacementError::Count { patches: count, x: x.len(), y: y.len() });
    }
    stitch_on(Canvas::around(x, y, rows.max(cols))?, patches, x, y, weights, between)
}

/// [`stitch`] on a canvas of the caller's, so that images from different patches share one frame.
pub fn stitch_on(
    canvas: Canvas,
    patches: ArrayView3<'_, Complex32>,
    x: &[f64],
    y: &[f64],
    weights: &Weights,
    between: Between,
) -> Result<Image, PlacementError> {
    let (count, rows, cols) = patches.dim();
    let mut stitching = Stitching::new(canvas, (rows, cols), weights, between)?;
    if count != x.len() || count != y.len() {
        return Err(PlacementError::Count { patches: count, x: x.len(), y: y.len() });
    }
    for (i, patch) in patches.axis_iter(Axis(0)).enumerate() {
        stitching.add(i, patch, x[i], y[i])?;
    }
    Ok(stitching.finish())
}

/// Patches being stitched, one after another.
pub struct Stitching {
    canvas: Canvas,
    /// For [`Between::Fourier`].
    mover: Option<Mover>,
    weights: Array2<f64>,
    /// The weights as a patch that was moved has them.
    moved: Array2<f64>,
    cropped: bool,
    /// First row and column of a patch that count.
    first: [usize; 2],
    /// Index of the centre, counted from there.
    centre: [usize; 2],
}

impl Stitching {
    /// Nothing stitched yet; patches will have the shape `(rows, cols)`.
    pub fn new(
        canvas: Canvas,
        (rows, cols): (usize, usize),
        weights: &Weights,
        between: Between,
    ) -> Result<Self, PlacementError> {
        let mover = (between == Between::Fourier).then(|| Mover::new((rows, cols)));
        let (cropped, weights, first, centre) = match weights {
            Weights::Crop(crop) => {
                let side = rows.min(cols);
                if *crop == 0 || *crop > side {
                    return Err(PlacementError::Crop { crop: *crop, side });
                }
                let first = [rows / 2 - crop / 2, cols / 2 - crop / 2];
                (true, Array2::ones((*crop, *crop)), first, [crop / 2; 2])
            }
            Weights::Given(weights) if weights.dim() == (rows, cols) => {
                (false, weights.as_standard_layout().into_owned(), [0; 2], [rows / 2, cols / 2])
            }
            Weights::Given(weights) => {
                return Err(PlacementError::Weights { weights: weights.dim(), patch: (rows, cols) });
            }
        };
        Ok(Self { canvas, mover, moved: weights.clone(), weights, cropped, first, centre })
    }

    /// Adds patch number `index`, whose centre (index N/2) lies at column `x`, row `y`.
    pub fn add(
        &mut self,
        index: usize,
        patch: ArrayView2<'_, Complex32>,
        x: f64,
        y: f64,
    ) -> Result<(), PlacementError> {
        if !x.is_finite() || !y.is_finite() {
            return Err(PlacementError::Position { index, x, y });
        }
        let Self { canvas, mover, weights, moved, cropped, first: [r, c], centre } = self;
        let (rows, cols) = weights.dim();
        let window = s![*r..*r + rows, *c..*c + cols];
        let Some(mover) = mover else {
            canvas.add_window(patch.slice_move(window), weights.view(), *centre, x, y);
            return Ok(());
        };
        let fraction = [y - y.round(), x - x.round()];
        // A crop stays on whole pixels: what counts is the same all over it.
        if !*cropped {
            fourier::move_weights(weights.view(), fraction, moved);
        }
        let patch = mover.patch(patch, fraction).slice_move(window);
        canvas.add_window(patch, moved.view(), *centre, x.round(), y.round());
        Ok(())
    }

    /// What was added so far: the weighted sum and the sum of weights, each of the canvas's shape.
    pub fn sums(&self) -> (&Array2<Complex64>, &Array2<f64>) {
        (&self.canvas.sum, &self.canvas.weight)
    }

    /// Puts back what [`sums`](Self::sums) gave. `false`, and nothing is done, if it is of another canvas.
    pub fn go_on_from(&mut self, sum: Array2<Complex64>, weight: Array2<f64>) -> bool {
        let shape = self.canvas.weight.dim();
        let fits = sum.dim() == shape && weight.dim() == shape;
        if fits {
            (self.canvas.sum, self.canvas.weight) = (sum, weight);
        }
        fits
    }

    /// The image.
    pub fn finish(self) -> Image {
        self.canvas.finish()
    }
}

#[cfg(test)]
mod tests;
