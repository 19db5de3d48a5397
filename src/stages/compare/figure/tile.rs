//! An image brought to the size of its tile.

use ndarray::{ArrayView2, s};

use super::colour::Scale;

/// Coloured pixels.
pub(super) struct Raster {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) rgb: Vec<u8>,
}

/// Scales an image so that its longer side is about `side` pixels, and colours it. Small images are
/// enlarged by a whole factor, so that their pixels stay square and sharp; large ones are averaged.
pub(super) fn raster(image: ArrayView2<'_, f64>, side: usize, scale: Scale) -> Raster {
    let (rows, cols) = image.dim();
    let longest = rows.max(cols).max(1);
    let (height, width) = if longest <= side {
        let zoom = side / longest;
        (rows * zoom, cols * zoom)
    } else {
        let shrink = |n: usize| (n * side / longest).max(1);
        (shrink(rows), shrink(cols))
    };
    let span = |i: usize, from: usize, to: usize| {
        let start = i * from / to;
        start..((i + 1) * from / to).max(start + 1)
    };
    let mut rgb = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            let part = image.slice(s![span(y, rows, height), span(x, cols, width)]);
            rgb.extend(scale.colour(part.sum() / part.len() as f64));
        }
    }
    Raster { width, height, rgb }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::super::colour::Map;
    use super::*;

    #[test]
    fn small_images_grow_by_a_whole_factor_and_large_ones_shrink() {
        let image = array![[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]];
        let scale = Scale::spanning(Map::Grey, image.view());
        let grown = raster(image.view(), 10, scale);
        assert_eq!((grown.width, grown.height), (9, 6));
        assert_eq!(&grown.rgb[..15], [0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255]);
        let large = Array2::from_shape_fn((100, 50), |(r, c)| ((r + c) % 2) as f64);
        let shrunk = raster(large.view(), 50, Scale::spanning(Map::Grey, large.view()));
        assert_eq!((shrunk.width, shrunk.height), (25, 50));
        assert!(shrunk.rgb.iter().all(|v| *v == 128));
    }
}
