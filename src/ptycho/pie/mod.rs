//! The PIE family of iterative ptychographic reconstruction: ePIE and rPIE with probe update.
//!
//! Conventions as in the rest of `ptycho`: the pattern of a patch O with probe P is |FFT2(P·O)|/N
//! (unitary), so an object of modulus 1 gives patterns of the probe's energy, and amplitudes, probe and
//! object stay in the dataset's own units. Everything is f32 but for the residual's sum, and in fixed
//! order: the same input gives the same bytes.
//!
//! Sources: ePIE, Maiden & Rodenburg, Ultramicroscopy 109, 1256 (2009); rPIE, Maiden, Johnson & Li,
//! Optica 4, 736 (2017). Batches follow pty-chi 2.2: within a batch every update sees the same object and
//! probe, object updates are summed, probe updates averaged.

mod engine;
mod kernels;
mod order;
mod scan;

pub use engine::Engine;
pub use order::{epoch_order, subset};
pub use scan::{Frame, frame};

/// The update rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// ΔO = α·P*·χ / max|P|², ΔP = β·O*·χ / max|O|².
    Epie,
    /// ΔO = P*·χ / ((1−α)|P|² + α·max|P|²), ΔP the same with O and β.
    Rpie,
}

/// How positions between pixels are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subpixel {
    /// The object is sampled with bilinear weights, exactly as the simulator does it.
    Bilinear,
    /// The probe is moved by the fraction in Fourier space, as pty-chi does it; costs two more
    /// transforms a pattern, and blurs nothing.
    ProbeShift,
    /// Positions are rounded to whole pixels.
    Nearest,
}

/// How an [`Engine`] works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Update rule.
    pub rule: Rule,
    /// α of the object update, in (0, 1].
    pub alpha: f32,
    /// β of the probe update, in (0, 1].
    pub beta: f32,
    /// Factor on both updates. 1 for batches of one; a batch sums its object updates, so large ones need
    /// less (pty-chi's users take 0.1 for a hundred).
    pub step: f32,
    /// Treatment of positions between pixels.
    pub subpixel: Subpixel,
}

/// Why a reconstruction cannot be set up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PieError {
    /// Arrays do not fit each other.
    #[error("{what}: found {found}, expected {expected}")]
    Shape {
        /// Which array.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// There are no patterns.
    #[error("there are no patterns")]
    Empty,
    /// A patch does not lie on the object.
    #[error("pattern {index} at (x, y) = ({x}, {y}) does not lie on the object")]
    Outside {
        /// Which.
        index: usize,
        /// Column.
        x: f64,
        /// Row.
        y: f64,
    },
    /// The positions span more than an object can hold.
    #[error("positions span {rows} × {cols} pixels, more than an object can hold")]
    TooLarge {
        /// Rows.
        rows: f64,
        /// Columns.
        cols: f64,
    },
    /// No pattern, or no probe, has any intensity.
    #[error("{0} has no intensity")]
    Dark(&'static str),
}

#[cfg(test)]
mod tests;
