//! The dispatcher against workers that misbehave: shell scripts speak the worker protocol, or fail to.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phasegraph::cache::{Layout, Memory, Surroundings};
use phasegraph::diag::{FailureClass, StageError};
use phasegraph::events::{Event, Listener, Outcome, Record, RunView};
use phasegraph::exec::{self, Capacity, Handle, Interrupt, Options, Summary, TaskState};
use phasegraph::io::digest::Digest;
use phasegraph::plan::{Plan, Source, Task};
use phasegraph::study::{Phase, Resources};
use serde_json::json;

/// A plan of a first task and a second that reads its output, and a third on its own.
fn plan(resources: Resources) -> Plan {
    let task = |id: &str, inputs: Vec<(Arc<str>, Vec<Source>)>| Task {
        id: id.into(),
        stage: id.into(),
        phase: Phase::C,
        kind: "command".into(),
        kind_version: 1,
        point: Arc::default(),
        folder: PathBuf::from(id),
        params: Arc::new(json!({"name": id})),
        tuning: Arc::new(json!({})),
        seed: None,
        inputs: inputs.into_iter().collect(),
        outputs: Arc::new(BTreeMap::from([("out".into(), "out.txt".into())])),
        env: Arc::default(),
        needs_runtime: false,
        resources: Arc::new(resources.clone()),
        retries: Arc::default(),
        priority: 0,
    };
    let from_first = vec![Source::Task { task: 0, output: "out".into() }];
    Plan {
        study: "test".into(),
        base: PathBuf::from("/"),
        tasks: vec![
            task("first", vec![]),
            task("second", vec![("a".into(), from_first)]),
            task("third", vec![]),
        ],
    }
}

#[derive(Default)]
struct Heard(Vec<Event>);

impl Listener for Heard {
    fn hear(&mut self, record: &Record, _: &RunView) {
        self.0.push(record.event.clone());
    }
}

struct Trial {
    folder: tempfile::TempDir,
    plan: Plan,
    keep_going: bool,
    grace: Duration,
}

impl Trial {
    fn new(resources: Resources) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, plan: plan(resources), keep_going: false, grace: Duration::from_millis(300) }
    }

    /// Runs the plan with `script` as every worker; the script sees the job's name as `$name` and its
    /// staging folder as `$staging`.
    fn run(&self, script: &str, started: impl FnOnce(Handle)) -> (Summary, Vec<Event>) {
        let prelude = r#"read -r job; name=$(echo "$job" | sed 's/.*"name":"\([a-z]*\)".*/\1/'); staging=$(echo "$job" | sed 's/.*"staging":"\([^"]*\)".*/\1/'); "#;
        let digest = Digest::of(b"x\n");
        let finish = format!(
            r#"finish() {{ echo x > "$staging/out.txt"; echo '{{"type":"finished","outputs":{{"out":{{"digest":"{digest}","size":2}}}},"peak_memory":null}}'; }}; "#
        );
        let options = Options {
            selected: (0..self.plan.tasks.len()).collect(),
            forced: BTreeSet::new(),
            keep_going: self.keep_going,
            capacity: Capacity { cores: 2, memory: None },
            leases: None,
            worker: ["sh", "-c", &format!("{prelude}{finish}{script}")].map(Into::into).to_vec(),
            host: "test".into(),
            around: Surroundings::default(),
            runtime: Arc::new(|| Err(StageError::new(FailureClass::Runtime, "none"))),
            grace: self.grace,
        };
        let layout = Layout::new(self.folder.path(), "test");
        let mut heard = Heard::default();
        let summary = exec::run(
            &self.plan,
            &layout,
            &options,
            Memory::load(&layout, false).unwrap(),
            &mut heard,
            started,
        )
        .unwrap();
        (summary, heard.0)
    }
}

fn failure(events: &[Event], of: &str) -> (FailureClass, String) {
    let found = events.iter().find_map(|e| match e {
        Event::TaskFailed { task, class, message, .. } if task == of => Some((*class, message.clone())),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{of} did not fail: {events:#?}"))
}

const ALL: [&str; 3] = ["first", "second", "third"];

#[test]
fn good_workers_finish_the_plan_and_its_results_appear() {
    let trial = Trial::new(Resources::default());
    let (summary, events) = trial.run("finish", |_| {});
    assert_eq!(summary.outcome, Outcome::Succeeded);
    for name in ALL {
        let path = trial.folder.path().join("results/test").join(name).join("out.txt");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "x\n");
    }
    // second starts only after first has finished
    let at = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted).unwrap();
    let finished = at(&|e| matches!(e, Event::TaskSucceeded { task, .. } if task == "first"));
    let started = at(&|e| matches!(e, Event::TaskStarted { task, .. } if task == "second"));
    assert!(finished < started);
    let (summary, _) = trial.run("exit 9", |_| {});
    assert_eq!(summary.states, [Some(TaskState::Cached); 3]);
}

#[test]
fn a_worker_that_dies_is_an_outcome_and_not_the_end_of_the_run() {
    for (script, class, words) in [
        ("kill -9 $$", FailureClass::Signal, "signal SIGKILL"),
        ("kill -SEGV $$", FailureClass::Signal, "signal SIGSEGV"),
        ("exit 3", FailureClass::Signal, "code 3 without a result"),
        ("echo garbage; exit 0", FailureClass::Signal, "code 0 without a result"),
        (
            r#"echo '{"type":"failed","error":{"class":"check","message":"loss is NaN","hint":null}}'"#,
            FailureClass::Check,
            "loss is NaN",
        ),
    ] {
        let mut trial = Trial::new(Resources::default());
        trial.keep_going = true;
        let (summary, events) =
            trial.run(&format!("if [ $name = first ]; then {script}; else finish; fi"), |_| {});
        assert_eq!(summary.outcome, Outcome::Failed);
        let (got, message) = failure(&events, "first");
        assert_eq!(got, class, "{script}");
        assert!(message.contains(words), "{script}: {message}");
        let states = [TaskState::Failed, TaskState::Blocked, TaskState::Succeeded].map(Some);
        assert_eq!(summary.states, states, "{script}");
    }
}

#[test]
fn without_keep_going_nothing_new_starts_after_a_failure() {
    let mut trial = Trial::new(Resources { cores: 2, ..Resources::default() });
    trial.keep_going = false;
    let (summary, _) = trial.run("exit 1", |_| {});
    let states = [TaskState::Failed, TaskState::Blocked, TaskState::Cancelled].map(Some);
    assert_eq!(summary.states, states);
}

#[test]
fn a_task_past_its_time_is_ended_with_its_children() {
    let trial = Trial::new(Resources { time_s: Some(0.2), ..Resources::default() });
    let marker = trial.folder.path().join("grandchild").display().to_string();
    let script = format!("if [ $name = first ]; then (sleep 2; touch {marker}) & sleep 60; else finish; fi");
    let begin = Instant::now();
    let (_, events) = trial.run(&script, |_| {});
    assert!(begin.elapsed() < Duration::from_secs(20));
    let (class, message) = failure(&events, "first");
    assert_eq!(class, FailureClass::Timeout);
    assert!(message.contains("0.2 s"), "{message}");
    std::thread::sleep(Duration::from_secs(3));
    assert!(!std::path::Path::new(&marker).exists(), "the grandchild outlived its task");
}

#[test]
fn an_interrupt_ends_stubborn_workers_and_keeps_what_was_done() {
    let trial = Trial::new(Resources::default());
    let script = r#"if [ $name = third ]; then finish; else trap "" TERM; sleep 60 & wait; sleep 60; fi"#;
    let begin = Instant::now();
    let (summary, _) = trial.run(script, |handle| {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(700));
            handle.interrupt(Interrupt::Gently);
        });
    });
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!(summary.outcome, Outcome::Interrupted);
    let states = [TaskState::Cancelled, TaskState::Cancelled, TaskState::Succeeded].map(Some);
    assert_eq!(summary.states, states);
}

#[test]
fn a_missing_input_fails_its_task_only() {
    let mut trial = Trial::new(Resources::default());
    trial.keep_going = true;
    let source = Source::File { path: PathBuf::from("/nowhere/x.npz").into() };
    trial.plan.tasks[0].inputs = [("data".into(), vec![source])].into_iter().collect();
    let (summary, events) = trial.run("finish", |_| {});
    let (class, message) = failure(&events, "first");
    assert_eq!(class, FailureClass::Input);
    assert!(message.contains("/nowhere/x.npz"), "{message}");
    assert_eq!(summary.states[2], Some(TaskState::Succeeded));
}
