//! Where each pattern's patch lies on the reconstructed object.

use super::{SetupError, Subpixel};

/// Most pixels an object may have: 2³⁰ complex f32 take 8 GiB.
const LARGEST: f64 = (1u64 << 30) as f64;

/// The frame of a reconstruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Object coordinates (row, column) of pixel \[0, 0\].
    pub origin: [i64; 2],
    /// Rows and columns.
    pub shape: (usize, usize),
}

/// The smallest frame that holds every patch of `side` pixels, and `border` pixels more on every side.
pub fn frame(x: &[f64], y: &[f64], side: usize, border: usize) -> Result<Frame, SetupError> {
    if x.is_empty() || y.is_empty() {
        return Err(SetupError::Empty);
    }
    let span = |centres: &[f64]| {
        let (lo, hi) =
            centres.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        let first = lo.floor() - (side / 2 + border) as f64;
        (first, hi.ceil() + (side - side / 2 + border) as f64 - first)
    };
    let ((top, rows), (left, cols)) = (span(y), span(x));
    // Written so that NaN fails too.
    if !(rows * cols <= LARGEST && top.abs().max(left.abs()) < 1e12) {
        return Err(SetupError::TooLarge { rows, cols });
    }
    Ok(Frame { origin: [top as i64, left as i64], shape: (rows as usize, cols as usize) })
}

/// A patch on the object: first pixel, and what remains of the position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// Row and column of the patch's index \[0, 0\].
    pub corner: [usize; 2],
    /// Fraction of a pixel (down, right): in [0, 1) for bilinear sampling, [−½, ½] for probe shifts.
    pub fraction: [f32; 2],
}

/// Places of all patches; each must lie on the object, with the row and column more that bilinear
/// sampling reads.
pub(super) fn places(
    x: &[f64],
    y: &[f64],
    side: usize,
    frame: Frame,
    subpixel: Subpixel,
) -> Result<Vec<Place>, SetupError> {
    let place = |(index, (&x, &y)): (usize, (&f64, &f64))| {
        let axis = |centre: f64, origin: i64, room: usize| {
            let first = centre - (side / 2) as f64 - origin as f64;
            let whole = match subpixel {
                Subpixel::Bilinear => first.floor(),
                Subpixel::ProbeShift | Subpixel::Nearest => first.round(),
            };
            let fraction = match subpixel {
                Subpixel::Nearest => 0.0,
                _ => first - whole,
            };
            let reach = side + usize::from(subpixel == Subpixel::Bilinear && fraction > 0.0);
            (whole >= 0.0 && whole + reach as f64 <= room as f64).then_some((whole as usize, fraction as f32))
        };
        let (row, col) = (axis(y, frame.origin[0], frame.shape.0), axis(x, frame.origin[1], frame.shape.1));
        match (row, col) {
            (Some((r, fy)), Some((c, fx))) => Ok(Place { corner: [r, c], fraction: [fy, fx] }),
            _ => Err(SetupError::Outside { index, x, y }),
        }
    };
    x.iter().zip(y).enumerate().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_holds_every_patch_and_no_more() {
        let (x, y) = ([10.5, 20.0], [-3.0, 7.25]);
        let f = frame(&x, &y, 8, 0).unwrap();
        assert_eq!(f, Frame { origin: [-7, 6], shape: (19, 18) });
        for subpixel in [Subpixel::Bilinear, Subpixel::ProbeShift, Subpixel::Nearest] {
            assert!(places(&x, &y, 8, f, subpixel).is_ok());
        }
        let places = places(&x, &y, 8, f, Subpixel::Bilinear).unwrap();
        assert_eq!(places[0], Place { corner: [0, 0], fraction: [0.0, 0.5] });
        assert_eq!(places[1], Place { corner: [10, 10], fraction: [0.25, 0.0] });
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let f = Frame { origin: [0, 0], shape: (16, 16) };
        let run = |x: f64| places(&[x], &[8.0], 8, f, Subpixel::Bilinear);
        assert!(run(12.0).is_ok() && run(4.0).is_ok());
        assert!(matches!(run(12.1), Err(SetupError::Outside { index: 0, .. })));
        assert!(run(3.9).is_err() && run(f64::NAN).is_err());
        assert!(matches!(frame(&[0.0, 1e8], &[0.0, 1e8], 8, 0), Err(SetupError::TooLarge { .. })));
        assert!(frame(&[f64::NAN], &[0.0], 8, 0).is_err());
        assert_eq!(frame(&[], &[], 8, 0), Err(SetupError::Empty));
    }
}
