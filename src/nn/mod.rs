//! The native trainer: convolutional networks from patterns to patches, trained on the processor without
//! Python, and the ONNX writer for the result.
//!
//! It knows exactly the layers these networks need and differentiates each by hand; tests check every
//! gradient against finite differences in `f64`. From the data to the file:
//! [`samples`] → [`task`] (losses; [`physics`] for the physics-informed one) → [`train`] (order, threads,
//! [`adam`]) over a [`network`] (a [`graph`] of layers, chosen by its [`architecture`], with its parameters;
//! [`workspace`] runs it) → [`onnx`]. A kernel a file: [`conv`], [`resample`], [`pointwise`], [`rearrange`].

pub mod adam;
pub mod architecture;
pub mod bilinear;
pub mod conv;
pub mod graph;
mod lanes;
pub mod matrix;
pub mod network;
pub mod onnx;
pub mod physics;
pub mod pointwise;
pub mod real;
pub mod rearrange;
pub mod resample;
pub mod samples;
pub mod symmetry;
pub mod task;
#[cfg(test)]
mod tests;
pub mod train;
pub mod workspace;
