//! The native trainer: two small convolutional networks, trained on the processor without Python, and
//! the ONNX writer for the result.
//!
//! It knows exactly the layers these networks need and differentiates each by hand; tests check every
//! gradient against finite differences in `f64`. From the data to the file:
//! [`task`] (samples and losses; [`physics`] for the physics-informed one) → [`train`] (order, threads,
//! [`adam`]) over a [`network`] (a [`graph`] of [`conv`]olutions and [`resample`]rs with its parameters) →
//! [`onnx`].

pub mod adam;
pub mod bilinear;
pub mod conv;
pub mod graph;
pub mod matrix;
pub mod network;
pub mod onnx;
pub mod physics;
pub mod real;
pub mod resample;
pub mod symmetry;
pub mod task;
#[cfg(test)]
mod tests;
pub mod train;
