//! Diffraction patterns that stay on disk and are read one at a time.
//!
//! Positioned reads rather than a mapping: pages of a mapping count as the process's memory, which would then
//! grow with the scan.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Dataset;
use super::read::{self, Order};
use crate::diag::StageResult;
use crate::io::Arrays;
use crate::io::npy::DType;
use crate::io::npz::{NpzError, NpzReader};

/// Most memory for turning a file's order, bytes; a line of values through all patterns may need more.
const TURNING: usize = 8 << 20;

/// M patterns of N×N pixels on disk.
#[derive(Debug)]
pub struct Patterns {
    file: File,
    /// Byte at which the first pattern begins; all follow without gaps, as little-endian `f32`.
    start: u64,
    count: usize,
    side: usize,
    /// Columns lie one after another, not rows.
    transposed: bool,
}

impl Dataset {
    /// As [`read`](Self::read), but the patterns stay on disk: `diffraction` is (0, N, N) here. Where they do
    /// not lie in the file as they are (deflated, another type or order), they are unpacked to the new file
    /// `scratch`, which has no name any more when this returns.
    ///
    /// The file is read from front to back once, so that its checksum is verified; values are not looked at,
    /// see [`Patterns::check`].
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn open(path: &Path, scratch: &Path) -> StageResult<(Self, Patterns)> {
        let npz = &mut NpzReader::open(path)?;
        Ok(Self::with(npz, |npz, key, m| {
            let patterns = Patterns::unpack(npz, key, m, path, scratch)?;
            let side = patterns.side;
            Ok((patterns, side))
        })?)
    }

    /// As [`read`](Self::read) without reading any pattern: `diffraction` is (0, N, N).
    ///
    /// # Errors
    /// As for [`read`](Self::read), but for what is wrong with the patterns themselves.
    pub fn read_about(path: &Path) -> StageResult<Self> {
        let npz = &mut NpzReader::open(path)?;
        Ok(Self::with(npz, |npz, key, m| Ok(((), Order::of(npz, key, m)?.side)))?.0)
    }

    /// Number and side of the patterns, M and N, from the headers alone.
    ///
    /// # Errors
    /// As for [`read`](Self::read), of what the headers tell.
    pub fn shape(path: &Path) -> StageResult<[usize; 2]> {
        let npz = &mut NpzReader::open(path)?;
        let key = read::measured(npz)?;
        let count = npz.header("xcoords")?.shape.iter().product();
        Ok([count, Order::of(npz, key, count)?.side])
    }
}

impl Patterns {
    /// Number of patterns, M.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Side of a pattern, N.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Reads pattern `image` into `to`, N·N amplitudes in rows; `bytes` is working memory.
    ///
    /// # Errors
    /// If the file cannot be read; `InvalidInput` if there is no such pattern or `to` has another length.
    pub fn read(&self, image: usize, bytes: &mut Vec<u8>, to: &mut [f32]) -> io::Result<()> {
        let pixels = self.side * self.side;
        if image >= self.count || to.len() != pixels {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        bytes.resize(4 * pixels, 0);
        self.file.read_exact_at(bytes, self.start + (image * pixels * 4) as u64)?;
        let (values, _) = bytes.as_chunks::<4>();
        if self.transposed {
            for (i, value) in to.iter_mut().enumerate() {
                *value = f32::from_le_bytes(values[(i % self.side) * self.side + i / self.side]);
            }
        } else {
            to.iter_mut().zip(values).for_each(|(to, from)| *to = f32::from_le_bytes(*from));
        }
        Ok(())
    }

    /// As [`check`](Self::check), with an `each` that may fail: after its first failure it is not called again.
    ///
    /// # Errors
    /// A value that cannot be an amplitude comes before what `each` says.
    pub fn pass(&self, path: &Path, mut each: impl FnMut(&[f32]) -> StageResult) -> StageResult {
        let mut result = Ok(());
        self.check(path, |values| {
            if result.is_ok() {
                result = each(values);
            }
        })?;
        result
    }

    /// Reads the patterns from `first` on into `to`, as many as there is room for.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_many(&self, first: usize, bytes: &mut Vec<u8>, to: &mut [f32]) -> io::Result<()> {
        let mut patterns = to.chunks_mut((self.side * self.side).max(1)).enumerate();
        patterns.try_for_each(|(i, plane)| self.read(first + i, bytes, plane))
    }

    /// Calls `each` for every pattern in order, and fails at the first value that is not a finite amplitude
    /// of 0 or more, as [`Dataset::read`] does.
    pub fn check(&self, path: &Path, mut each: impl FnMut(&[f32])) -> StageResult {
        let (mut bytes, mut values) = (Vec::new(), vec![0f32; self.side * self.side]);
        let (mut first, mut bad) = (None, 0);
        for image in 0..self.count {
            self.read(image, &mut bytes, &mut values).map_err(|e| NpzError::new(path, e))?;
            for (i, value) in values.iter().enumerate() {
                if !read::is_amplitude(*value) {
                    bad += 1;
                    first = first.or(Some((image * values.len() + i, *value)));
                }
            }
            each(&values);
        }
        let Some((flat, value)) = first else { return Ok(()) };
        let npz = NpzReader::open(path)?;
        let shape = [self.count, self.side, self.side];
        Err(npz.bad_value(read::measured(&npz)?, &shape, flat, value, bad - 1, read::AMPLITUDE).into())
    }

    fn unpack(
        npz: &mut NpzReader,
        key: &str,
        m: usize,
        path: &Path,
        scratch: &Path,
    ) -> Result<Self, NpzError> {
        let Order { side, image_major, transposed, header } = Order::of(npz, key, m)?;
        let own = |file, start| Self { file, start, count: m, side, transposed };
        let plain = header.dtype == DType::Float(4) && !header.big_endian && image_major;
        if plain && let Some(start) = npz.values_at(key)? {
            npz.stream::<f32>(key, &mut |_| Ok(()))?;
            let file = File::open(path).map_err(|e| NpzError::new(path, e))?;
            return Ok(own(file, start));
        }
        let file = File::options().read(true).write(true).create(true).truncate(true).open(scratch);
        let file = file.map_err(|e| NpzError::new(scratch, e))?;
        // Nameless from here on, so that it goes with the process, however that ends.
        std::fs::remove_file(scratch).map_err(|e| NpzError::new(scratch, e))?;
        let mut turned = Turned::new(&file, m, side * side, image_major);
        npz.stream::<f32>(key, &mut |values| turned.take(values))?;
        turned.flush().map_err(|e| NpzError::new(scratch, e))?;
        Ok(own(file, 0))
    }
}

/// Writes values, given in the order of a file, pattern by pattern.
struct Turned<'a> {
    file: &'a File,
    patterns: usize,
    pixels: usize,
    /// Values of one pattern lie together in what is given; else those of one pixel do.
    image_major: bool,
    /// Pixels that are gathered before they are written.
    gather: usize,
    /// Values not yet written, in the order given.
    waiting: Vec<f32>,
    /// Values written.
    done: usize,
}

impl<'a> Turned<'a> {
    fn new(file: &'a File, patterns: usize, pixels: usize, image_major: bool) -> Self {
        let gather = (TURNING / (4 * patterns.max(1))).clamp(1, pixels.max(1));
        Self { file, patterns, pixels, image_major, gather, waiting: Vec::new(), done: 0 }
    }

    fn take(&mut self, mut values: &[f32]) -> io::Result<()> {
        let whole = if self.image_major { TURNING / 4 } else { self.gather * self.patterns };
        while !values.is_empty() {
            let (now, later) = values.split_at(values.len().min(whole - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            values = later;
            if self.waiting.len() == whole {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut write = |values: &mut dyn Iterator<Item = f32>, at: usize| {
            bytes.clear();
            values.for_each(|v| bytes.extend_from_slice(&v.to_le_bytes()));
            self.file.write_all_at(&bytes, 4 * at as u64)
        };
        if self.image_major {
            write(&mut self.waiting.iter().copied(), self.done)?;
        } else {
            let pixel = self.done / self.patterns.max(1);
            for image in 0..self.patterns.min(self.waiting.len()) {
                let values = &mut self.waiting.iter().skip(image).step_by(self.patterns).copied();
                write(values, image * self.pixels + pixel)?;
            }
        }
        self.done += self.waiting.len();
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, ArrayD, Axis, IxDyn, ShapeBuilder};
    use std::io::Write;

    /// Every order and type a file may have gives the patterns that reading it whole gives.
    #[test]
    fn patterns_are_those_of_the_whole_file_whatever_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let (m, n) = (7, 6);
        let cube = Array3::from_shape_fn((m, n, n), |(i, r, c)| (i * 49 + r * 7 + c) as f32 / 8.0);
        let legacy = cube.view().permuted_axes([1, 2, 0]).as_standard_layout().into_owned().into_dyn();
        let trailing = cube.clone().insert_axis(Axis(3)).into_dyn();
        for (name, array) in [("plain", cube.clone().into_dyn()), ("legacy", legacy), ("trailing", trailing)]
        {
            for fortran in [false, true] {
                for double in [false, true] {
                    let path = dir.path().join("data.npz");
                    write(&path, &array, fortran, double, m, n);
                    let whole = Dataset::read(&path).unwrap();
                    assert_eq!(whole.diffraction, cube);
                    let (about, patterns) = Dataset::open(&path, &dir.path().join("scratch")).unwrap();
                    assert_eq!((about.x, patterns.len(), patterns.side()), (whole.x, m, n));
                    let mut seen = Vec::new();
                    patterns.check(&path, |values| seen.extend_from_slice(values)).unwrap();
                    assert_eq!(seen, cube.as_slice().unwrap(), "{name}, Fortran {fortran}, f64 {double}");
                }
            }
        }
    }

    #[test]
    fn a_value_that_cannot_be_is_told_as_by_reading_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.npz");
        let mut cube = Array3::<f32>::ones((7, 6, 6));
        cube[[3, 2, 1]] = f32::NAN;
        cube[[4, 0, 0]] = -1.0;
        write(&path, &cube.into_dyn(), false, false, 7, 6);
        let whole = Dataset::read(&path).unwrap_err();
        let (_, patterns) = Dataset::open(&path, &dir.path().join("scratch")).unwrap();
        assert_eq!(patterns.check(&path, |_| {}).unwrap_err(), whole);
    }

    fn write(path: &Path, array: &ArrayD<f32>, fortran: bool, double: bool, m: usize, n: usize) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        let mut add = |name: &str, descr: &str, fortran: bool, shape: &[usize], bytes: &[u8]| {
            zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
            let header = crate::io::npy::header_bytes(descr, shape);
            let text = String::from_utf8(header[10..].to_vec()).unwrap();
            let text = if fortran { text.replace("False", "True ") } else { text };
            zip.write_all(&header[..10]).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
            zip.write_all(bytes).unwrap();
        };
        let ordered = match fortran {
            true => {
                ArrayD::from_shape_fn(IxDyn(array.shape()).f(), |i| array[i]).t().iter().copied().collect()
            }
            false => array.iter().copied().collect::<Vec<f32>>(),
        };
        let bytes: Vec<u8> = match double {
            true => ordered.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect(),
            false => ordered.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        add("diffraction", if double { "<f8" } else { "<f4" }, fortran, array.shape(), &bytes);
        let line: Vec<u8> = (0..m).flat_map(|i| (i as f64).to_le_bytes()).collect();
        add("xcoords", "<f8", false, &[m], &line);
        add("ycoords", "<f8", false, &[m], &line);
        let probe: Vec<u8> = (0..2 * n * n).flat_map(|_| 1f32.to_le_bytes()).collect();
        add("probeGuess", "<c8", false, &[n, n], &probe);
        zip.finish().unwrap();
    }
}
