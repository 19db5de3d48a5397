//! The networks as data: a list of layers over activation maps. Training walks it forwards and
//! backwards, the ONNX writer walks it once more, and [`Graph::describe`] hands it to another engine.
//!
//! Which layers a network has is decided in [`super::architecture`].

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::architecture::Architecture;
use super::conv::{Conv, Shape};

/// Index of an activation map in [`Graph::maps`].
pub type Map = usize;

/// Version of what [`Graph::describe`] says.
pub const FORMAT: &str = "phasegraph-network/1";

/// What an activation does to each number z, before it is multiplied by its [`Unit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// z.
    Identity,
    /// 1 / (1 + exp(−z)).
    Sigmoid,
    /// tanh z.
    Tanh,
    /// z / (1 + exp(−z)).
    Swish,
}

/// What an activation is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// 1.
    One,
    /// [`super::network::Network::ceiling`], in the unit of the object's amplitude.
    Ceiling,
    /// π.
    Pi,
}

/// A layer. `conv` is an index into [`Graph::convs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// 3×3 convolution, with ReLU behind it or not.
    Conv {
        /// Input.
        from: Map,
        /// Output.
        to: Map,
        /// Which convolution.
        conv: usize,
        /// Whether negative values become 0.
        relu: bool,
    },
    /// Halving by maximum.
    Pool {
        /// Input.
        from: Map,
        /// Output.
        to: Map,
    },
    /// Doubling by repetition.
    Upsample {
        /// Input.
        from: Map,
        /// Output.
        to: Map,
    },
    /// Some of the channels: as many as `to` has, from `first` on.
    Slice {
        /// Input.
        from: Map,
        /// Output.
        to: Map,
        /// First channel taken.
        first: usize,
    },
    /// `unit · function(from)`, number by number.
    Activate {
        /// Input.
        from: Map,
        /// Output.
        to: Map,
        /// What is done to each number.
        function: Function,
        /// What the result is multiplied by.
        unit: Unit,
    },
    /// `inner` in the centre of `outer`: inner padded with zeros to the side of outer, plus outer times
    /// (1 − the box that inner covers).
    Inlay {
        /// The smaller map.
        inner: Map,
        /// The larger map.
        outer: Map,
        /// Output, as large as `outer`.
        to: Map,
    },
}

/// A network from a group's patterns to its patches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// What it was built from.
    pub architecture: Architecture,
    /// Shapes of all activation maps; map 0 is the input.
    pub maps: Vec<Shape>,
    /// Layers in the order of computation.
    pub ops: Vec<Op>,
    /// Convolutions in the order of their parameters.
    pub convs: Vec<Conv>,
    /// The maps that are the result: amplitude and phase.
    pub outputs: [Map; 2],
    /// Number of parameters.
    pub parameters: usize,
}

impl Graph {
    /// Builds the network; the message says what is wrong with the architecture.
    pub fn new(architecture: Architecture) -> Result<Self, String> {
        architecture.check()?;
        let Architecture { side, channels, design } = architecture;
        let mut graph = Self {
            architecture,
            maps: vec![Shape { side, channels }],
            ops: Vec::new(),
            convs: Vec::new(),
            outputs: [0; 2],
            parameters: 0,
        };
        design.lay(&mut graph);
        Ok(graph)
    }

    /// Side of the patches the network draws: N/2 or N.
    pub fn drawn(&self) -> usize {
        self.maps[self.outputs[0]].side
    }

    /// A name that tells the architecture, for the model's metadata.
    pub fn name(&self) -> String {
        self.architecture.name()
    }

    /// Convolutions whose result is not hidden but becomes part of a patch, by the activation behind them.
    pub fn head(&self, map: Map) -> Option<(Function, Unit)> {
        self.ops.iter().find_map(|op| match *op {
            Op::Activate { from, function, unit, .. } if from == map => Some((function, unit)),
            _ => None,
        })
    }

    /// The network as JSON, from which another engine can build the same one: see `docs/models.md`.
    pub fn describe(&self, ceiling: f64) -> Value {
        let mut value = json!({
            "format": FORMAT,
            "name": self.name(),
            "ceiling": ceiling,
            "weights": "per convolution from `offset`: [kernel row][kernel column][input][output], then [output] biases",
        });
        // Numbers, names and lists: nothing in it can fail to be JSON.
        if let (Some(all), Ok(Value::Object(graph))) = (value.as_object_mut(), serde_json::to_value(self)) {
            all.extend(graph);
        }
        value
    }

    fn add(&mut self, shape: Shape) -> Map {
        self.maps.push(shape);
        self.maps.len() - 1
    }

    /// Adds a convolution.
    pub(super) fn conv(&mut self, from: Map, outputs: usize, relu: bool) -> Map {
        let Shape { side, channels } = self.maps[from];
        let to = self.add(Shape { side, channels: outputs });
        let conv = Conv { inputs: channels, outputs, offset: self.parameters };
        self.parameters += conv.len();
        self.ops.push(Op::Conv { from, to, conv: self.convs.len(), relu });
        self.convs.push(conv);
        to
    }

    /// Adds a halving.
    pub(super) fn pool(&mut self, from: Map) -> Map {
        let Shape { side, channels } = self.maps[from];
        let to = self.add(Shape { side: side / 2, channels });
        self.ops.push(Op::Pool { from, to });
        to
    }

    /// Adds a doubling.
    pub(super) fn upsample(&mut self, from: Map) -> Map {
        let Shape { side, channels } = self.maps[from];
        let to = self.add(Shape { side: 2 * side, channels });
        self.ops.push(Op::Upsample { from, to });
        to
    }

    /// Adds a choice of `channels` channels, from `first` on.
    pub(super) fn slice(&mut self, from: Map, first: usize, channels: usize) -> Map {
        let to = self.add(Shape { channels, ..self.maps[from] });
        self.ops.push(Op::Slice { from, to, first });
        to
    }

    /// Adds an activation.
    pub(super) fn activate(&mut self, from: Map, function: Function, unit: Unit) -> Map {
        let to = self.add(self.maps[from]);
        self.ops.push(Op::Activate { from, to, function, unit });
        to
    }

    /// Adds an inlay.
    pub(super) fn inlay(&mut self, inner: Map, outer: Map) -> Map {
        let to = self.add(self.maps[outer]);
        self.ops.push(Op::Inlay { inner, outer, to });
        to
    }
}
