//! Tasks that could start: highest priority first, then the longest path that still depends on them.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// A task that is passed over this often for want of room is due: nothing else starts before it.
const PATIENCE: u32 = 64;

/// Whether a task could start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    /// Other tasks of this run hold what it needs: it can be waited for by starting nothing else.
    NotNow,
    /// It waits for something that tasks of this run cannot give back.
    Elsewhere,
}

/// Order among ready tasks; the greatest starts first.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rank {
    priority: i32,
    /// Seconds of the longest path from this task to an end of the plan, itself included.
    path: f64,
    /// Among equals the plan's own order.
    index: Reverse<usize>,
}

impl Eq for Rank {}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.priority
            .cmp(&other.priority)
            .then(self.path.total_cmp(&other.path))
            .then(self.index.cmp(&other.index))
    }
}

/// Ready tasks, in classes whose members ask for the same: if the first of a class does not fit, none does,
/// so choosing takes a look at each class rather than at each task.
#[derive(Debug)]
pub(super) struct Queue {
    ranks: Vec<Rank>,
    class_of: Vec<usize>,
    classes: Vec<BTreeSet<Rank>>,
    /// The task that was first in line and did not fit, and how often it was passed over since.
    passed: Option<(usize, u32)>,
}

impl Queue {
    /// `priority`, `path` and `class` of every task of the plan.
    pub(super) fn new(priority: impl Fn(usize) -> i32, path: &[f64], class_of: Vec<usize>) -> Self {
        let rank =
            |index: usize| Rank { priority: priority(index), path: path[index], index: Reverse(index) };
        let classes = class_of.iter().max().map_or(0, |last| last + 1);
        Self {
            ranks: (0..path.len()).map(rank).collect(),
            class_of,
            classes: vec![BTreeSet::new(); classes],
            passed: None,
        }
    }

    pub(super) fn push(&mut self, task: usize) {
        self.classes[self.class_of[task]].insert(self.ranks[task]);
    }

    pub(super) fn remove(&mut self, task: usize) {
        self.classes[self.class_of[task]].remove(&self.ranks[task]);
        if self.passed.is_some_and(|(first, _)| first == task) {
            self.passed = None;
        }
    }

    /// The first of each class, in no order.
    pub(super) fn heads(&self) -> impl Iterator<Item = usize> {
        self.classes.iter().filter_map(|class| class.last()).map(|rank| rank.index.0)
    }

    /// Takes the first task that fits; `fit` is asked for one task of each class, in order.
    pub(super) fn pop(&mut self, mut fit: impl FnMut(usize) -> Fit) -> Option<usize> {
        let mut heads: Vec<Rank> = self.classes.iter().filter_map(|c| c.last().copied()).collect();
        heads.sort_unstable_by_key(|rank| Reverse(*rank));
        let mut heads = heads.into_iter().map(|rank| rank.index.0);
        let first = heads.next()?;
        let found = match fit(first) {
            Fit::Yes => first,
            Fit::Elsewhere => heads.find(|task| fit(*task) == Fit::Yes)?,
            Fit::NotNow => {
                let times = self.passed.filter(|(task, _)| *task == first).map_or(0, |(_, times)| times);
                if times >= PATIENCE {
                    return None;
                }
                let found = heads.find(|task| fit(*task) == Fit::Yes)?;
                self.passed = Some((first, times + 1));
                found
            }
        };
        self.remove(found);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut Queue) -> Vec<usize> {
        std::iter::from_fn(|| queue.pop(|_| Fit::Yes)).collect()
    }

    #[test]
    fn priority_then_longest_path_then_plan_order() {
        let mut queue = Queue::new(|i| i32::from(i == 3), &[1.0, 5.0, 1.0, 0.0], vec![0, 0, 1, 1]);
        (0..4).for_each(|i| queue.push(i));
        assert_eq!(drain(&mut queue), [3, 1, 0, 2]);
    }

    #[test]
    fn a_small_task_fills_the_gap_but_not_for_ever() {
        let n = 200;
        let mut path = vec![1.0; n];
        path[0] = 9.0;
        let class_of: Vec<usize> = (0..n).map(|i| usize::from(i > 0)).collect();
        let mut queue = Queue::new(|_| 0, &path, class_of);
        (0..n).for_each(|i| queue.push(i));
        let only_small = |task| if task == 0 { Fit::NotNow } else { Fit::Yes };
        let small: Vec<usize> = std::iter::from_fn(|| queue.pop(only_small)).collect();
        assert_eq!(small.len(), PATIENCE as usize);
        assert_eq!(queue.pop(|_| Fit::Yes), Some(0), "its turn has come");
        assert_eq!(queue.pop(|_| Fit::Yes), Some(PATIENCE as usize + 1), "then the others'");
    }

    #[test]
    fn what_others_hold_holds_up_nobody_else() {
        let n = 200;
        let class_of: Vec<usize> = (0..n).map(|i| usize::from(i > 0)).collect();
        let mut queue = Queue::new(|i| i32::from(i == 0), &vec![1.0; n], class_of);
        (0..n).for_each(|i| queue.push(i));
        let held = |task| if task == 0 { Fit::Elsewhere } else { Fit::Yes };
        assert_eq!(std::iter::from_fn(|| queue.pop(held)).count(), n - 1);
    }
}
