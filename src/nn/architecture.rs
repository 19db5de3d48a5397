//! The networks a study can ask for, layer by layer.
//!
//! All have an encoder that two decoders share, one for amplitude, one for phase. Conv is 3×3 with zero
//! padding and bias; Down(f) is Conv f, ReLU, Conv f, ReLU, halving by maximum; Up(f) is Conv f, ReLU,
//! Conv f, ReLU, doubling by repetition.

use serde::{Deserialize, Serialize};

use super::graph::{Function, Graph, Map, Unit};

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

/// A family of networks and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "design", rename_all = "snake_case")]
pub enum Design {
    /// Our own, small. Down(width·2^i) for i from 0 to depth − 1; per decoder Up(width·2^i) back to
    /// `width`, Conv width, ReLU, Conv C; amplitude ceiling·sigmoid, phase π·tanh.
    Compact {
        /// Feature maps of the first level.
        width: usize,
        /// Times the image is halved.
        depth: usize,
        /// Part of the patch that is drawn.
        field: Field,
    },
    /// The network of PtychoPINN (reference study, section 5.4; published at width 64 and depth log2(N/8)).
    ///
    /// Down(4·width / 2^(depth−1−i)): the bottleneck has 4·width features. Per decoder
    /// Up(width·2^i) for i from depth − 2 to 0, to N/2 pixels; from all channels but the last
    /// [`TAIL`] comes the central N/2 box (Conv C, ceiling·sigmoid or π·tanh), from those the rest of
    /// the patch (Up(features of the first level), Conv C, swish).
    Ptychopinn {
        /// Feature maps of the decoders' last level.
        width: usize,
        /// Times the image is halved.
        depth: usize,
    },
    /// The supervised network after PtychoNN (reference study, section 5.5; published at width 64, depth 3).
    /// Down(width·2^i); per decoder Up(width·2^i) back to N pixels, and a linear Conv C.
    Ptychonn {
        /// Feature maps of the first level.
        width: usize,
        /// Times the image is halved.
        depth: usize,
    },
}

/// Channels of PtychoPINN's decoders that draw the outside of the central box.
pub const TAIL: usize = 4;

/// What defines a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Architecture {
    /// Side N of patterns and patches, pixels; a multiple of 2^depth.
    pub side: usize,
    /// Images in a group, C.
    pub channels: usize,
    /// Which layers.
    #[serde(flatten)]
    pub design: Design,
}

impl Architecture {
    /// Whether there is such a network.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { side, channels, design } = *self;
        let (width, depth) = design.size();
        if channels == 0 || width == 0 || depth == 0 {
            return Err("channels, width and depth must be at least 1".to_owned());
        }
        let factor = 1usize.checked_shl(depth as u32).filter(|f| *f <= side).unwrap_or(usize::MAX);
        if side % factor != 0 {
            return Err(format!("patterns of {side} px cannot be halved {depth} times"));
        }
        if let Design::Ptychopinn { .. } = design {
            if width <= TAIL {
                return Err(format!(
                    "a width of {width} leaves nothing beside the {TAIL} channels for the outside"
                ));
            }
            if depth < 2 {
                return Err("its decoders end at half the side, which takes a depth of at least 2".to_owned());
            }
            if (4 * width) >> (depth - 1) == 0 || (4 * width) % (1 << (depth - 1)) != 0 {
                return Err(format!(
                    "the bottleneck's 4·{width} features cannot be halved {} times",
                    depth - 1
                ));
            }
        }
        Ok(())
    }

    /// A name that tells it, for a model's metadata.
    pub fn name(&self) -> String {
        match self.design {
            Design::Compact { width, depth, field } => {
                let field = match field {
                    Field::Central => "central",
                    Field::Full => "full",
                };
                format!("two-decoder-cnn/width{width}/depth{depth}/{field}")
            }
            Design::Ptychopinn { width, depth } => format!("ptychopinn/width{width}/depth{depth}"),
            Design::Ptychonn { width, depth } => format!("ptychonn/width{width}/depth{depth}"),
        }
    }
}

impl Design {
    /// Width and depth.
    pub fn size(&self) -> (usize, usize) {
        match *self {
            Self::Compact { width, depth, .. }
            | Self::Ptychopinn { width, depth }
            | Self::Ptychonn { width, depth } => (width, depth),
        }
    }

    /// Adds all layers to a graph that has its input only.
    pub(super) fn lay(self, graph: &mut Graph) {
        let channels = graph.architecture.channels;
        let heads = [(Function::Sigmoid, Unit::Ceiling), (Function::Tanh, Unit::Pi)];
        match self {
            Self::Compact { width, depth, field } => {
                let bottom = encoder(graph, (0..depth).map(|level| width << level));
                let ups = match field {
                    Field::Central => depth - 1,
                    Field::Full => depth,
                };
                for (output, (function, unit)) in heads.into_iter().enumerate() {
                    let mut at = decoder(graph, bottom, (0..ups).rev().map(|level| width << level));
                    at = graph.conv(at, width, true);
                    at = graph.conv(at, channels, false);
                    graph.outputs[output] = graph.activate(at, function, unit);
                }
            }
            Self::Ptychopinn { width, depth } => {
                let first = (4 * width) >> (depth - 1);
                let bottom = encoder(graph, (0..depth).map(|level| first << level));
                for (output, (function, unit)) in heads.into_iter().enumerate() {
                    let base = decoder(graph, bottom, (0..depth - 1).rev().map(|level| width << level));
                    let most = graph.slice(base, 0, width - TAIL);
                    let inner = graph.conv(most, channels, false);
                    let inner = graph.activate(inner, function, unit);
                    let tail = graph.slice(base, width - TAIL, TAIL);
                    let outer = decoder(graph, tail, std::iter::once(first));
                    let outer = graph.conv(outer, channels, false);
                    let scale = if unit == Unit::Ceiling { unit } else { Unit::One };
                    let outer = graph.activate(outer, Function::Swish, scale);
                    graph.outputs[output] = graph.inlay(inner, outer);
                }
            }
            Self::Ptychonn { width, depth } => {
                let bottom = encoder(graph, (0..depth).map(|level| width << level));
                for (output, unit) in [Unit::Ceiling, Unit::One].into_iter().enumerate() {
                    let at = decoder(graph, bottom, (0..depth).rev().map(|level| width << level));
                    let at = graph.conv(at, channels, false);
                    graph.outputs[output] = graph.activate(at, Function::Identity, unit);
                }
            }
        }
    }
}

/// Down(f) for each of `features`, from the input.
fn encoder(graph: &mut Graph, features: impl Iterator<Item = usize>) -> Map {
    let mut at = 0;
    for f in features {
        at = graph.conv(at, f, true);
        at = graph.conv(at, f, true);
        at = graph.pool(at);
    }
    at
}

/// Up(f) for each of `features`.
fn decoder(graph: &mut Graph, from: Map, features: impl Iterator<Item = usize>) -> Map {
    let mut at = from;
    for f in features {
        at = graph.conv(at, f, true);
        at = graph.conv(at, f, true);
        at = graph.upsample(at);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(side: usize, channels: usize, design: Design) -> Graph {
        Graph::new(Architecture { side, channels, design }).unwrap()
    }

    /// Counts of the reference study, sections 5.4 and 5.5.
    #[test]
    fn published_sizes_have_the_published_numbers_of_parameters() {
        for (side, depth, channels, parameters) in
            [(64, 3, 1, 2_331_772), (64, 3, 4, 2_340_208), (128, 4, 1, 4_661_212), (128, 4, 4, 4_667_056)]
        {
            let graph = built(side, channels, Design::Ptychopinn { width: 64, depth });
            assert_eq!(graph.parameters, parameters, "{side} px, {channels} images");
            assert_eq!(graph.drawn(), side);
        }
        for side in [64, 128] {
            let graph = built(side, 1, Design::Ptychonn { width: 64, depth: 3 });
            assert_eq!((graph.parameters, graph.drawn()), (4_612_418, side));
        }
    }

    /// Layer by layer at N = 128, gridsize 2 (section 5.4).
    #[test]
    fn ptychopinn_has_the_published_layers() {
        let graph = built(128, 4, Design::Ptychopinn { width: 64, depth: 4 });
        let counts: Vec<usize> = graph.convs.iter().map(|c| c.len()).collect();
        let encoder = [1184, 9248, 18_496, 36_928, 73_856, 147_584, 295_168, 590_080];
        let decoder = [590_080, 590_080, 295_040, 147_584, 73_792, 36_928, 2164, 1184, 9248, 1156];
        assert_eq!(counts, [&encoder[..], &decoder, &decoder].concat());
        let single = built(128, 1, Design::Ptychopinn { width: 64, depth: 4 });
        let at = |i: usize| single.convs[i].len();
        assert_eq!((at(0), at(14), at(17)), (320, 541, 289));
        let large = built(256, 1, Design::Ptychopinn { width: 64, depth: 5 });
        let widths: Vec<usize> = large.convs.iter().map(|c| c.outputs).collect();
        assert_eq!(widths[..10], [16, 16, 32, 32, 64, 64, 128, 128, 256, 256]);
        assert_eq!(widths[10..22], [512, 512, 256, 256, 128, 128, 64, 64, 1, 16, 16, 1]);
    }

    #[test]
    fn impossible_sizes_are_refused_in_words() {
        let why = |side, design| Graph::new(Architecture { side, channels: 1, design }).unwrap_err();
        assert!(why(48, Design::Ptychonn { width: 8, depth: 5 }).contains("cannot be halved 5 times"));
        assert!(why(64, Design::Ptychopinn { width: 4, depth: 3 }).contains("width of 4"));
        assert!(why(64, Design::Ptychopinn { width: 8, depth: 1 }).contains("at least 2"));
        assert!(why(64, Design::Ptychopinn { width: 5, depth: 4 }).contains("cannot be halved 3 times"));
        assert!(why(64, Design::Compact { width: 0, depth: 3, field: Field::Full }).contains("at least 1"));
    }

    /// What another engine builds from is all there, and comes back as the same graph.
    #[test]
    fn a_description_gives_the_graph_again() {
        for design in [
            Design::Compact { width: 4, depth: 2, field: Field::Central },
            Design::Ptychopinn { width: 8, depth: 3 },
            Design::Ptychonn { width: 4, depth: 2 },
        ] {
            let graph = built(32, 4, design);
            let described = graph.describe(2.5);
            assert_eq!(described["format"], "phasegraph-network/1");
            assert_eq!(
                (described["ceiling"].as_f64(), &described["name"]),
                (Some(2.5), &graph.name().into())
            );
            assert_eq!(serde_json::from_value::<Graph>(described).unwrap(), graph);
        }
    }
}
