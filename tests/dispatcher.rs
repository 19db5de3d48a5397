//! The dispatcher against workers that misbehave: shell scripts speak the worker protocol, or fail to.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use phasegraph::cache::{History, Layout, Memory, Store, Surroundings};
use phasegraph::diag::{FailureClass, StageError};
use phasegraph::events::{Event, GpuProcess, GpuRoom, Listener, Outcome, Record, RunView};
use phasegraph::exec::{
    self, Capacity, Gpu, GpuWatch, Handle, Interrupt, Leases, Options, Summary, TaskState,
};
use phasegraph::io::digest::Digest;
use phasegraph::plan::{Plan, Source, Task, TaskSet};
use phasegraph::study::{DeviceKind, Grow, Halve, Phase, Rescue, Resources, Retries, Retry};
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
        rescue: None,
        resumes: false,
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
    /// Where leases on a GPU are kept, if there is one.
    leases: Option<PathBuf>,
    gpu_watch: GpuWatch,
}

fn leases(dir: &std::path::Path) -> Leases {
    Leases::open(dir, vec![Gpu::numbered(0)], "test").unwrap()
}

impl Trial {
    fn new(resources: Resources) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            plan: plan(resources),
            keep_going: false,
            grace: Duration::from_millis(300),
            leases: None,
            gpu_watch: GpuWatch::default(),
        }
    }

    /// Runs the plan with `script` as every worker; the script sees the job's name as `$name` and its
    /// staging folder as `$staging`.
    fn run(&self, script: &str, started: impl FnOnce(Handle)) -> (Summary, Vec<Event>) {
        self.go(script, TaskSet::new(), started)
    }

    /// The same with every task, whatever the store holds.
    fn run_forced(&self, script: &str) -> (Summary, Vec<Event>) {
        self.go(script, (0..self.plan.tasks.len()).collect(), |_| {})
    }

    fn go(&self, script: &str, forced: TaskSet, started: impl FnOnce(Handle)) -> (Summary, Vec<Event>) {
        let prelude = r#"read -r job; name=$(echo "$job" | sed 's/.*"name":"\([a-z]*\)".*/\1/'); staging=$(echo "$job" | sed 's/.*"staging":"\([^"]*\)".*/\1/'); "#;
        let digest = Digest::of(b"x\n");
        let finish = format!(
            r#"finish() {{ echo x > "$staging/out.txt"; echo '{{"type":"finished","outputs":{{"out":{{"digest":"{digest}","size":2}}}},"peak_memory":null}}'; }}; "#
        );
        let options = Options {
            selected: (0..self.plan.tasks.len()).collect(),
            forced,
            keep_going: self.keep_going,
            capacity: Capacity { cores: 2, memory: None },
            leases: self.leases.clone().map(|dir| leases(&dir)),
            gpu_watch: self.gpu_watch.clone(),
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
            Memory {
                store: Store::open(layout.store(), false).unwrap(),
                history: History::load(&layout.history()).unwrap(),
                lock: None,
            },
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

const ONCE_MORE: Retry = Retry { times: 1, wait_s: 0.0, factor: 1.0, longest_s: 0.0 };

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

/// Fails for want of memory unless the job's chunk is at most 16.
const HUNGRY: &str = r#"
    chunk=$(echo "$job" | sed -n 's/.*"chunk":\([0-9]*\).*/\1/p'); chunk=${chunk:-100}
    echo '{"type":"report","report":"chunk","size":'$chunk',"unit":"groups","predicted_peak":null}'
    echo '{"type":"report","report":"learnt","key":"bytes_per_group","value":7}'
    if [ $chunk -gt 16 ]; then echo '{"type":"failed","error":{"class":"out_of_memory","message":"no more","hint":null},"peak_memory":1048576}'; else finish; fi
"#;

fn chunks(events: &[Event], of: &str) -> Vec<u64> {
    let chunk = |event: &Event| match event {
        Event::TaskChunk { task, size, .. } if task == of => Some(*size),
        _ => None,
    };
    events.iter().filter_map(chunk).collect()
}

#[test]
fn a_stage_that_tells_its_chunk_is_rescued_and_later_ones_begin_with_what_fitted() {
    let trial = Trial::new(Resources { cores: 2, ..Resources::default() });
    let script = format!("if [ $name = second ]; then finish; else {HUNGRY} fi");
    let (summary, events) = trial.run(&script, |_| {});
    assert_eq!(summary.outcome, Outcome::Succeeded);
    assert_eq!(chunks(&events, "first"), [100, 50, 25, 12]);
    assert_eq!(summary.view.rescued, 2);
    let attempts = &summary.view.tasks["first"].attempts;
    let told: Vec<_> = attempts.iter().map(|a| (a.attempt, a.had.chunk, a.failure)).collect();
    let oom = Some(FailureClass::OutOfMemory);
    assert_eq!(told, [(1, Some(100), oom), (2, Some(50), oom), (3, Some(25), oom), (4, Some(12), None)]);
    assert_eq!(attempts[0].had.peak, Some(1 << 20));

    // Another run of the same tasks, and one that finds what was learnt.
    let again = format!(r#"echo "$job" | grep -q '"bytes_per_group":7' || exit 5; {script}"#);
    let (summary, events) = trial.run_forced(&again);
    assert_eq!(summary.outcome, Outcome::Succeeded, "{events:?}");
    assert_eq!(chunks(&events, "first"), [12]);
    assert_eq!(summary.view.rescued, 0);
}

#[test]
fn at_the_floor_the_failure_tells_what_was_tried() {
    let mut trial = Trial::new(Resources { cores: 2, ..Resources::default() });
    trial.keep_going = true;
    let halve = Some(Halve { name: "chunk".into(), floor: 40 });
    for task in &mut trial.plan.tasks {
        task.rescue = Some(Arc::new(Rescue { halve: halve.clone(), ..Rescue::none() }));
        task.retries = Arc::new(Retries([(FailureClass::OutOfMemory, ONCE_MORE)].into()));
    }
    let (summary, events) =
        trial.run(&format!("if [ $name = first ]; then {HUNGRY} else finish; fi"), |_| {});
    assert_eq!(chunks(&events, "first"), [100, 50, 40, 40], "`retries` comes after the rescue");
    let (class, message) = failure(&events, "first");
    assert_eq!(class, FailureClass::OutOfMemory);
    let line = |n: u32, chunk: u32| format!("\n  attempt {n}: {chunk} groups at a time, peak 1 MiB");
    let lines = [(1, 100), (2, 50), (3, 40), (4, 40)].map(|(n, chunk)| line(n, chunk)).concat();
    assert_eq!(message, format!("no more\nnothing is left to try:{lines}"));
    assert_eq!(summary.states[2], Some(TaskState::Succeeded), "the run goes on");
    // Switched off, and nothing to halve.
    let silent = HUNGRY.replace(r#""report":"chunk""#, r#""report":"log","message":"""#);
    for (rescue, script) in [(Some(Rescue::none()), HUNGRY), (None, silent.as_str())] {
        let mut trial = Trial::new(Resources::default());
        trial.plan.tasks[0].rescue = rescue.map(Arc::new);
        let (_, events) = trial.run(&format!("if [ $name = first ]; then {script} else finish; fi"), |_| {});
        assert!(!events.iter().any(|e| matches!(e, Event::TaskRetried { .. })), "{events:?}");
        assert_eq!(failure(&events, "first").1, "no more");
    }
}

#[test]
fn memory_grows_when_there_is_nothing_to_halve() {
    let mut trial = Trial::new(Resources { memory: Some(1 << 20), ..Resources::default() });
    let memory = Some(Grow { factor: 3.0, most: Some(5 << 20) });
    trial.plan.tasks[0].rescue = Some(Arc::new(Rescue { memory, ..Rescue::none() }));
    let script = r#"if [ $name != first ] || echo "$job" | grep -q '"memory":5242880'; then finish; else
        echo '{"type":"failed","error":{"class":"out_of_memory","message":"no","hint":null},"peak_memory":null}'; fi"#;
    let (summary, events) = trial.run(script, |_| {});
    assert_eq!(summary.outcome, Outcome::Succeeded, "{events:?}");
    let limits: Vec<_> = summary.view.tasks["first"].attempts.iter().map(|a| a.had.memory).collect();
    assert_eq!(limits, [1 << 20, 3 << 20, 5 << 20].map(Some));
    let (summary, _) = trial.run_forced(script);
    assert!(summary.view.tasks["first"].attempts.is_empty(), "it begins with what fitted");
}

#[test]
fn who_has_the_gpu_is_waited_for_before_less_is_tried() {
    let mut trial = Trial::new(Resources { device: DeviceKind::Cuda, gpus: 1, ..Resources::default() });
    trial.plan.tasks.truncate(1);
    trial.leases = Some(trial.folder.path().join("leases"));
    let gone = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&gone);
    // Another process has three quarters of the GPU until it is gone.
    let look = move |gpu: &str| {
        let process = GpuProcess { pid: 4711, bytes: 60 << 30, ours: Some(false) };
        let processes = if seen.load(Ordering::SeqCst) { vec![] } else { vec![process] };
        let (total, gpu) = (80 << 30, gpu.to_owned());
        Some(GpuRoom { gpu, total, used: 0, free: 0, processes })
    };
    trial.gpu_watch = GpuWatch { look: Arc::new(look), wait: Duration::from_millis(100) };
    let marker = trial.folder.path().join("gone").display().to_string();
    let script = HUNGRY.replace("-gt 16", &format!("-gt 40 ] || ! [ -e {marker} "));
    let watched = marker.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(250));
        gone.store(true, Ordering::SeqCst);
        std::fs::write(watched, "").unwrap();
    });
    let (summary, events) = trial.run(&script, |_| {});
    assert_eq!(summary.outcome, Outcome::Succeeded, "{events:?}");
    let chunks = chunks(&events, "first");
    let whole = chunks.iter().take_while(|chunk| **chunk == 100).count();
    assert!((3..=4).contains(&whole), "as it is while it is waited, and once more: {chunks:?}");
    assert_eq!(chunks[whole..], [50, 25]);
    let waits: Vec<f64> = events
        .iter()
        .filter_map(|e| match e {
            Event::TaskRetried { wait, message, .. } if *wait > 0.0 => {
                assert!(message.contains("process 4711 has 60.0 GiB of 80.0 GiB on GPU 0"), "{message}");
                Some(*wait)
            }
            _ => None,
        })
        .collect();
    assert_eq!(waits[..2], [0.1, 0.2]);
}

#[test]
fn checkpoints_are_there_for_the_next_attempt_and_the_next_run() {
    let mut trial = Trial::new(Resources { cores: 2, ..Resources::default() });
    trial.keep_going = true;
    trial.plan.tasks[0].resumes = true;
    trial.plan.tasks[2].resumes = true;
    trial.plan.tasks[0].retries = Arc::new(Retries([(FailureClass::Signal, ONCE_MORE)].into()));
    let script = r#"step=$(cat "$staging/step" 2>/dev/null || echo 0); echo $((step + 1)) > "$staging/step"
        if [ $name = second ] || [ $step = WHOLE ]; then finish; else kill -9 $$; fi"#;
    let run = |whole: u32| trial.run(&script.replace("WHOLE", &whole.to_string()), |_| {}).0;
    assert_eq!(run(3).states, [TaskState::Failed, TaskState::Blocked, TaskState::Failed].map(Some));
    let kept = |task: &str| trial.folder.path().join("runs/test/checkpoints").join(task).exists();
    assert!(kept("first") && kept("third") && !kept("second"));
    // Two attempts in the first run and two in the second: the fourth finds three.
    let states = run(3).states;
    assert_eq!(states, [TaskState::Succeeded, TaskState::Succeeded, TaskState::Failed].map(Some));
    assert!(!kept("first") && kept("third"));
    assert_eq!(run(2).states[2], Some(TaskState::Succeeded));
    assert!(!kept("third"));
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
