//! Some tasks of a plan.

use std::collections::BTreeSet;

/// Tasks by their index in the plan, ascending. Whether one is among them is asked for every task and every
/// edge, so it is looked up and not searched for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskSet {
    among: Vec<bool>,
    len: usize,
}

impl TaskSet {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task.
    pub fn insert(&mut self, task: usize) {
        if task >= self.among.len() {
            self.among.resize(task + 1, false);
        }
        self.len += usize::from(!std::mem::replace(&mut self.among[task], true));
    }

    /// Whether a task is among them.
    pub fn contains(&self, task: usize) -> bool {
        self.among.get(task).is_some_and(|among| *among)
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.among.iter().enumerate().filter_map(|(task, among)| among.then_some(task))
    }
}

impl FromIterator<usize> for TaskSet {
    fn from_iter<I: IntoIterator<Item = usize>>(tasks: I) -> Self {
        let mut set = Self::new();
        tasks.into_iter().for_each(|task| set.insert(task));
        set
    }
}

impl From<&BTreeSet<usize>> for TaskSet {
    fn from(tasks: &BTreeSet<usize>) -> Self {
        tasks.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_set() {
        let mut set: TaskSet = [3, 1, 3].into_iter().collect();
        assert_eq!((set.len(), set.iter().collect::<Vec<_>>()), (2, vec![1, 3]));
        assert!(set.contains(3) && !set.contains(2) && !set.contains(99));
        set.insert(0);
        set.insert(1);
        assert_eq!(set, TaskSet::from(&BTreeSet::from([0, 1, 3])));
        assert!(TaskSet::new().is_empty() && !set.is_empty());
    }
}
