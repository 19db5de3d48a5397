//! Writing small files: built in memory, published whole.

use std::collections::BTreeMap;
use std::path::Path;

use hdf5_pure::{
    AttrValue, CompoundTypeBuilder, Datatype, FileBuilder, FinishedGroup, FormatError, GroupBuilder,
    make_f32_type, make_f64_type, make_i64_type,
};
use ndarray::{ArrayBase, Data, Dimension};
use num_complex::Complex32;

use crate::io::{Fault, FileError, atomic};

/// What a dataset holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Contents {
    /// Numbers in C order, little-endian.
    Numbers {
        /// Type of the elements.
        element: Number,
        /// Shape; empty for a single value.
        shape: Vec<u64>,
        /// The elements' bytes.
        bytes: Vec<u8>,
    },
    /// A single text.
    Text(String),
}

/// Type of a dataset's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// `<f4`.
    F32,
    /// `<f8`.
    F64,
    /// `<i8`.
    I64,
    /// Compound of `r` and `i`, as h5py reads and writes `complex64`.
    C32,
}

impl Contents {
    /// A single number.
    pub fn scalar(value: f64) -> Self {
        Self::Numbers { element: Number::F64, shape: Vec::new(), bytes: value.to_le_bytes().to_vec() }
    }

    /// A single whole number.
    pub fn whole(value: i64) -> Self {
        Self::Numbers { element: Number::I64, shape: Vec::new(), bytes: value.to_le_bytes().to_vec() }
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A complex array.
    pub fn complex<S: Data<Elem = Complex32>, D: Dimension>(array: &ArrayBase<S, D>) -> Self {
        let bytes = array.iter().flat_map(|z| [z.re.to_le_bytes(), z.im.to_le_bytes()]).flatten().collect();
        Self::Numbers { element: Number::C32, shape: shape(array), bytes }
    }

    /// An array in double precision.
    pub fn f64<S: Data<Elem = f64>, D: Dimension>(array: &ArrayBase<S, D>) -> Self {
        let bytes = array.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::Numbers { element: Number::F64, shape: shape(array), bytes }
    }

    /// An array in single precision.
    pub fn f32<S: Data<Elem = f32>, D: Dimension>(array: &ArrayBase<S, D>) -> Self {
        let bytes = array.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::Numbers { element: Number::F32, shape: shape(array), bytes }
    }
}

fn shape<S: Data, D: Dimension>(array: &ArrayBase<S, D>) -> Vec<u64> {
    array.shape().iter().map(|n| *n as u64).collect()
}

/// An HDF5 file to be: datasets by path. Equal contents give equal bytes, whatever the order of calls.
#[derive(Debug, Default)]
pub struct Hdf5Writer {
    root: Node,
}

/// A group to be.
#[derive(Debug, Default)]
struct Node {
    groups: BTreeMap<String, Node>,
    datasets: BTreeMap<String, (Contents, BTreeMap<String, String>)>,
}

impl Hdf5Writer {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a dataset at a path; the groups on the way are made. What was there is replaced.
    pub fn put(&mut self, path: &str, contents: Contents) -> &mut Self {
        self.put_with(path, contents, &[])
    }

    /// As [`put`](Self::put), with attributes of text.
    pub fn put_with(&mut self, path: &str, contents: Contents, attributes: &[(&str, &str)]) -> &mut Self {
        let (groups, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parts = groups.split('/').filter(|part| !part.is_empty());
        let node = parts.fold(&mut self.root, |node, part| node.groups.entry(part.to_owned()).or_default());
        let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        node.datasets.insert(name.to_owned(), (contents, attributes));
        self
    }

    /// Writes the file; it appears whole or not at all.
    ///
    /// # Errors
    /// If the disk refuses, or a path is both group and dataset.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let bytes = self
            .bytes()
            .map_err(|what| FileError::new(path, Fault::Value(format!("cannot be written: {what}"))))?;
        atomic::write(path, &bytes).map_err(|e| FileError::new(path, e))
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        let mut file = FileBuilder::new();
        for (name, (contents, attributes)) in &self.root.datasets {
            fill(file.create_dataset(name), contents, attributes).map_err(|e| e.to_string())?;
        }
        for (name, node) in &self.root.groups {
            let group = file.create_group(name);
            file.add_group(build(group, node).map_err(|e| e.to_string())?);
        }
        file.finish().map_err(|e| e.to_string())
    }
}

fn build(mut group: GroupBuilder, node: &Node) -> Result<FinishedGroup, FormatError> {
    for (name, (contents, attributes)) in &node.datasets {
        fill(group.create_dataset(name), contents, attributes)?;
    }
    for (name, inner) in &node.groups {
        let built = build(group.create_group(name), inner)?;
        group.add_group(built);
    }
    Ok(group.finish())
}

fn fill(
    dataset: &mut hdf5_pure::DatasetBuilder,
    contents: &Contents,
    attributes: &BTreeMap<String, String>,
) -> Result<(), FormatError> {
    match contents {
        Contents::Numbers { element, shape, bytes } => {
            let datatype = datatype(*element)?;
            let count = bytes.len() as u64 / u64::from(datatype.type_size()).max(1);
            dataset.with_raw_data(datatype, bytes.clone(), count).with_shape(shape);
        }
        Contents::Text(text) => {
            dataset.with_strings(&[text.as_str()])?.with_shape(&[]);
        }
    }
    for (name, value) in attributes {
        dataset.set_attr(name, AttrValue::String(value.clone()));
    }
    Ok(())
}

fn datatype(element: Number) -> Result<Datatype, FormatError> {
    match element {
        Number::F32 => Ok(make_f32_type()),
        Number::F64 => Ok(make_f64_type()),
        Number::I64 => Ok(make_i64_type()),
        Number::C32 => CompoundTypeBuilder::new().f32_field("r").f32_field("i").build(),
    }
}
