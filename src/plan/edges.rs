//! Who waits for whom, for all tasks at once.

use super::{Plan, Source, Task};

/// The edges of a plan in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edges {
    upstream: Lists,
    downstream: Lists,
}

/// A list of tasks for every task, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lists {
    /// Where the list of each task ends.
    ends: Vec<u32>,
    tasks: Vec<u32>,
}

impl Lists {
    fn get(&self, task: usize) -> impl ExactSizeIterator<Item = usize> + DoubleEndedIterator + Clone + '_ {
        let start = task.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.tasks[start..self.ends[task] as usize].iter().map(|other| *other as usize)
    }
}

impl Edges {
    /// Of tasks whose sources are positions among them. A study has fewer than 2³² tasks: every stage is
    /// limited to a million.
    pub(super) fn of(tasks: &[Task]) -> Self {
        let mut upstream = Lists { ends: Vec::with_capacity(tasks.len()), tasks: Vec::new() };
        let mut counts = vec![0_u32; tasks.len()];
        for task in tasks {
            let start = upstream.tasks.len();
            for source in task.inputs.sources() {
                if let Source::Task { task: up, .. } = source {
                    upstream.tasks.push(*up as u32);
                }
            }
            let own = &mut upstream.tasks[start..];
            own.sort_unstable();
            let mut kept = start;
            for i in start..upstream.tasks.len() {
                if kept == start || upstream.tasks[kept - 1] != upstream.tasks[i] {
                    upstream.tasks[kept] = upstream.tasks[i];
                    kept += 1;
                }
            }
            upstream.tasks.truncate(kept);
            upstream.tasks[start..].iter().for_each(|up| counts[*up as usize] += 1);
            upstream.ends.push(kept as u32);
        }
        let mut ends = counts;
        let mut total = 0;
        for end in &mut ends {
            total += *end;
            // The start for now; filling the list moves it to its end.
            *end = total - *end;
        }
        let mut downstream = Lists { ends, tasks: vec![0; upstream.tasks.len()] };
        for task in 0..tasks.len() {
            for up in upstream.get(task) {
                let next = &mut downstream.ends[up];
                downstream.tasks[*next as usize] = task as u32;
                *next += 1;
            }
        }
        Self { upstream, downstream }
    }

    /// The tasks that a task waits for, ascending, each once.
    pub fn upstream(
        &self,
        task: usize,
    ) -> impl ExactSizeIterator<Item = usize> + DoubleEndedIterator + Clone + '_ {
        self.upstream.get(task)
    }

    /// The tasks that wait for a task, ascending.
    pub fn downstream(
        &self,
        task: usize,
    ) -> impl ExactSizeIterator<Item = usize> + DoubleEndedIterator + Clone + '_ {
        self.downstream.get(task)
    }

    /// How many tasks each task waits for.
    pub fn missing(&self) -> Vec<usize> {
        (0..self.upstream.ends.len()).map(|task| self.upstream(task).len()).collect()
    }

    /// Whether every task comes after those it waits for.
    pub(super) fn all_forward(&self) -> bool {
        (0..self.upstream.ends.len()).all(|task| self.upstream(task).all(|up| up < task))
    }

    /// All edges, from producer to consumer.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.upstream.ends.len()).flat_map(|to| self.upstream(to).map(move |from| (from, to)))
    }
}

impl Plan {
    /// Its edges.
    pub fn edges(&self) -> Edges {
        Edges::of(&self.tasks)
    }
}
