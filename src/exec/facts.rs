//! What earlier tasks have learnt and later ones are given: facts that stages report, and with how much at a
//! time, and how much memory, a task fitted after memory had run out.
//!
//! Nothing here is in a fingerprint. A file that is lost costs the attempts that were needed to learn it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::io::lines::{self, Appender};
use crate::study::DeviceKind;

/// What decides whether a task will fit again with what it once fitted with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Conditions {
    /// Kind of the stage.
    pub(super) kind: String,
    /// `cpu` or `cuda`.
    pub(super) device: String,
    /// Memory that the study promises, bytes.
    pub(super) memory: Option<u64>,
    /// GPU memory that the study promises, bytes.
    pub(super) gpu_memory: Option<u64>,
    /// Tuning parameters of the study: who changes a chunk size wants to see what it does.
    pub(super) tuning: Value,
    /// Memory of the machine, bytes.
    pub(super) machine: Option<u64>,
}

impl Conditions {
    /// Whether what fitted under these conditions, and no more did, is also the most under `now`.
    fn hold(&self, now: &Self) -> bool {
        // A kernel reserves more or less of the same machine's memory.
        let grown = matches!((self.machine, now.machine), (Some(then), Some(now)) if now > then + then / 20);
        !grown && Self { machine: now.machine, ..self.clone() } == *now
    }
}

/// With what a task is tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Measure {
    /// At most so many units at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chunk: Option<u64>,
    /// Memory limit, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<u64>,
    /// Where it computes instead of where the study has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<DeviceKind>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Fitted {
    task: String,
    stage: String,
    under: Conditions,
    #[serde(flatten)]
    with: Measure,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
enum Line {
    Learnt { kind: String, key: String, value: Value },
    Fitted(Fitted),
}

/// Facts of a study, in an append-only file; the last line about a thing counts.
#[derive(Debug)]
pub(super) struct Facts {
    file: Appender,
    /// Kind → key → value.
    learnt: BTreeMap<String, BTreeMap<String, Value>>,
    /// Stage → its tasks that were rescued, the latest last.
    fitted: BTreeMap<String, Vec<Fitted>>,
}

impl Facts {
    /// Reads the file; one that is missing is empty, and damaged lines are passed over.
    pub(super) fn load(file: &Path) -> io::Result<Self> {
        let mut facts = Self { file: Appender::new(file), learnt: BTreeMap::new(), fitted: BTreeMap::new() };
        lines::each(file, |line| match serde_json::from_slice(line) {
            Ok(Line::Learnt { kind, key, value }) => {
                facts.learnt.entry(kind).or_default().insert(key, value);
            }
            Ok(Line::Fitted(fitted)) => facts.take(fitted),
            // Of a later version.
            Err(_) => {}
        })?;
        Ok(facts)
    }

    /// What stages of a kind have learnt.
    pub(super) fn of_kind(&self, kind: &str) -> BTreeMap<String, Value> {
        self.learnt.get(kind).cloned().unwrap_or_default()
    }

    /// Takes note of a fact.
    pub(super) fn learn(&mut self, kind: &str, key: String, value: Value) -> io::Result<()> {
        let known = self.learnt.entry(kind.to_owned()).or_default();
        if known.get(&key) == Some(&value) {
            return Ok(());
        }
        known.insert(key.clone(), value.clone());
        self.file.push(&Line::Learnt { kind: kind.to_owned(), key, value })
    }

    /// Whether a task of the stage was ever rescued.
    pub(super) fn knows(&self, stage: &str) -> bool {
        self.fitted.contains_key(stage)
    }

    /// With what a task fitted the last time; if it is not known itself, with what the tasks of its stage
    /// did, the smallest chunk and the largest memory of them: the same wall is most likely there.
    pub(super) fn fitting(&self, task: &str, stage: &str, now: &Conditions) -> Option<Measure> {
        let alike: Vec<&Fitted> =
            self.fitted.get(stage)?.iter().filter(|fitted| fitted.under.hold(now)).collect();
        if let Some(own) = alike.iter().rev().find(|fitted| fitted.task == task) {
            return Some(own.with);
        }
        alike.iter().map(|fitted| fitted.with).reduce(|a, b| Measure {
            chunk: a.chunk.into_iter().chain(b.chunk).min(),
            memory: a.memory.max(b.memory),
            device: a.device.or(b.device),
        })
    }

    /// Takes note of a task that was rescued.
    pub(super) fn fit(
        &mut self,
        task: &str,
        stage: &str,
        under: Conditions,
        with: Measure,
    ) -> io::Result<()> {
        let fitted = Fitted { task: task.to_owned(), stage: stage.to_owned(), under, with };
        self.take(fitted.clone());
        self.file.push(&Line::Fitted(fitted))
    }

    fn take(&mut self, fitted: Fitted) {
        let of_stage = self.fitted.entry(fitted.stage.clone()).or_default();
        of_stage.retain(|other| other.task != fitted.task || other.under != fitted.under);
        of_stage.push(fitted);
    }

    /// Writes what was noted.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn conditions(memory: u64, machine: u64) -> Conditions {
        Conditions {
            kind: "infer".to_owned(),
            device: "cpu".to_owned(),
            memory: Some(memory),
            gpu_memory: None,
            tuning: json!({"chunk": 512}),
            machine: Some(machine),
        }
    }

    fn chunk(chunk: u64) -> Measure {
        Measure { chunk: Some(chunk), ..Measure::default() }
    }

    #[test]
    fn facts_survive_a_torn_tail_and_are_for_their_own_kind() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("facts.jsonl");
        let mut facts = Facts::load(&file).unwrap();
        facts.learn("infer", "model a".into(), json!(1.5)).unwrap();
        facts.learn("infer", "model a".into(), json!(2.5)).unwrap();
        facts.learn("infer", "model a".into(), json!(2.5)).unwrap();
        facts.fit("infer@dose=1", "infer", conditions(1, 8), chunk(64)).unwrap();
        facts.flush().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 3, "what is known is not written again");
        std::fs::write(&file, &text[..text.len() - 5]).unwrap();
        let facts = Facts::load(&file).unwrap();
        assert_eq!(facts.of_kind("infer"), [("model a".to_owned(), json!(2.5))].into());
        assert!(facts.of_kind("train").is_empty());
        assert!(!facts.knows("infer"), "its line was torn");
    }

    #[test]
    fn what_fitted_counts_as_long_as_nothing_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let mut facts = Facts::load(&dir.path().join("facts.jsonl")).unwrap();
        let now = conditions(100, 1000);
        facts.fit("a", "infer", now.clone(), chunk(64)).unwrap();
        facts.fit("b", "infer", now.clone(), chunk(16)).unwrap();
        fn fitting(facts: &Facts, task: &str, now: &Conditions) -> Option<u64> {
            facts.fitting(task, "infer", now).and_then(|m| m.chunk)
        }
        assert_eq!(fitting(&facts, "a", &now), Some(64));
        assert_eq!(fitting(&facts, "new", &now), Some(16), "the stage's smallest");
        assert_eq!(fitting(&facts, "a", &conditions(200, 1000)), None, "another limit");
        assert_eq!(fitting(&facts, "a", &conditions(100, 1020)), Some(64));
        assert_eq!(fitting(&facts, "a", &conditions(100, 2000)), None, "a larger machine");
        assert_eq!(fitting(&facts, "a", &Conditions { tuning: json!({"chunk": 8}), ..now.clone() }), None);
        facts.fit("a", "infer", now.clone(), chunk(32)).unwrap();
        facts.flush().unwrap();
        let again = Facts::load(&dir.path().join("facts.jsonl")).unwrap();
        assert_eq!(fitting(&again, "a", &now), Some(32), "the last counts");
        assert_eq!(again.fitting("a", "train", &now), None);
    }
}
