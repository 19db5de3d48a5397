//! What an ONNX file says of itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::read::{Dim, Model, Named};

/// A model, as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// The program that wrote it, and its version.
    pub producer: String,
    /// Versions of the sets of operations, by domain; the standard one is `ai.onnx`.
    pub opsets: BTreeMap<String, i64>,
    /// Metadata properties, in the file's order.
    pub metadata: Vec<(String, String)>,
    /// Inputs that are no constants.
    pub inputs: Vec<Port>,
    /// Outputs.
    pub outputs: Vec<Port>,
    /// Numbers in all constants: weights and whatever else there is.
    pub parameters: u64,
    /// Operations and how many there are of each.
    pub operations: BTreeMap<String, usize>,
}

/// An input or an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Type of its numbers, for example `float32`.
    pub element: String,
    /// Length of every axis, `None` for a free one; `None` if the file does not tell the shape.
    pub shape: Option<Vec<Option<u64>>>,
}

impl About {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// Says why they are no ONNX model.
    pub fn read(bytes: Vec<u8>) -> Result<Self, String> {
        let model = Model::parse(bytes)?;
        let graph = model.graph.ok_or("it has no graph")?;
        let constants: BTreeSet<&str> = graph.constants.iter().map(|t| t.name.as_str()).collect();
        let mut operations = BTreeMap::new();
        for node in &graph.nodes {
            *operations.entry(node.kind.clone()).or_default() += 1;
        }
        let domain = |name: String| if name.is_empty() { "ai.onnx".to_owned() } else { name };
        Ok(Self {
            producer: format!("{} {}", model.producer, model.producer_version).trim().to_owned(),
            opsets: model.opsets.into_iter().map(|o| (domain(o.domain), o.version)).collect(),
            metadata: model.metadata.into_iter().map(|e| (e.key, e.value)).collect(),
            inputs: graph.inputs.iter().filter(|i| !constants.contains(&*i.name)).map(port).collect(),
            outputs: graph.outputs.iter().map(port).collect(),
            parameters: graph.constants.iter().map(|t| t.shape().iter().product::<usize>() as u64).sum(),
            operations,
        })
    }
}

impl std::fmt::Display for Port {
    /// `diffraction float32 [batch, 4, 64, 64]`, with `?` for free axes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ", self.name, self.element)?;
        let Some(shape) = &self.shape else { return f.write_str("of a shape that is not told") };
        let axes: Vec<String> =
            shape.iter().map(|axis| axis.map_or("?".to_owned(), |length| length.to_string())).collect();
        write!(f, "[{}]", axes.join(", "))
    }
}

fn port(named: &Named) -> Port {
    let tensor = named.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let axis = |dim: &Dim| dim.value.and_then(|v| u64::try_from(v).ok()).filter(|_| dim.name.is_none());
    Port {
        name: named.name.clone(),
        element: tensor.map_or("no tensor".to_owned(), |t| element(t.element)),
        shape: tensor.and_then(|t| t.shape.as_ref()).map(|s| s.dims.iter().map(axis).collect()),
    }
}

/// Name of a TensorProto.DataType.
fn element(number: i32) -> String {
    let name = match number {
        1 => "float32",
        2 => "uint8",
        3 => "int8",
        4 => "uint16",
        5 => "int16",
        6 => "int32",
        7 => "int64",
        9 => "bool",
        10 => "float16",
        11 => "float64",
        14 => "complex64",
        16 => "bfloat16",
        other => return format!("type {other}"),
    };
    name.to_owned()
}
