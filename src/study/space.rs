//! The study's space: the product of the axes, less `exclude`, plus `include`, and its projections
//! on the axes of a stage.
//!
//! A projection never enumerates the axes it leaves out. A combination belongs to it when the
//! excluded boxes do not cover all that is left open, which is decided by search over the values
//! those boxes mention; most studies exclude little, and then the search ends at once.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::table::Table;

/// Points of a stage as positions on its axes: rows of equal width, sorted, without repetition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tuples {
    width: usize,
    len: usize,
    data: Vec<u32>,
}

impl Tuples {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn row(&self, i: usize) -> &[u32] {
        &self.data[i * self.width..(i + 1) * self.width]
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &[u32]> + '_ {
        (0..self.len).map(|i| self.row(i))
    }

    fn push(&mut self, row: &[u32]) {
        self.data.extend_from_slice(row);
        self.len += 1;
    }

    /// Sorts the rows and drops repetitions.
    fn normalise(self) -> Self {
        let mut rows: Vec<&[u32]> = self.iter().collect();
        rows.sort_unstable();
        rows.dedup();
        Self { width: self.width, len: rows.len(), data: rows.concat() }
    }
}

/// A box in the study's space: for each axis the allowed positions (sorted), or `None` for all.
pub(super) type Pattern = Vec<Option<Vec<u32>>>;

/// The study's space.
#[derive(Debug, Clone, Default)]
pub(super) struct Space {
    /// Number of values of each axis, without those that only `include` names.
    pub(super) sizes: Vec<u32>,
    /// Boxes taken out of the product.
    pub(super) exclude: Vec<Pattern>,
    /// Boxes added afterwards.
    pub(super) include: Vec<Pattern>,
}

/// Why a projection was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooMuch {
    /// More points than [`MAX_POINTS`].
    Points,
    /// The exclusions are so entangled that the search passed [`MAX_STEPS`].
    Exclusions,
}

/// Most points a stage may have: a safeguard against a product that no machine could run.
pub(super) const MAX_POINTS: usize = 1_000_000;
/// Most steps of the search for uncovered combinations. Deciding coverage by boxes is NP-complete,
/// so a hostile file could otherwise hang the check.
const MAX_STEPS: usize = 20_000_000;

impl Space {
    /// The distinct projections on `axes` (ascending positions), keeping on each axis only the
    /// values that `only` lists (sorted), where it lists any.
    pub(super) fn project(
        &self,
        axes: &[usize],
        only: &BTreeMap<usize, Vec<u32>>,
    ) -> Result<Tuples, TooMuch> {
        let rows = Tuples { width: axes.len(), ..Tuples::default() };
        let others = (0..self.sizes.len()).filter(|a| !axes.contains(a)).collect();
        let allowed: Vec<Vec<u32>> = (0..self.sizes.len()).map(|axis| self.allowed(axis, only)).collect();
        let mut walk = Walk {
            space: self,
            axes,
            others,
            only,
            allowed: &allowed,
            row: Vec::with_capacity(axes.len()),
            rows,
            steps: 0,
            lives: Table::default(),
            splits: Table::default(),
        };
        let all = walk.live((0..self.exclude.len()).collect());
        walk.product(all)?;
        if self.include.is_empty() {
            return Ok(walk.rows);
        }
        for pattern in &self.include {
            walk.add(pattern)?;
        }
        Ok(walk.rows.normalise())
    }

    fn allowed(&self, axis: usize, only: &BTreeMap<usize, Vec<u32>>) -> Vec<u32> {
        let size = self.sizes[axis];
        match only.get(&axis) {
            Some(values) => values.iter().copied().filter(|v| *v < size).collect(),
            None => (0..size).collect(),
        }
    }
}

/// One projection under way.
struct Walk<'a> {
    space: &'a Space,
    axes: &'a [usize],
    others: Vec<usize>,
    only: &'a BTreeMap<usize, Vec<u32>>,
    /// The values of each axis that `only` leaves.
    allowed: &'a [Vec<u32>],
    row: Vec<u32>,
    rows: Tuples,
    steps: usize,
    /// Sets of exclusions that agree with some row so far, known by their place here → whether they leave
    /// something open, once that was asked. There are few of them, and many rows.
    lives: Table<Vec<usize>, Option<bool>>,
    /// Axis and set → the set that is left for each value that is allowed on the axis, or nothing if the
    /// axis leaves the set as it is.
    splits: Table<(usize, usize), Option<Rc<[usize]>>>,
}

impl Walk<'_> {
    fn keep(&mut self) -> Result<(), TooMuch> {
        if self.rows.len() >= MAX_POINTS {
            return Err(TooMuch::Points);
        }
        self.rows.push(&self.row);
        Ok(())
    }

    fn step(&mut self, cost: usize) -> Result<(), TooMuch> {
        self.steps += cost;
        if self.steps > MAX_STEPS { Err(TooMuch::Exclusions) } else { Ok(()) }
    }

    /// The place of a set of exclusions, ascending.
    fn live(&mut self, set: Vec<usize>) -> usize {
        let entry = self.lives.entry(set);
        let place = entry.index();
        entry.or_insert(None);
        place
    }

    fn set(&self, live: usize) -> &[usize] {
        self.lives.get_index(live).map_or(&[], |(set, _)| set)
    }

    /// Extends the row over the next axis; `live` are the exclusions it still agrees with.
    fn product(&mut self, live: usize) -> Result<(), TooMuch> {
        let Some(&axis) = self.axes.get(self.row.len()) else {
            return if self.leaves_open(live)? { self.keep() } else { Ok(()) };
        };
        let allowed = self.allowed;
        let split = self.split(axis, live);
        for (i, &value) in allowed[axis].iter().enumerate() {
            self.row.push(value);
            self.product(split.as_ref().map_or(live, |left| left[i]))?;
            self.row.pop();
        }
        Ok(())
    }

    /// Which exclusions are left for each value on an axis; `None` if all are for all.
    fn split(&mut self, axis: usize, live: usize) -> Option<Rc<[usize]>> {
        if let Some(known) = self.splits.get(&(axis, live)) {
            return known.clone();
        }
        let (exclude, allowed) = (&self.space.exclude, self.allowed);
        let (free, bound): (Vec<usize>, Vec<usize>) =
            self.set(live).iter().partition(|e| exclude[**e][axis].is_none());
        let mut by_value: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for e in &bound {
            for v in exclude[*e][axis].iter().flatten() {
                by_value.entry(*v).or_default().push(*e);
            }
        }
        let left = |value: &u32| {
            let mut left = free.clone();
            left.extend(by_value.get(value).into_iter().flatten());
            left.sort_unstable();
            self.live(left)
        };
        let split = (!bound.is_empty()).then(|| allowed[axis].iter().map(left).collect());
        self.splits.insert((axis, live), split.clone());
        split
    }

    /// Whether some combination of the axes left out escapes all of these exclusions.
    fn leaves_open(&mut self, live: usize) -> Result<bool, TooMuch> {
        if let Some(known) = self.lives[live] {
            return Ok(known);
        }
        let set = self.set(live).to_vec();
        let answer = self.search(&set, 0)?;
        self.lives[live] = Some(answer);
        Ok(answer)
    }

    fn search(&mut self, live: &[usize], depth: usize) -> Result<bool, TooMuch> {
        self.step(1 + live.len())?;
        if live.is_empty() {
            return Ok(true);
        }
        let space = self.space;
        let constrains = |e: usize, others: &[usize]| others.iter().any(|a| space.exclude[e][*a].is_some());
        if live.iter().any(|e| !constrains(*e, &self.others[depth..])) {
            return Ok(false);
        }
        let axis = self.others[depth];
        let mut by_value: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut free = Vec::new();
        for &e in live {
            match &space.exclude[e][axis] {
                Some(values) => values
                    .iter()
                    .filter(|v| **v < space.sizes[axis])
                    .for_each(|v| by_value.entry(*v).or_default().push(e)),
                None => free.push(e),
            }
        }
        // All values that no exclusion names behave alike: one try stands for them.
        if by_value.len() < space.sizes[axis] as usize && self.search(&free, depth + 1)? {
            return Ok(true);
        }
        for named in by_value.into_values() {
            let mut next = free.clone();
            next.extend(named);
            next.sort_unstable();
            if self.search(&next, depth + 1)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds the projection of an included box.
    fn add(&mut self, pattern: &Pattern) -> Result<(), TooMuch> {
        let Some(&axis) = self.axes.get(self.row.len()) else {
            return self.keep();
        };
        let values = match (&pattern[axis], self.only.get(&axis)) {
            (None, _) => self.allowed[axis].clone(),
            (Some(values), None) => values.clone(),
            (Some(values), Some(only)) => {
                values.iter().copied().filter(|v| only.binary_search(v).is_ok()).collect()
            }
        };
        for value in values {
            self.row.push(value);
            self.add(pattern)?;
            self.row.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn rows(space: &Space, axes: &[usize]) -> Vec<Vec<u32>> {
        let tuples = space.project(axes, &BTreeMap::new()).unwrap();
        tuples.iter().map(<[u32]>::to_vec).collect()
    }

    #[test]
    fn a_combination_goes_only_when_all_its_completions_are_excluded() {
        let mut space = Space { sizes: vec![2, 2, 3], ..Space::default() };
        space.exclude.push(vec![Some(vec![0]), Some(vec![1]), None]);
        assert_eq!(rows(&space, &[0, 1]), [[0, 0], [1, 0], [1, 1]]);
        assert_eq!(rows(&space, &[0]), [[0], [1]]);
        space.exclude.push(vec![Some(vec![0]), Some(vec![0]), None]);
        assert_eq!(rows(&space, &[0]), [[1]]);
        space.include.push(vec![Some(vec![2]), Some(vec![0]), None]);
        assert_eq!(rows(&space, &[0]), [[1], [2]]);
        assert_eq!(rows(&space, &[]), [Vec::<u32>::new()]);
    }

    #[test]
    fn axes_left_out_cost_nothing() {
        // 40 axes of 1000 values: 10^120 combinations.
        let mut space = Space { sizes: vec![1000; 40], ..Space::default() };
        let mut pattern: Pattern = vec![None; 40];
        pattern[3] = Some(vec![7]);
        pattern[30] = Some(vec![1, 2]);
        space.exclude.push(pattern);
        assert_eq!(rows(&space, &[3]).len(), 1000);
        assert_eq!(space.project(&[0, 1, 2], &BTreeMap::new()), Err(TooMuch::Points));
    }

    fn pattern(axes: usize) -> impl Strategy<Value = Pattern> {
        let values = prop::collection::btree_set(0_u32..3, 1..3);
        prop::collection::vec(prop::option::of(values), axes).prop_map(|boxes| {
            boxes.into_iter().map(|b| b.map(|values| values.into_iter().collect())).collect()
        })
    }

    fn holds(pattern: &Pattern, row: &[u32]) -> bool {
        pattern.iter().zip(row).all(|(b, v)| b.as_ref().is_none_or(|values| values.contains(v)))
    }

    proptest! {
        /// The search agrees with writing the whole space down.
        #[test]
        fn projections_equal_those_of_the_enumerated_space(
            exclude in prop::collection::vec(pattern(4), 0..8),
            include in prop::collection::vec(pattern(4), 0..3),
            axes in prop::sample::subsequence(vec![0_usize, 1, 2, 3], 0..=4),
        ) {
            // The last axis has fewer values than the patterns name: the rest are `include`'s.
            let sizes = vec![3, 3, 3, 2];
            let mut full = BTreeSet::new();
            for i in 0..81_u32 {
                let row = [i / 27, i / 9 % 3, i / 3 % 3, i % 3];
                let inside = row.iter().zip(&sizes).all(|(v, size)| v < size);
                if inside && !exclude.iter().any(|p| holds(p, &row)) {
                    full.insert(row);
                }
                let named = |p: &Pattern| {
                    holds(p, &row) && (0..4).all(|a| p[a].is_some() || row[a] < sizes[a])
                };
                if include.iter().any(named) {
                    full.insert(row);
                }
            }
            let expected: BTreeSet<Vec<u32>> =
                full.iter().map(|row| axes.iter().map(|a| row[*a]).collect()).collect();
            let space = Space { sizes, exclude, include };
            let got = rows(&space, &axes);
            prop_assert_eq!(got, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
