//! Shapes of a graph's tensors for a given batch.
//!
//! Knows the operations of image-to-image networks; of another it is assumed that its result is as large as
//! its inputs together suggest. That is good enough for a forecast of memory, and for nothing else.

use std::collections::BTreeMap;

use super::read::{Graph, Node, Tensor};

/// Shape of every tensor, constants included, by name.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// Follows the shapes from `input` (the shape of the graph's first input) to the outputs.
pub fn infer(graph: &Graph, input: &[usize]) -> Shapes {
    let constants: BTreeMap<&str, &Tensor> = graph.constants.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut shapes: Shapes = constants.iter().map(|(name, t)| ((*name).to_owned(), t.shape())).collect();
    let free = graph.inputs.iter().find(|i| !constants.contains_key(i.name.as_str()));
    shapes.extend(free.map(|i| (i.name.clone(), input.to_vec())));
    for node in &graph.nodes {
        let known = |i: usize| node.inputs.get(i).and_then(|name| shapes.get(name)).cloned();
        let numbers = |i: usize| {
            let name = node.inputs.get(i).filter(|name| !name.is_empty())?;
            Some(constants.get(name.as_str())?.numbers())
        };
        let shape = match node.kind.as_str() {
            "Constant" => node.attributes.first().and_then(|a| a.tensor.as_ref()).map(Tensor::shape),
            "Conv" => conv(node, known(0), known(1)),
            "ConvTranspose" => conv_transpose(node, known(0), known(1)),
            "MaxPool" | "AveragePool" => known(0).and_then(|x| window(node, &x, None, x.get(1).copied())),
            "GlobalAveragePool" => {
                known(0).map(|x| x.iter().enumerate().map(|(i, d)| if i < 2 { *d } else { 1 }).collect())
            }
            "Resize" => known(0).map(|x| resize(&x, numbers(2), numbers(3))),
            "Upsample" => known(0).map(|x| resize(&x, numbers(1), None)),
            "Pad" => known(0).map(|x| pad(&x, &numbers(1).unwrap_or_else(|| floats(node.ints("pads"))))),
            "Slice" => known(0).map(|x| slice(x, numbers(1), numbers(2), numbers(3))),
            "Concat" => concat(node, (0..node.inputs.len()).filter_map(known).collect()),
            "Transpose" => known(0).map(|x| match node.ints("perm") {
                Some(perm) => perm.iter().filter_map(|p| x.get(*p as usize).copied()).collect(),
                None => x.into_iter().rev().collect(),
            }),
            "Reshape" => known(0).map(|x| reshape(&x, &numbers(1).unwrap_or_default())),
            _ => broadcast((0..node.inputs.len()).filter_map(known)),
        };
        if let Some(shape) = shape {
            shapes.extend(node.outputs.iter().filter(|o| !o.is_empty()).map(|o| (o.clone(), shape.clone())));
        }
    }
    shapes
}

fn floats(ints: Option<&[i64]>) -> Vec<f64> {
    ints.unwrap_or_default().iter().map(|v| *v as f64).collect()
}

fn conv(node: &Node, x: Option<Vec<usize>>, weight: Option<Vec<usize>>) -> Option<Vec<usize>> {
    let (x, weight) = (x?, weight?);
    window(node, &x, weight.get(2..), weight.first().copied())
}

/// Something with a kernel that slides over the image.
fn window(node: &Node, x: &[usize], kernel: Option<&[usize]>, channels: Option<usize>) -> Option<Vec<usize>> {
    let rank = x.len().checked_sub(2)?;
    let at = |name: &str, i: usize, default: i64| {
        node.ints(name).and_then(|v| v.get(i)).copied().unwrap_or(default)
    };
    let same = node.text("auto_pad").is_some_and(|pad| pad.starts_with(b"SAME"));
    let up = node.int("ceil_mode") == Some(1);
    let mut shape = vec![x[0], channels?];
    for i in 0..rank {
        let size = x[i + 2] as i64;
        let stride = at("strides", i, 1).max(1);
        if same {
            shape.push((size as usize).div_ceil(stride as usize));
            continue;
        }
        let kernel = at("kernel_shape", i, kernel.and_then(|k| k.get(i)).map_or(1, |k| *k as i64));
        let reach = at("dilations", i, 1) * (kernel - 1) + 1;
        let room = (size + at("pads", i, 0) + at("pads", i + rank, 0) - reach).max(0);
        let steps = if up { (room + stride - 1) / stride } else { room / stride };
        shape.push(steps as usize + 1);
    }
    Some(shape)
}

fn conv_transpose(node: &Node, x: Option<Vec<usize>>, weight: Option<Vec<usize>>) -> Option<Vec<usize>> {
    let (x, weight) = (x?, weight?);
    let rank = x.len().checked_sub(2)?;
    let at = |name: &str, i: usize, default: i64| {
        node.ints(name).and_then(|v| v.get(i)).copied().unwrap_or(default)
    };
    let groups = node.int("group").unwrap_or(1).max(1) as usize;
    let mut shape = vec![x[0], weight.get(1)? * groups];
    for i in 0..rank {
        let kernel = *weight.get(i + 2)? as i64;
        let pads = at("pads", i, 0) + at("pads", i + rank, 0);
        let grown = at("strides", i, 1) * (x[i + 2] as i64 - 1) + at("dilations", i, 1) * (kernel - 1) + 1;
        shape.push((grown + at("output_padding", i, 0) - pads).max(1) as usize);
    }
    Some(shape)
}

fn resize(x: &[usize], scales: Option<Vec<f64>>, sizes: Option<Vec<f64>>) -> Vec<usize> {
    let (scales, sizes) = (scales.unwrap_or_default(), sizes.unwrap_or_default());
    let along = |(i, d): (usize, &usize)| match (scales.get(i), sizes.get(i)) {
        (Some(scale), _) => (*d as f64 * scale) as usize,
        // The batch is what it is, whatever the size was when the file was made.
        (None, Some(size)) if i > 0 => *size as usize,
        _ => *d,
    };
    x.iter().enumerate().map(along).collect()
}

fn pad(x: &[usize], pads: &[f64]) -> Vec<usize> {
    let by = |i: usize| pads.get(i).map_or(0, |p| *p as i64);
    x.iter().enumerate().map(|(i, d)| (*d as i64 + by(i) + by(i + x.len())).max(0) as usize).collect()
}

/// Steps of 1, as networks have them.
fn slice(
    mut x: Vec<usize>,
    starts: Option<Vec<f64>>,
    ends: Option<Vec<f64>>,
    axes: Option<Vec<f64>>,
) -> Vec<usize> {
    let (starts, ends) = (starts.unwrap_or_default(), ends.unwrap_or_default());
    let axes = axes.unwrap_or_else(|| (0..starts.len()).map(|i| i as f64).collect());
    for ((start, end), axis) in starts.iter().zip(&ends).zip(&axes) {
        let axis = if *axis < 0.0 { axis + x.len() as f64 } else { *axis } as usize;
        let Some(size) = x.get_mut(axis) else { continue };
        let whole = *size as f64;
        let place = |v: f64| if v < 0.0 { (v + whole).max(0.0) } else { v.min(whole) };
        *size = (place(*end) - place(*start)).max(0.0) as usize;
    }
    x
}

fn concat(node: &Node, inputs: Vec<Vec<usize>>) -> Option<Vec<usize>> {
    let mut shape = inputs.first()?.clone();
    let axis = node.int("axis").unwrap_or(1);
    let axis = if axis < 0 { axis + shape.len() as i64 } else { axis } as usize;
    *shape.get_mut(axis)? = inputs.iter().filter_map(|s| s.get(axis)).sum();
    Some(shape)
}

fn reshape(x: &[usize], to: &[f64]) -> Vec<usize> {
    let whole: usize = x.iter().product();
    let mut shape: Vec<usize> = to
        .iter()
        .enumerate()
        .map(|(i, d)| if *d == 0.0 { x.get(i).copied().unwrap_or(1) } else { *d as usize })
        .collect();
    // −1 became 0 in the cast: it takes what the others leave.
    let others: usize = shape.iter().filter(|d| **d > 0).product();
    shape.iter_mut().filter(|d| **d == 0).for_each(|d| *d = whole / others.max(1));
    shape
}

/// The longest of the axes, aligned at the end.
fn broadcast(inputs: impl Iterator<Item = Vec<usize>>) -> Option<Vec<usize>> {
    inputs.reduce(|a, b| {
        let rank = a.len().max(b.len());
        let at = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
        (0..rank).map(|i| at(&a, i).max(at(&b, i))).collect()
    })
}
