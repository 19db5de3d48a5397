//! Numerics shared by stages: datasets and images with explicit frames, random streams, Fourier
//! transforms, forward model, groups, placement, image metrics. No stage, no file layout, no terminal.
//!
//! Conventions everywhere: arrays are `[row, col]` (`[image, row, col]` for stacks), C order; object
//! coordinates are absolute pixels, x = column, y = row; a patch of side N whose centre is (x, y) has its
//! index N/2 there, so its row 0 lies at object row y − N/2; diffraction is stored as amplitude with the
//! zero frequency at index N/2 (fftshifted).

pub mod coherence;
pub mod dataset;
pub mod detector;
pub mod fft;
pub mod forward;
pub mod groups;
pub mod image;
pub mod iterative;
pub mod metrics;
pub mod object;
pub mod overlap;
pub mod patches;
pub mod placement;
pub mod polar;
pub mod positions;
pub mod probe;
pub mod real_fft;
pub mod registration;
pub mod rng;
mod vector;
