//! How long tasks will take, from what they took before.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Plan, Task};

/// What is known of the last time a task ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Past {
    /// Wall time, seconds.
    pub seconds: Option<f64>,
    /// Peak resident memory, bytes.
    pub peak_memory: Option<u64>,
}

/// How long a part of a plan will take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Wall time, seconds: no less than the longest path, and no less than all the work spread over the cores.
    pub seconds: f64,
    /// Seconds of the longest path.
    pub longest_path: f64,
    /// Core seconds in all.
    pub work: f64,
    /// Tasks that were estimated.
    pub tasks: usize,
    /// How many of them have run before; the others are taken for the average of their stage, of their kind,
    /// or of the study.
    pub measured: usize,
}

impl Plan {
    /// How long the tasks that are `left` will take on so many cores; `None` if none are left or nothing of
    /// the plan has ever run.
    pub fn estimate(
        &self,
        left: impl Fn(usize) -> bool,
        past: impl Fn(&Task) -> Option<f64>,
        cores: u32,
    ) -> Option<Estimate> {
        let known: Vec<Option<f64>> = self.tasks.iter().map(past).collect();
        if known.iter().all(Option::is_none) {
            return None;
        }
        let mut durations = self.fill(&known);
        let cores = f64::from(cores.max(1));
        let mut estimate = Estimate { seconds: 0.0, longest_path: 0.0, work: 0.0, tasks: 0, measured: 0 };
        for (index, task) in self.tasks.iter().enumerate() {
            if left(index) {
                estimate.work += durations[index] * f64::from(task.resources.cores.max(1)).min(cores);
                estimate.tasks += 1;
                estimate.measured += usize::from(known[index].is_some());
            } else {
                durations[index] = 0.0;
            }
        }
        estimate.longest_path = self.paths(&durations).into_iter().fold(0.0, f64::max);
        estimate.seconds = estimate.longest_path.max(estimate.work / cores);
        (estimate.tasks > 0).then_some(estimate)
    }

    /// For every task, the seconds of the longest path from it to an end of the plan, itself included. Tasks
    /// without a `past` are taken for the average of the others.
    pub fn longest_paths(&self, past: impl Fn(&Task) -> Option<f64>) -> Vec<f64> {
        let known: Vec<Option<f64>> = self.tasks.iter().map(past).collect();
        self.paths(&self.fill(&known))
    }

    fn paths(&self, durations: &[f64]) -> Vec<f64> {
        let edges = self.edges();
        let mut paths = durations.to_vec();
        // The order is topological: from the back, every task is seen after all that wait for it.
        for index in (0..self.tasks.len()).rev() {
            for up in edges.upstream(index) {
                paths[up] = paths[up].max(durations[up] + paths[index]);
            }
        }
        paths
    }

    /// Durations with the gaps filled: by the average of the stage, of the kind, of the study, or 1 s.
    fn fill(&self, known: &[Option<f64>]) -> Vec<f64> {
        let mut by_stage: BTreeMap<&str, Mean> = BTreeMap::new();
        let mut by_kind: BTreeMap<&str, Mean> = BTreeMap::new();
        let mut all = Mean::default();
        for (task, seconds) in self.tasks.iter().zip(known) {
            if let Some(seconds) = seconds {
                by_stage.entry(&task.stage).or_default().add(*seconds);
                by_kind.entry(&task.kind).or_default().add(*seconds);
                all.add(*seconds);
            }
        }
        let guess = |task: &Task| {
            let means = [by_stage.get(&*task.stage), by_kind.get(&*task.kind), Some(&all)];
            means.into_iter().flatten().find_map(Mean::get).unwrap_or(1.0)
        };
        self.tasks.iter().zip(known).map(|(task, known)| known.unwrap_or_else(|| guess(task))).collect()
    }
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn get(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Source;
    use crate::study::{Phase, Resources};
    use std::sync::Arc;

    /// Stage and producers of each task.
    fn plan(tasks: &[(&str, &[usize])]) -> Plan {
        let task = |(index, (stage, upstream)): (usize, &(&str, &[usize]))| Task {
            id: format!("{stage}@{index}").into(),
            stage: (*stage).into(),
            phase: Phase::C,
            kind: "command".into(),
            kind_version: 1,
            point: Arc::default(),
            folder: stage.into(),
            params: Arc::default(),
            tuning: Arc::default(),
            seed: None,
            inputs: [(
                "a".into(),
                upstream.iter().map(|u| Source::Task { task: *u, output: "o".into() }).collect(),
            )]
            .into_iter()
            .collect(),
            outputs: Arc::default(),
            env: Arc::default(),
            needs_runtime: false,
            resources: Arc::new(Resources::default()),
            retries: Arc::default(),
            rescue: None,
            resumes: false,
            priority: 0,
        };
        Plan { study: "s".into(), base: "/".into(), tasks: tasks.iter().enumerate().map(task).collect() }
    }

    #[test]
    fn no_less_than_the_longest_path_and_no_less_than_the_work() {
        let plan = plan(&[("a", &[]), ("a", &[]), ("b", &[0]), ("b", &[1])]);
        let past = |task: &Task| match &*task.id {
            "a@0" => Some(10.0),
            "b@2" => Some(4.0),
            _ => None,
        };
        // The second of each stage counts as the first.
        assert_eq!(plan.longest_paths(past), [14.0, 14.0, 4.0, 4.0]);
        let on = |cores| plan.estimate(|_| true, past, cores).unwrap();
        assert_eq!((on(1).seconds, on(2).seconds, on(8).seconds), (28.0, 14.0, 14.0));
        assert_eq!((on(1).tasks, on(1).measured), (4, 2));
        let rest = plan.estimate(|index| index == 3, past, 2).unwrap();
        assert_eq!((rest.seconds, rest.work), (4.0, 4.0));
        assert_eq!(plan.estimate(|_| true, |_| None, 2), None);
        assert_eq!(plan.estimate(|_| false, past, 2), None);
    }
}
