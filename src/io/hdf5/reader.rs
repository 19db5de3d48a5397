//! Reading, a window of rows at a time, with every claimed size held against the bytes that are there.

use std::path::{Path, PathBuf};

use hdf5_pure::{Dataset, Error, File, FileAccessProperties, FormatError, Group, MetadataCacheConfig};
use ndarray::{ArrayD, IxDyn};

use super::datatype;
use crate::diag::nearest;
use crate::io::npy::{DType, Element, Header, NpyError};
use crate::io::{Arrays, Fault, FileError};

/// Deflate, the best of the packers, cannot expand by more than this factor (258 bytes for 2 bits).
const PACKED_MOST: u64 = 1032;

/// Stored bytes read and converted at a time; a chunk of the file may make it more.
const WINDOW: u64 = 4 << 20;

/// Bytes of metadata kept: without it every look at a group is a walk through the file.
const METADATA: usize = 4 << 20;

/// Longest text read.
const MAX_TEXT: u64 = 1 << 20;

/// Deepest group told of when a key is missing: links may make a tree endless.
const DEPTH: usize = 12;

/// Most groups looked into and datasets told of when a key is missing.
const LISTED: usize = 60;

/// An open HDF5 file. Datasets are read only when asked for, in windows of rows, so that memory holds the
/// converted array and little else.
pub struct Hdf5Reader {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Hdf5Reader {
    /// Opens a file and reads its superblock.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let fault = |f: Fault| FileError::new(path, f);
        let about = path.metadata().map_err(|e| fault(e.into()))?;
        if !about.is_file() {
            return Err(fault(Fault::Container("it is not a regular file".to_owned())));
        }
        let access = FileAccessProperties::new().with_metadata_cache(MetadataCacheConfig::new(METADATA));
        let file = File::open_streaming_with_options(path, access).map_err(|e| {
            fault(match e {
                Error::Io(e) if e.raw_os_error().is_some() => Fault::Io(e),
                Error::Format(FormatError::SignatureNotFound) => {
                    Fault::Container("it does not begin as one".to_owned())
                }
                e => Fault::Container(format!("{e}; was it cut off?")),
            })
        })?;
        Ok(Self { path: path.to_owned(), file, length: about.len() })
    }

    /// Paths of the datasets, in the order of a walk that stops where nobody would read on.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut groups = LISTED;
        list(&self.file.root(), "", DEPTH, &mut groups, &mut names);
        names
    }

    fn dataset(&self, name: &str) -> Result<Dataset, FileError> {
        self.file
            .dataset(name)
            .map_err(|e| if is_absent(&e) { self.missing(name) } else { self.fault(name, stored(e)) })
    }

    fn header_of(&self, name: &str, dataset: &Dataset) -> Result<Header, FileError> {
        let place = |e: Error| self.fault(name, stored(e));
        let dimensions = dataset.shape().map_err(place)?;
        let shape = dimensions.iter().map(|n| usize::try_from(*n)).collect::<Result<Vec<_>, _>>();
        let shape =
            shape.map_err(|_| self.fault(name, Fault::Stored("a dimension is absurdly long".to_owned())))?;
        Ok(datatype::header(&dataset.datatype().map_err(place)?, shape))
    }

    /// Holds the bytes that shape and type claim against those that the file can yield.
    fn check_length(&self, dataset: &Dataset, header: &Header) -> Result<(), Fault> {
        let size = dataset.element_size().map_err(stored)?;
        let claimed = header.shape.iter().try_fold(size, |n, side| n.checked_mul(*side as u64));
        let packed = !dataset.filters().is_empty();
        let most = if packed { self.length.saturating_mul(PACKED_MOST) } else { self.length };
        match claimed {
            None => Err(NpyError::Overflow(header.shape.clone()).into()),
            Some(bytes) if bytes > most || usize::try_from(bytes).is_err() => Err(Fault::Stored(format!(
                "it claims {bytes} bytes in a file of {} bytes; was it cut off?",
                self.length
            ))),
            Some(_) => Ok(()),
        }
    }
}

impl Arrays for Hdf5Reader {
    fn path(&self) -> &Path {
        &self.path
    }

    /// A dataset that is there but damaged counts: reading it then says what is wrong.
    fn contains(&self, name: &str) -> bool {
        !self.file.dataset(name).is_err_and(|e| is_absent(&e))
    }

    fn header(&mut self, name: &str) -> Result<Header, FileError> {
        self.header_of(name, &self.dataset(name)?)
    }

    fn array<T: Element>(&mut self, name: &str) -> Result<ArrayD<T>, FileError> {
        self.rows(name, usize::MAX)
    }

    fn rows<T: Element>(&mut self, name: &str, most: usize) -> Result<ArrayD<T>, FileError> {
        let dataset = self.dataset(name)?;
        let place = |fault: Fault| FileError::at(&self.path, name, fault);
        let mut header = self.header_of(name, &dataset)?;
        let mut values: Vec<T> = Vec::new();
        // The type first: "holds text" says more than a length that does not fit.
        T::decode(&header, &[], &mut values).map_err(|e| place(e.into()))?;
        self.check_length(&dataset, &header).map_err(place)?;
        let Some(rows) = header.shape.first_mut() else {
            let raw = dataset.read_raw().map_err(|e| place(stored(e)))?;
            return finish(&header, &raw, values, 1).map_err(place);
        };
        *rows = (*rows).min(most);
        let rows = *rows as u64;
        // No overflow: `check_length` has multiplied more than these.
        let count: usize = header.shape.iter().product();
        values.try_reserve_exact(count).map_err(|_| {
            place(NpyError::Memory((count as u64).saturating_mul(size_of::<T>() as u64)).into())
        })?;
        let step = window(&dataset, &header, rows);
        let mut first = 0;
        while first < rows {
            let raw = dataset.read_raw_rows(first, step.min(rows - first)).map_err(|e| place(stored(e)))?;
            T::decode(&header, &raw, &mut values).map_err(|e| place(e.into()))?;
            first += step;
        }
        finish(&header, &[], values, count).map_err(place)
    }

    fn attribute(&self, name: &str, attribute: &str) -> Result<Option<f64>, FileError> {
        let attributes = if name.is_empty() { self.file.root().attrs() } else { self.dataset(name)?.attrs() };
        let mut attributes = attributes.map_err(|e| self.fault(name, stored(e)))?;
        let Some(value) = attributes.remove(attribute) else { return Ok(None) };
        match value.as_f64().or_else(|| value.as_i64().map(|v| v as f64)) {
            Some(number) if number.is_finite() => Ok(Some(number)),
            _ => {
                let wrong = format!("its attribute `{attribute}` is not one finite number");
                Err(self.fault(name, Fault::Value(wrong)))
            }
        }
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, FileError> {
        let dataset = self.dataset(name)?;
        let header = self.header_of(name, &dataset)?;
        if matches!(header.dtype, DType::Bytes { bytes } if bytes as u64 > MAX_TEXT) {
            return Err(self.fault(name, Fault::Value(format!("is text of more than {MAX_TEXT} bytes"))));
        }
        if header.shape.iter().any(|side| *side != 1) {
            return Err(self.fault(name, NpyError::NotScalar(header.shape)));
        }
        let mut texts = dataset.read_string().map_err(|e| self.fault(name, stored(e)))?;
        match texts.pop() {
            Some(text) if texts.is_empty() => Ok(Some(text)),
            _ => Err(self.fault(name, NpyError::NotScalar(header.shape))),
        }
    }

    /// Names the nearest path, or the one with the same last part.
    fn missing(&self, name: &str) -> FileError {
        let present = self.names();
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let wanted = name.trim_matches('/');
        let near = nearest(wanted, present.iter().map(String::as_str))
            .or_else(|| present.iter().map(String::as_str).find(|path| last(path) == last(wanted)))
            .map(str::to_owned);
        self.fault(name, Fault::Missing { present, near })
    }
}

/// Rows to read at a time: whole chunks, so that none is unpacked twice, and no more than [`WINDOW`] bytes
/// unless a chunk has more.
fn window(dataset: &Dataset, header: &Header, rows: u64) -> u64 {
    let row: u64 =
        header.shape.iter().skip(1).map(|n| *n as u64).product::<u64>() * header.item_size() as u64;
    let chunk =
        dataset.chunk_shape().ok().flatten().and_then(|shape| shape.first().copied()).unwrap_or(1).max(1);
    let fit = (WINDOW / row.max(1)).max(1);
    (fit / chunk).max(1).saturating_mul(chunk).min(rows.max(1))
}

/// Appends `raw` to `values` and gives them their shape.
fn finish<T: Element>(
    header: &Header,
    raw: &[u8],
    mut values: Vec<T>,
    count: usize,
) -> Result<ArrayD<T>, Fault> {
    T::decode(header, raw, &mut values)?;
    let found = values.len();
    ArrayD::from_shape_vec(IxDyn(&header.shape), values)
        .map_err(|_| Fault::Stored(format!("{found} values came where its shape needs {count}")))
}

/// Whether the error says that nothing of that name is there, rather than that it is damaged.
///
/// The crate passes soft links over, except in the oldest kind of group, where one is an entry at the undefined
/// address, which it then fails to read.
fn is_absent(error: &Error) -> bool {
    matches!(
        error,
        Error::Format(FormatError::PathNotFound(_) | FormatError::OffsetOverflow { offset: u64::MAX, .. })
            | Error::NotADataset(_)
            | Error::NotAGroup(_)
    )
}

/// The fault of something stored that cannot be read.
fn stored(error: Error) -> Fault {
    match error {
        Error::Io(e) if e.raw_os_error().is_some() => Fault::Io(e),
        Error::Format(FormatError::InvalidLayoutVersion(5..)) => Fault::TooNew(error.to_string()),
        e => Fault::Stored(e.to_string()),
    }
}

/// Appends the paths of the datasets below a group. A group that cannot be listed (a soft link in one of the oldest
/// kind does that) is passed over: this is for messages only.
fn list(group: &Group, prefix: &str, depth: usize, groups: &mut usize, names: &mut Vec<String>) {
    for name in group.datasets().unwrap_or_default() {
        if names.len() < LISTED {
            names.push(format!("{prefix}{name}"));
        }
    }
    if depth == 0 {
        return;
    }
    for name in group.groups().unwrap_or_default() {
        if names.len() < LISTED
            && *groups > 0
            && let Ok(group) = group.group(&name)
        {
            *groups -= 1;
            list(&group, &format!("{prefix}{name}/"), depth - 1, groups, names);
        }
    }
}
