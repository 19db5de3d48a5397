//! Parts of the NPZ corpus.

pub mod broken;
pub mod build;
