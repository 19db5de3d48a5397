//! The trained network as an ONNX file, and what memory such a file asks for: opset 17, IR version 8, free batch axis, 32-bit floats.
//!
//! Field numbers are those of <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

mod about;
mod adapt;
mod memory;
mod proto;
mod read;
mod shape;
#[cfg(test)]
mod tests;
mod write;

pub use about::{About, Port};
pub use adapt::{Adapter, From, Layout, Scaling, adapt};
pub use memory::{Footprint, footprint};
use proto::Message;

use super::network::Network;

/// Name of the input: normalised amplitudes [batch, C, N, N], zero frequency at index N/2.
pub const INPUT: &str = "diffraction";
/// Names of the outputs, each [batch, C, N, N]: amplitude |O| in the object's unit, phase in radians.
/// Both are 0 outside the drawn part.
pub const OUTPUTS: [&str; 2] = ["amplitude", "phase"];

const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// Encodes the network with metadata properties. Equal networks give equal bytes.
pub fn encode(network: &Network<f32>, metadata: &[(&str, String)]) -> Vec<u8> {
    let opset = Message::new().text(1, "").int(2, OPSET);
    Message::new()
        .int(1, IR_VERSION)
        .text(2, env!("CARGO_PKG_NAME"))
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, write::graph(network))
        .message(8, opset)
        .repeated(metadata, |model, (key, value)| {
            model.message(14, Message::new().text(1, key).text(2, value))
        })
        .into_bytes()
}
