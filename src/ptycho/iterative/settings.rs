//! What a reconstruction is told, and why it may refuse.

/// The update rule. P are the probe modes a pattern sees, O its patch, χ the change of its exit waves that the
/// detector asks for. Within a batch all patterns see the same object and probe; ΔO is summed over the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// ΔO = α·ΣP*·χ / max Σ|P|², ΔP = β·O*·χ / max|O|², averaged over the batch.
    Epie,
    /// ΔO = ΣP*·χ / ((1−α)|P|² + α·max Σ|P|²), ΔP the same with O and β, averaged over the batch.
    Rpie,
    /// Difference map: exit waves ψ of all patterns are kept, ψ += step·(Π_F(2Π_O − ψ) − Π_O); then probe and
    /// object follow from ψ by damped least squares. Batches, α and β do not matter.
    DifferenceMap,
    /// ΔO and ΔP preconditioned; steps by least squares for every pattern, of which a trimmed mean (object) or
    /// the mean (probe) is taken. α and β do not matter. The first epoch only scales the probe.
    Lsqml,
}

/// The likelihood that LSQML climbs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Noise {
    /// Amplitudes with the same normal error everywhere: χ is the projection onto the measured modulus.
    #[default]
    Gaussian,
    /// Counts: χ follows the gradient 1 − I/|F|² for a step found by line search.
    Poisson,
}

/// How patterns are put into batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Batching {
    /// A random share of the scan, new in every epoch.
    #[default]
    Random,
    /// Neighbours, the same in every epoch, in random order. LSQML then gathers ΔO over the whole epoch and
    /// takes the smallest of the batches' steps.
    Compact,
}

/// What becomes of the factor between object and probe that the data cannot tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Scale {
    /// After every epoch with a changed probe, the probe gets back the power Σ|P|² it began with.
    #[default]
    ProbePower,
    /// In epochs 0, 10, 20, … the object's root mean square, weighted with the illumination, becomes 1 within
    /// the box of the scan's centres, as pty-chi does it.
    ObjectRms,
    /// Nothing.
    Free,
}

/// How positions between pixels are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subpixel {
    /// The object is sampled with bilinear weights, exactly as the simulator does it.
    Bilinear,
    /// The probe modes are moved by the fraction in Fourier space (pty-chi does so with the first mode); costs
    /// two more transforms a mode and pattern, and blurs nothing.
    ProbeShift,
    /// Positions are rounded to whole pixels.
    Nearest,
}

/// How an [`Engine`](super::Engine) works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Update rule.
    pub rule: Rule,
    /// α of the object update, in (0, 1].
    pub alpha: f32,
    /// β of the probe update, in (0, 1].
    pub beta: f32,
    /// Factor on both updates; the difference map's relaxation. For the PIE rules 1 suits batches of one; a
    /// batch sums its object updates, so large ones need less (pty-chi's users take 0.1 for a hundred).
    pub step: f32,
    /// Treatment of positions between pixels.
    pub subpixel: Subpixel,
    /// What LSQML takes for the noise.
    pub noise: Noise,
    /// Treatment of the free factor.
    pub scale: Scale,
}

impl Settings {
    /// A rule with pty-chi's steps where it has them, and 0.5 for α and β.
    pub fn new(rule: Rule) -> Self {
        Self {
            rule,
            alpha: 0.5,
            beta: 0.5,
            step: 1.0,
            subpixel: Subpixel::Bilinear,
            noise: Noise::Gaussian,
            scale: Scale::ProbePower,
        }
    }
}

/// Why a reconstruction cannot be set up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SetupError {
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
    /// A combination that is not there.
    #[error("{0}")]
    Unsupported(&'static str),
}
