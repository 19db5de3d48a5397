//! Reads the encoded model back with a decoder of its own.

use super::*;
use crate::nn::architecture::{Architecture, Design, Field};
use crate::nn::graph::Graph;

/// A field of a message: its number, and an integer or bytes.
#[derive(Debug, Clone, PartialEq)]
enum Value<'a> {
    Int(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Value::Int(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Value::Bytes(value)
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn bytes(message: &[u8], field: u64) -> Vec<&[u8]> {
    let take = |(number, value)| match value {
        Value::Bytes(b) if number == field => Some(b),
        _ => None,
    };
    fields(message).into_iter().filter_map(take).collect()
}

fn ints_of(message: &[u8], field: u64) -> Vec<u64> {
    let take = |(number, value)| match value {
        Value::Int(i) if number == field => Some(i),
        _ => None,
    };
    fields(message).into_iter().filter_map(take).collect()
}

fn texts(message: &[u8], field: u64) -> Vec<String> {
    bytes(message, field).into_iter().map(|b| String::from_utf8(b.to_vec()).unwrap()).collect()
}

fn network(field: Field) -> Network<f32> {
    let architecture =
        Architecture { side: 16, channels: 4, design: Design::Compact { width: 2, depth: 2, field } };
    Network::new(Graph::new(architecture).unwrap(), 3, 0.8, 2.0)
}

#[test]
fn holds_graph_weights_and_metadata() {
    let network = network(Field::Central);
    let model = encode(&network, &[("phasegraph.n", "16".to_owned())]);
    assert_eq!(model, encode(&network, &[("phasegraph.n", "16".to_owned())]));
    assert_eq!(ints_of(&model, 1), [8]);
    assert_eq!(ints_of(bytes(&model, 8)[0], 2), [17]);
    let property = bytes(&model, 14)[0];
    assert_eq!((texts(property, 1), texts(property, 2)), (vec!["phasegraph.n".into()], vec!["16".into()]));

    let graph = bytes(&model, 7)[0];
    let kinds: Vec<String> = bytes(graph, 1).iter().map(|n| texts(n, 4)[0].clone()).collect();
    let count = |kind: &str| kinds.iter().filter(|k| *k == kind).count();
    let convs = network.graph.convs.len();
    assert_eq!((count("Conv"), count("Relu"), count("MaxPool")), (convs, convs - 2, 2));
    assert_eq!((count("Resize"), count("Pad"), count("Sigmoid"), count("Tanh")), (2, 2, 1, 1));

    let constants = bytes(graph, 5);
    let stored: usize = constants
        .iter()
        .filter(|t| texts(t, 8)[0].starts_with("weight") || texts(t, 8)[0].starts_with("bias"))
        .map(|t| bytes(t, 9)[0].len() / 4)
        .sum();
    assert_eq!(stored, network.graph.parameters);

    // Weight [output 3][input 1][row 2][column 0] of the second convolution.
    let conv = &network.graph.convs[2];
    let tensor = constants.iter().find(|t| texts(t, 8)[0] == "weight2").unwrap();
    assert_eq!(ints_of(tensor, 1), [4, 2, 3, 3]);
    let at = (((3 * 2 + 1) * 3) + 2) * 3 * 4;
    let value = f32::from_le_bytes(bytes(tensor, 9)[0][at..at + 4].try_into().unwrap());
    assert_eq!(value, network.parameters[conv.index(2, 0, 1, 3)]);
}

/// Every name a node reads is the input, a constant, or written by an earlier node, and none is written twice.
#[test]
fn names_are_defined_before_use_and_once() {
    let designs = [
        Design::Compact { width: 2, depth: 2, field: Field::Central },
        Design::Compact { width: 2, depth: 2, field: Field::Full },
        Design::Ptychopinn { width: 6, depth: 2 },
        Design::Ptychonn { width: 2, depth: 2 },
    ];
    for design in designs {
        let graph = Graph::new(Architecture { side: 16, channels: 4, design }).unwrap();
        let model = encode(&Network::new(graph, 3, 0.8, 2.0), &[]);
        let graph = bytes(&model, 7)[0];
        let mut known: Vec<String> = bytes(graph, 5).iter().map(|t| texts(t, 8)[0].clone()).collect();
        known.push(INPUT.to_owned());
        known.push(String::new());
        for node in bytes(graph, 1) {
            for input in texts(node, 1) {
                assert!(known.contains(&input), "{input} is read before it is written");
            }
            let output = texts(node, 2)[0].clone();
            assert!(!known.contains(&output), "{output} is written twice");
            known.push(output);
        }
        assert!(OUTPUTS.iter().all(|o| known.iter().any(|k| k == o)));
        for (value, name) in
            bytes(graph, 11).iter().chain(&bytes(graph, 12)).zip(["diffraction", "amplitude", "phase"])
        {
            assert_eq!(texts(value, 1), [name]);
        }
    }
}
