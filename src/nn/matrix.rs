//! Matrix products on strided views of slices: the only place that calls `gemm`.

use super::real::Real;

/// How the elements of a matrix lie in a slice: (i, j) at `offset + i·row_stride + j·col_stride`.
///
/// Rows may overlap (`row_stride < cols`), which is what lets a convolution read its neighbourhoods
/// straight from an activation map instead of copying them into a matrix first.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Index of element (0, 0).
    pub offset: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Distance of two rows.
    pub row_stride: usize,
    /// Distance of two columns.
    pub col_stride: usize,
}

impl Layout {
    /// Rows of contiguous columns.
    pub fn rows(offset: usize, rows: usize, cols: usize, row_stride: usize) -> Self {
        Self { offset, rows, cols, row_stride, col_stride: 1 }
    }

    /// The same elements, rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// One past the largest index used.
    fn end(&self) -> usize {
        self.offset + (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride + 1
    }
}

/// `dst = lhs · rhs`, or `dst += lhs · rhs` when `accumulate`. Runs on the calling thread and always in
/// the same order of operations, so equal arguments give equal bits.
///
/// Panics if shapes disagree, a view leaves its slice, or elements of `dst` coincide (programming errors).
pub fn multiply<T: Real>(
    dst: (&mut [T], Layout),
    accumulate: bool,
    lhs: (&[T], Layout),
    rhs: (&[T], Layout),
) {
    let ((d, dl), (a, al), (b, bl)) = (dst, lhs, rhs);
    assert!(dl.rows > 0 && dl.cols > 0 && al.cols > 0, "empty product");
    assert!(dl.rows == al.rows && dl.cols == bl.cols && al.cols == bl.rows, "shapes disagree");
    assert!(dl.col_stride == 1 && dl.row_stride >= dl.cols, "elements of the product coincide");
    assert!(dl.end() <= d.len() && al.end() <= a.len() && bl.end() <= b.len(), "a view leaves its slice");
    let stride = |s: usize| s as isize;
    let keep = if accumulate { T::one() } else { T::zero() };
    // SAFETY: `gemm` touches exactly the elements (i, j) of the three views. The asserts above put all of
    // them inside their slices, which are valid for reads (`a`, `b`) and for reads and writes (`d`).
    // `d` is borrowed mutably, so it does not alias `a` or `b`; its elements are distinct because rows
    // are at least `cols` apart. Strides fit in isize since slices hold at most isize::MAX bytes. `T` is
    // f32 or f64, the types `gemm` dispatches on; neither needs more than the slice's own alignment.
    // (`gemm` computes dst := keep·dst + 1·lhs·rhs.)
    unsafe {
        gemm::gemm(
            dl.rows,
            dl.cols,
            al.cols,
            d.as_mut_ptr().add(dl.offset),
            stride(dl.col_stride),
            stride(dl.row_stride),
            accumulate,
            a.as_ptr().add(al.offset),
            stride(al.col_stride),
            stride(al.row_stride),
            b.as_ptr().add(bl.offset),
            stride(bl.col_stride),
            stride(bl.row_stride),
            keep,
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_overlapping_and_transposed_views() {
        // Rows of three taken one element apart: (i, j) = i + j.
        let a: Vec<f64> = (0..6).map(f64::from).collect();
        let b: Vec<f64> = (0..6).map(|i| f64::from(i * i)).collect();
        let mut d = vec![1.0; 9];
        let lhs = Layout::rows(0, 4, 3, 1);
        let rhs = Layout::rows(0, 2, 3, 3).transposed();
        multiply((&mut d, Layout::rows(1, 4, 2, 2)), true, (&a, lhs), (&b, rhs));
        for i in 0..4 {
            for j in 0..2 {
                let expected: f64 = (0..3).map(|k| a[i + k] * b[3 * j + k]).sum();
                assert_eq!(d[1 + 2 * i + j], 1.0 + expected);
            }
        }
        assert_eq!(d[0], 1.0);
        multiply((&mut d, Layout::rows(1, 4, 2, 2)), false, (&a, lhs), (&b, rhs));
        assert_eq!(d[1], (0..3).map(|k| a[k] * b[k]).sum::<f64>());
    }

    #[test]
    #[should_panic(expected = "leaves its slice")]
    fn refuses_a_view_that_leaves_its_slice() {
        let (a, mut d) = (vec![0.0f32; 4], vec![0.0f32; 4]);
        let two = Layout::rows(0, 2, 2, 2);
        multiply((&mut d, two), false, (&a, Layout { offset: 1, ..two }), (&a, two));
    }
}
