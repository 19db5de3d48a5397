//! The networks as data: a list of layers over activation maps. Training walks it forwards and
//! backwards, the ONNX writer walks it once more.

use serde::{Deserialize, Serialize};

use super::conv::{Conv, Shape};

/// Which part of an N×N patch the network draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The central N/2 × N/2 pixels, where a probe sampled as ptychography demands has nearly all its
    /// light; outside, patches are 0.
    #[default]
    Central,
    /// All N×N pixels; costs a decoder level more.
    Full,
}

/// What defines a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// Side N of patterns and patches, pixels; a multiple of 2^depth.
    pub side: usize,
    /// Images in a group, C.
    pub channels: usize,
    /// Feature maps of the first level; each level down has twice as many.
    pub width: usize,
    /// Times the image is halved.
    pub depth: usize,
    /// Part of the patch that is drawn.
    pub field: Field,
}

/// Index of an activation map in [`Graph::maps`].
pub type Map = usize;

/// A layer. `conv` is an index into [`Graph::convs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// A network: an encoder that two decoders share, one for amplitude, one for phase.
///
/// With f = width · 2^level: each encoder level is Conv f, ReLU, Conv f, ReLU, halve; each decoder level
/// Conv f, ReLU, Conv f, ReLU, double, with f falling back to `width`; then Conv width, ReLU and a Conv to
/// one channel per image. All convolutions are 3×3 with zero padding and bias. The activations behind
/// the last convolutions (scaled sigmoid, π·tanh) are not part of the graph: see [`super::network`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// What it was built from.
    pub architecture: Architecture,
    /// Shapes of all activation maps; map 0 is the input.
    pub maps: Vec<Shape>,
    /// Layers in the order of computation.
    pub ops: Vec<Op>,
    /// Convolutions in the order of their parameters.
    pub convs: Vec<Conv>,
    /// Last maps of the amplitude and the phase decoder.
    pub heads: [Map; 2],
    /// Number of parameters.
    pub parameters: usize,
}

impl Graph {
    /// Builds the network; the message says what is wrong with the architecture.
    pub fn new(architecture: Architecture) -> Result<Self, String> {
        let Architecture { side, channels, width, depth, field } = architecture;
        if channels == 0 || width == 0 || depth == 0 {
            return Err("channels, width and depth must be at least 1".to_owned());
        }
        let factor = 1usize.checked_shl(depth as u32).filter(|f| *f <= side).unwrap_or(usize::MAX);
        if side % factor != 0 {
            return Err(format!("patterns of {side} px cannot be halved {depth} times"));
        }
        let mut graph = Self {
            architecture,
            maps: vec![Shape { side, channels }],
            ops: Vec::new(),
            convs: Vec::new(),
            heads: [0; 2],
            parameters: 0,
        };
        let mut map = 0;
        for level in 0..depth {
            let features = width << level;
            map = graph.conv(map, features, true);
            map = graph.conv(map, features, true);
            map = graph.pool(map);
        }
        let ups = match field {
            Field::Central => depth - 1,
            Field::Full => depth,
        };
        for head in 0..2 {
            let mut at = map;
            for level in (0..ups).rev() {
                at = graph.conv(at, width << level, true);
                at = graph.conv(at, width << level, true);
                at = graph.upsample(at);
            }
            at = graph.conv(at, width, true);
            graph.heads[head] = graph.conv(at, channels, false);
        }
        Ok(graph)
    }

    /// Side of the patches the network draws: N/2 or N.
    pub fn drawn(&self) -> usize {
        self.maps[self.heads[0]].side
    }

    /// A name that tells the architecture, for the model's metadata.
    pub fn name(&self) -> String {
        let Architecture { width, depth, field, .. } = self.architecture;
        let field = match field {
            Field::Central => "central",
            Field::Full => "full",
        };
        format!("two-decoder-cnn/width{width}/depth{depth}/{field}")
    }

    fn add(&mut self, shape: Shape) -> Map {
        self.maps.push(shape);
        self.maps.len() - 1
    }

    fn conv(&mut self, from: Map, outputs: usize, relu: bool) -> Map {
        let Shape { side, channels } = self.maps[from];
        let to = self.add(Shape { side, channels: outputs });
        let conv = Conv { inputs: channels, outputs, offset: self.parameters };
        self.parameters += conv.len();
        self.ops.push(Op::Conv { from, to, conv: self.convs.len(), relu });
        self.convs.push(conv);
        to
    }

    fn pool(&mut self, from: Map) -> Map {
        let Shape { side, channels } = self.maps[from];
        let to = self.add(Shape { side: side / 2, channels });
        self.ops.push(Op::Pool { from, to });
        to
    }

    fn upsample(&mut self, from: Map) -> Map {
        let Shape { side, channels } = self.maps[from];
        let to = self.add(Shape { side: 2 * side, channels });
        self.ops.push(Op::Upsample { from, to });
        to
    }
}
