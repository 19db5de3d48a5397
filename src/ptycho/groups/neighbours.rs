//! Nearest scan positions. The only file that knows kiddo.

use std::num::NonZero;

use kiddo::{ImmutableKdTree, SquaredEuclidean};

use crate::diag::{StageError, StageResult};

/// Largest coordinate taken, pixels. Beyond it squares of differences lose the sub-pixel part.
const LIMIT: f64 = 1e7;

/// Relative widening of a search, far above the rounding of a squared distance. The tree may use fused
/// multiply-adds where the processor has them, so its own distances cannot decide ties reproducibly.
const SLACK: f64 = 1e-12;

/// One neighbour of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Index of the image, in file order.
    pub image: u32,
    /// Distance in pixels.
    pub distance: f64,
}

/// Scan positions, searchable by distance. Images at exactly the same place are held as one place, so
/// that a scan of repeats costs no more than a scan of places.
pub struct Neighbours {
    /// Place of every image.
    place_of: Vec<u32>,
    /// Coordinates [x, y] of every place, in the order of its first image.
    places: Vec<[f64; 2]>,
    /// Images at every place, ascending.
    members: Vec<Vec<u32>>,
    tree: ImmutableKdTree<f64, 2>,
}

impl Neighbours {
    /// Indexes the positions (object pixels). Refuses lengths that differ, an empty scan, and
    /// coordinates that are not finite or beyond ±1e7 pixels.
    pub fn new(x: &[f64], y: &[f64]) -> StageResult<Self> {
        if x.len() != y.len() {
            let (nx, ny) = (x.len(), y.len());
            return Err(StageError::input(format!("{nx} x coordinates but {ny} y coordinates")));
        }
        if x.is_empty() || u32::try_from(x.len()).is_err() {
            return Err(StageError::input(format!("{} positions, expected 1 to {}", x.len(), u32::MAX)));
        }
        for (i, (x, y)) in x.iter().zip(y).enumerate() {
            // Written so that NaN fails too.
            if !(x.abs() <= LIMIT && y.abs() <= LIMIT) {
                let message = format!("position {i} is ({x}, {y}), expected pixels within ±{LIMIT:e}");
                return Err(StageError::input(message));
            }
        }
        // Adding zero turns −0.0 into 0.0, so that equal numbers are equal places.
        let points: Vec<[f64; 2]> = x.iter().zip(y).map(|(x, y)| [x + 0.0, y + 0.0]).collect();
        let (place_of, members) = gather(&points);
        let places: Vec<[f64; 2]> = members.iter().map(|m| points[m[0] as usize]).collect();
        let tree = ImmutableKdTree::new_from_slice(&places)
            .map_err(|e| StageError::input(format!("{} scan positions cannot be indexed: {e}", x.len())))?;
        Ok(Self { place_of, places, members, tree })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.place_of.len()
    }

    /// The distinct places [x, y], in the order of their first image.
    pub fn places(&self) -> &[[f64; 2]] {
        &self.places
    }

    /// Index into [`places`](Self::places) of an image.
    pub fn place_of(&self, image: usize) -> usize {
        self.place_of[image] as usize
    }

    /// Images at a place, ascending.
    pub fn members(&self, place: usize) -> &[u32] {
        &self.members[place]
    }

    /// The `k` images nearest to `image`, itself included and first; the others by distance, equal
    /// distances by index. All images if there are fewer than `k`.
    pub fn around(&self, image: usize, k: usize) -> Vec<Neighbour> {
        let at = self.places[self.place_of(image)];
        let mut others: Vec<Neighbour> = Vec::new();
        for (place, distance) in self.nearest_places(at, k) {
            // Of equally distant images the first come first, so no more than k of a place can matter.
            let images = self.members[place].iter().filter(|m| **m as usize != image);
            others.extend(images.take(k).map(|m| Neighbour { image: *m, distance }));
        }
        others.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance).then(a.image.cmp(&b.image)));
        let own = Neighbour { image: image as u32, distance: 0.0 };
        std::iter::once(own).chain(others).take(k).collect()
    }

    /// The `k` places nearest to `at` with their distances, and every further place as far as the last
    /// of them; unsorted.
    pub fn nearest_places(&self, at: [f64; 2], k: usize) -> Vec<(usize, f64)> {
        let Some(k) = NonZero::new(k.min(self.places.len())) else {
            return Vec::new();
        };
        // One more than asked, to see whether the last one is tied.
        let one_more = k.saturating_add(1);
        let found: Vec<_> = self.tree.query(&at).nearest_n::<SquaredEuclidean<f64>>(one_more).execute();
        let last = found.get(k.get() - 1).map_or(0.0, |n| n.distance);
        let tied = found.get(k.get()).is_some_and(|n| n.distance <= last * (1.0 + SLACK));
        if tied {
            return self.places_within(at, last.sqrt());
        }
        found.iter().take(k.get()).map(|n| self.measured(at, n.item)).collect()
    }

    /// Every place at most `radius` pixels from `at` (and, by rounding, a hair farther), with its
    /// distance; unsorted.
    pub fn places_within(&self, at: [f64; 2], radius: f64) -> Vec<(usize, f64)> {
        let reach = radius * radius * (1.0 + SLACK);
        let query = self.tree.query(&at).within::<SquaredEuclidean<f64>>(reach).unsorted();
        query.execute().into_iter().map(|n| self.measured(at, n.item)).collect()
    }

    fn measured(&self, at: [f64; 2], place: u32) -> (usize, f64) {
        let [x, y] = self.places[place as usize];
        (place as usize, distance(at, [x, y]))
    }
}

/// Distance of two points, pixels.
pub fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    let (dx, dy) = (a[0] - b[0], a[1] - b[1]);
    (dx * dx + dy * dy).sqrt()
}

/// Place of every point, and the points of every place, places in order of first appearance.
fn gather(points: &[[f64; 2]]) -> (Vec<u32>, Vec<Vec<u32>>) {
    let order_of = |a: u32, b: u32| {
        let ([ax, ay], [bx, by]) = (points[a as usize], points[b as usize]);
        ax.total_cmp(&bx).then(ay.total_cmp(&by)).then(a.cmp(&b))
    };
    let mut order: Vec<u32> = (0..points.len() as u32).collect();
    order.sort_unstable_by(|a, b| order_of(*a, *b));
    let mut members: Vec<Vec<u32>> =
        order.chunk_by(|a, b| points[*a as usize] == points[*b as usize]).map(<[u32]>::to_vec).collect();
    members.sort_unstable_by_key(|m| m[0]);
    let mut place_of = vec![0; points.len()];
    for (place, images) in members.iter().enumerate() {
        for image in images {
            place_of[*image as usize] = place as u32;
        }
    }
    (place_of, members)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, image by image.
    fn by_brute_force(x: &[f64], y: &[f64], image: usize, k: usize) -> Vec<u32> {
        let at = [x[image], y[image]];
        let mut all: Vec<(f64, bool, u32)> =
            (0..x.len()).map(|i| (distance(at, [x[i], y[i]]), i != image, i as u32)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        all.into_iter().take(k).map(|n| n.2).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// A coarse lattice makes many ties and repeats; a fine one makes almost none.
        #[test]
        fn equals_brute_force(
            points in prop::collection::vec((0u16..400, 0u16..400), 1..300),
            coarseness in prop::sample::select(vec![1u16, 7, 50, 399]),
            k in 1usize..40,
        ) {
            let x: Vec<f64> = points.iter().map(|p| f64::from(p.0 / coarseness) * 1.1).collect();
            let y: Vec<f64> = points.iter().map(|p| f64::from(p.1 / coarseness) * 1.1).collect();
            let scan = Neighbours::new(&x, &y).unwrap();
            for image in [0, x.len() / 2, x.len() - 1] {
                let found: Vec<u32> = scan.around(image, k).iter().map(|n| n.image).collect();
                prop_assert_eq!(found, by_brute_force(&x, &y, image, k));
            }
        }
    }

    #[test]
    fn thousands_of_equal_coordinates() {
        // One column, then one single place: more equals than any bucket of the tree holds.
        let y: Vec<f64> = (0..5000).map(f64::from).collect();
        let column = Neighbours::new(&vec![3.0; 5000], &y).unwrap();
        let found: Vec<u32> = column.around(2500, 3).iter().map(|n| n.image).collect();
        assert_eq!(found, [2500, 2499, 2501]);
        let heap = Neighbours::new(&vec![3.0; 5000], &vec![4.0; 5000]).unwrap();
        let found: Vec<u32> = heap.around(4999, 3).iter().map(|n| n.image).collect();
        assert_eq!(found, [4999, 0, 1]);
        assert_eq!(heap.places().len(), 1);
    }

    #[test]
    fn unusable_positions_are_named() {
        let message = |x: &[f64], y: &[f64]| Neighbours::new(x, y).err().unwrap().message;
        assert!(message(&[0.0, f64::NAN], &[0.0, 0.0]).contains("position 1 is (NaN, 0)"));
        assert!(message(&[0.0], &[1e200]).contains("position 0"));
        assert!(message(&[0.0], &[]).contains("1 x coordinates but 0 y"));
        assert!(message(&[], &[]).contains("0 positions"));
    }
}
