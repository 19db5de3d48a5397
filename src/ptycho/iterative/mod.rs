//! Iterative ptychographic reconstruction: ePIE, rPIE, difference map, least-squares maximum likelihood.
//!
//! Conventions as in the rest of `ptycho`: the pattern of a patch O with probe modes P_m is
//! √(Σ_m |FFT2(P_m·O)|²)/N (unitary), so an object of modulus 1 gives patterns of the probe's energy, and
//! amplitudes, probe and object stay in the dataset's own units. pty-chi transforms without a norm: its probe is
//! this one times s/N, where counts are (amplitude·s)². Fields are f32, sums over a pattern's pixels f64 every
//! 256 pixels, and every sum is in fixed order: the same input gives the same bytes on any number of threads.
//!
//! Sources: ePIE, Maiden & Rodenburg, Ultramicroscopy 109, 1256 (2009); rPIE, Maiden, Johnson & Li,
//! Optica 4, 736 (2017); difference map, Thibault et al., Ultramicroscopy 109, 338 (2009); LSQML and its Poisson
//! step, Odstrčil, Menzel & Guizar-Sicairos, Opt. Express 26, 3108 (2018). Where these leave a choice, that of
//! pty-chi 2.2 is taken, and its results are reproduced (`tests/golden/recon_ptychi220.npz`).
//!
//! | file | what |
//! |---|---|
//! | `kernels` | loops over pixels |
//! | `grid` | cutting patches out of the object and adding them back |
//! | `scan`, `order` | where patches lie, in which order and batches they come |
//! | `state` | object, probe modes, places and measured amplitudes; what keeps their scale |
//! | `crew` | exit waves of a batch and what the detector says about them, over threads |
//! | `pie`, `dm`, `lsqml` | the algorithms |
//! | `refine` | positions |
//! | `modes` | probe modes |

mod crew;
mod dm;
mod engine;
mod grid;
mod kernels;
mod lsqml;
mod modes;
mod order;
mod pie;
mod refine;
mod scan;
mod settings;
mod state;

pub use engine::{Engine, Learn, Snapshot};
pub use modes::starting_modes;
pub use order::{Batches, epoch_order, subset};
pub use scan::{Frame, frame};
pub use settings::{Batching, Noise, Rule, Scale, Settings, SetupError, Subpixel};
pub use state::Measured;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
