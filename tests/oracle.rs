//! Random graphs, random edits: what runs again must be what a naive oracle says.
//!
//! The oracle knows nothing of fingerprints, stores or stamps. It computes every output itself, and holds
//! that a task runs exactly when nobody has computed the same from the same bytes before.
//!
//! More cases: `PROPTEST_CASES=500 cargo test --test oracle`.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use common::TestEnvironment;
use proptest::prelude::*;

/// What a task does with its inputs. `Length` forgets most of them, so a rerun often gives the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Join,
    Length,
}

#[derive(Debug, Clone)]
struct Task {
    operation: Operation,
    /// A parameter that enters the output.
    salt: u8,
    /// Sources by number.
    sources: Vec<usize>,
    /// Earlier tasks by number.
    upstream: Vec<usize>,
}

#[derive(Debug, Clone)]
enum Edit {
    /// Writes a source; the same text again is a `touch`.
    Source {
        which: usize,
        text: u8,
    },
    /// Writes other bytes of the same length and puts the old times back.
    Stealthily {
        which: usize,
        text: u8,
    },
    Salt {
        which: usize,
        salt: u8,
    },
    Operation {
        which: usize,
    },
    /// Lets a task read one source less or more.
    Input {
        which: usize,
        source: usize,
    },
    /// Deletes a result that people see.
    Hide {
        which: usize,
    },
    /// Flips a bit in an object of the store.
    Damage {
        which: usize,
    },
    Nothing,
}

const SOURCES: usize = 3;

fn tasks() -> impl Strategy<Value = Vec<Task>> {
    let operation = prop_oneof![Just(Operation::Join), Just(Operation::Length)];
    let one = (
        operation,
        0..3u8,
        prop::collection::vec(0..SOURCES, 0..=2),
        prop::collection::vec(any::<prop::sample::Index>(), 0..=2),
    );
    prop::collection::vec(one, 2..8).prop_map(|raw| {
        let make = |(number, (operation, salt, mut sources, upstream)): (usize, (_, _, Vec<_>, Vec<_>))| {
            let upstream: BTreeSet<usize> = match number {
                0 => BTreeSet::new(),
                _ => upstream.iter().map(|i: &prop::sample::Index| i.index(number)).collect(),
            };
            sources.sort_unstable();
            sources.dedup();
            Task { operation, salt, sources, upstream: upstream.into_iter().collect() }
        };
        raw.into_iter().enumerate().map(make).collect()
    })
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let task = 0..8usize;
    let one = prop_oneof![
        3 => (0..SOURCES, 0..3u8).prop_map(|(which, text)| Edit::Source { which, text }),
        1 => (0..SOURCES, 0..3u8).prop_map(|(which, text)| Edit::Stealthily { which, text }),
        2 => (task.clone(), 0..3u8).prop_map(|(which, salt)| Edit::Salt { which, salt }),
        1 => task.clone().prop_map(|which| Edit::Operation { which }),
        1 => (task.clone(), 0..SOURCES).prop_map(|(which, source)| Edit::Input { which, source }),
        1 => task.clone().prop_map(|which| Edit::Hide { which }),
        1 => task.prop_map(|which| Edit::Damage { which }),
        1 => Just(Edit::Nothing),
    ];
    prop::collection::vec(one, 1..6)
}

fn text(number: u8) -> String {
    format!("text {number}\n")
}

fn study(tasks: &[Task]) -> String {
    let mut yaml = String::from("version: 1\nstudy: random\nstages:\n");
    for (number, task) in tasks.iter().enumerate() {
        let sources = task.sources.iter().map(|s| format!("s{s}: {{file: source{s}.txt}}"));
        let upstream = task.upstream.iter().map(|u| format!("t{u}: t{u}.out"));
        let inputs: Vec<String> = sources.chain(upstream).collect();
        let places = task.sources.iter().map(|s| format!("s{s}"));
        let places = places.chain(task.upstream.iter().map(|u| format!("t{u}")));
        let arguments: String = places.map(|p| format!(", \"{{input.{p}}}\"")).collect();
        let script = match task.operation {
            Operation::Join => "salt=$0; (echo $salt; cat \"$@\" < /dev/null) > out",
            Operation::Length => "salt=$0; (echo $salt; cat \"$@\" < /dev/null | wc -c | tr -d \" \") > out",
        };
        let _ = write!(
            yaml,
            "  t{number}:\n    phase: C\n    kind: command\n    inputs: {{{}}}\n    outputs: {{out: out}}\n    \
             params: {{argv: [sh, -c, '{script}', \"{}\"{arguments}]}}\n",
            inputs.join(", "),
            task.salt
        );
    }
    yaml
}

/// Everything that decides a task's output.
type Work = (Operation, u8, Vec<(String, Vec<u8>)>);

/// Computes every output, and adds what must be computed to `done`; returns the outputs and who computes.
fn expect(tasks: &[Task], sources: &[u8], done: &mut BTreeSet<Work>) -> (Vec<Vec<u8>>, BTreeSet<String>) {
    let mut outputs: Vec<Vec<u8>> = Vec::new();
    let mut run = BTreeSet::new();
    for (number, task) in tasks.iter().enumerate() {
        let files = task.sources.iter().map(|s| (format!("s{s}"), text(sources[*s]).into_bytes()));
        let made = task.upstream.iter().map(|u| (format!("t{u}"), outputs[*u].clone()));
        let inputs: Vec<(String, Vec<u8>)> = files.chain(made).collect();
        let all: Vec<u8> = inputs.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let body = match task.operation {
            Operation::Join => all,
            Operation::Length => format!("{}\n", all.len()).into_bytes(),
        };
        outputs.push([format!("{}\n", task.salt).into_bytes(), body].concat());
        if done.insert((task.operation, task.salt, inputs)) {
            run.insert(format!("t{number}"));
        }
    }
    (outputs, run)
}

struct World {
    env: TestEnvironment,
    tasks: Vec<Task>,
    sources: Vec<u8>,
    done: BTreeSet<Work>,
}

impl World {
    fn new(tasks: Vec<Task>) -> Self {
        let world =
            Self { env: TestEnvironment::new(), tasks, sources: vec![0; SOURCES], done: BTreeSet::new() };
        (0..SOURCES).for_each(|s| world.env.write(&format!("source{s}.txt"), &text(0)));
        world
    }

    fn shown(&self, task: usize) -> std::path::PathBuf {
        self.env.path(&format!("phasegraph-out/results/random/t{task}/out"))
    }

    /// Makes an edit; returns works whose stored output is spoiled by it.
    fn edit(&mut self, edit: &Edit) {
        let count = self.tasks.len();
        match *edit {
            Edit::Source { which, text: number } => {
                self.env.write(&format!("source{which}.txt"), &text(number));
                self.sources[which] = number;
            }
            Edit::Stealthily { which, text: number } => {
                let path = self.env.path(&format!("source{which}.txt"));
                let before = std::fs::metadata(&path).unwrap().modified().unwrap();
                self.env.write(&format!("source{which}.txt"), &text(number));
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(before).unwrap();
                self.sources[which] = number;
            }
            Edit::Salt { which, salt } => self.tasks[which % count].salt = salt,
            Edit::Operation { which } => {
                let task = &mut self.tasks[which % count];
                task.operation = match task.operation {
                    Operation::Join => Operation::Length,
                    Operation::Length => Operation::Join,
                };
            }
            Edit::Input { which, source } => {
                let sources = &mut self.tasks[which % count].sources;
                match sources.iter().position(|s| *s == source) {
                    Some(at) => drop(sources.remove(at)),
                    None => {
                        sources.push(source);
                        sources.sort_unstable();
                    }
                }
            }
            Edit::Hide { which } => drop(std::fs::remove_file(self.shown(which % count))),
            Edit::Damage { which } => self.damage(which % count),
            Edit::Nothing => {}
        }
    }

    /// Flips a bit of the object behind a result. Whoever's output had those bytes must compute again.
    fn damage(&mut self, which: usize) {
        use std::os::unix::fs::PermissionsExt;
        let shown = self.shown(which);
        let Ok(mut bytes) = std::fs::read(&shown) else { return };
        let spoiled = bytes.clone();
        bytes[0] ^= 1;
        std::fs::set_permissions(&shown, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(&shown, bytes).unwrap();
        self.done.retain(|(operation, salt, inputs)| {
            let all: Vec<u8> = inputs.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
            let body = match operation {
                Operation::Join => all,
                Operation::Length => format!("{}\n", all.len()).into_bytes(),
            };
            [format!("{salt}\n").into_bytes(), body].concat() != spoiled
        });
    }

    /// Plans and runs; both must agree with the oracle.
    fn check(&mut self, after: &str) -> Result<(), TestCaseError> {
        self.env.write("study.yaml", &study(&self.tasks));
        let planned = self.env.ok(&["plan", "study.yaml", "--json"]).stdout;
        let planned: serde_json::Value = serde_json::from_str(&planned).unwrap();
        let (outputs, run) = expect(&self.tasks, &self.sources, &mut self.done);
        for task in planned["tasks"].as_array().unwrap() {
            let id = task["id"].as_str().unwrap();
            match task["outlook"]["state"].as_str().unwrap() {
                // Of two tasks that would do the same the plan does not know yet which will.
                "cached" => prop_assert!(!run.contains(id), "{after}: {id} was planned as cached"),
                "run" => prop_assert!(
                    run.iter().any(|r| self.same(r, id)),
                    "{after}: {id} was planned to run, expected {run:?}"
                ),
                "awaits_upstream" => {}
                other => prop_assert!(false, "{after}: {id} is {other}"),
            }
        }
        let states = self.env.states(&["run", "study.yaml", "--json", "-j2"]);
        let ran: BTreeMap<&str, &str> = states.iter().map(|s| s.split_once(' ').unwrap()).collect();
        let really: BTreeSet<String> =
            ran.iter().filter(|(_, state)| **state == "succeeded").map(|(t, _)| (*t).to_owned()).collect();
        prop_assert_eq!(really.len(), run.len(), "{}: ran {:?}, expected {:?}", after, really, run);
        for task in &run {
            // Of two tasks that do the same, either may do it.
            let found = really.iter().any(|r| self.same(r, task));
            prop_assert!(found, "{after}: {task} should have run, not {really:?}");
        }
        for (number, bytes) in outputs.iter().enumerate() {
            prop_assert_eq!(
                &std::fs::read(self.shown(number)).unwrap(),
                bytes,
                "{}: output of t{}",
                after,
                number
            );
        }
        Ok(())
    }

    fn same(&self, a: &str, b: &str) -> bool {
        a == b || self.work(a) == self.work(b)
    }

    /// What a task computes now, by its name.
    fn work(&self, name: &str) -> Work {
        let number: usize = name[1..].parse().unwrap();
        let (outputs, _) = expect(&self.tasks, &self.sources, &mut BTreeSet::new());
        let task = &self.tasks[number];
        let files = task.sources.iter().map(|s| (format!("s{s}"), text(self.sources[*s]).into_bytes()));
        let made = task.upstream.iter().map(|u| (format!("t{u}"), outputs[*u].clone()));
        (task.operation, task.salt, files.chain(made).collect())
    }
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_runs_again_is_what_the_oracle_says((tasks, edits) in (tasks(), edits())) {
        let mut world = World::new(tasks);
        world.check("at first")?;
        for edit in &edits {
            world.edit(edit);
            world.check(&format!("{edit:?}"))?;
        }
    }
}
