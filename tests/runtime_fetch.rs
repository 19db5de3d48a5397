//! Fetching ONNX Runtime into an empty cache, really, and every way in which that can fail.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use phasegraph::runtime::{self, FetchStep, Origin, PINNED_VERSION, RuntimeError, Search};

#[path = "common/runtime.rs"]
mod common;

/// A machine of its own: a PATH with what the test puts there, an empty cache.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("bin")).unwrap();
        Self { root }
    }

    /// With a program that is this shell script.
    fn with(self, name: &str, script: &str) -> Self {
        let path = self.root.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn search(&self) -> Search {
        Search {
            path: Some(self.root.path().join("bin").into()),
            cache_dir: Some(self.cache()),
            ..Search::default()
        }
    }

    fn cache(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    fn refusal(&self) -> RuntimeError {
        let error = runtime::fetch(&self.search(), &mut |_| {}).expect_err("there is nothing to fetch with");
        let left = names(&self.cache().join("onnxruntime"));
        assert_eq!(left, ["lock"], "nothing half-done stays");
        assert!(error.hint().is_some());
        error
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The real Python of this machine, which the README asks for.
fn python() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|f| f.join("python3")).find(|p| p.is_file()).expect("python3 on PATH")
}

#[test]
fn an_empty_cache_is_filled_once_by_two_at_a_time() {
    let count = "downloads";
    let script = format!(
        "case \"$*\" in *download*) echo x >> \"$(dirname \"$0\")/../{count}\";; esac\nexec '{}' \"$@\"",
        python().display()
    );
    let machine = Machine::new().with("python3", &script);
    // What a killed fetch would leave.
    fs::create_dir_all(machine.cache().join("onnxruntime/.fetching-old/unpacked")).unwrap();

    let steps = Mutex::new(Vec::new());
    let fetch = || runtime::fetch(&machine.search(), &mut |step| steps.lock().unwrap().push(step)).unwrap();
    let (first, second) = std::thread::scope(|scope| {
        let (a, b) = (scope.spawn(fetch), scope.spawn(fetch));
        (a.join().unwrap(), b.join().unwrap())
    });
    assert_eq!(first, second);
    assert_eq!((first.version.as_str(), first.origin), (PINNED_VERSION, Origin::Cache));
    assert_eq!(fs::read_to_string(machine.root.path().join(count)).unwrap(), "x\n", "one download");

    let steps = steps.into_inner().unwrap();
    let position = |wanted: &dyn Fn(&FetchStep) -> bool| steps.iter().position(wanted).unwrap();
    let downloading =
        position(&|s| matches!(s, FetchStep::Downloading { with, .. } if with.ends_with("python3 -m pip")));
    let checking = position(&|s| *s == FetchStep::Checking);
    let whole = position(
        &|s| matches!(s, FetchStep::Unpacking { done, total } if done == total && *total > 20_000_000),
    );
    let done = position(&|s| matches!(s, FetchStep::Done(_)));
    assert!(downloading < checking && checking < whole && whole < done);
    assert!(
        steps.iter().filter(|s| matches!(s, FetchStep::Unpacking { .. })).count() > 20,
        "a bar that moves"
    );

    let folder = first.path.parent().unwrap();
    assert!(names(folder).contains(&"LICENSE".to_owned()));
    assert_eq!(
        names(folder.parent().unwrap()).len(),
        2,
        "the lock and the version: {:?}",
        names(folder.parent().unwrap())
    );

    // From now on it is found at once, and nothing is started.
    let machine = machine.with("python3", "exit 9");
    let start = Instant::now();
    assert_eq!(runtime::locate(&machine.search()).unwrap().as_ref(), Some(&first));
    assert!(start.elapsed() < Duration::from_millis(50), "{:?}", start.elapsed());
    runtime::fetch(&machine.search(), &mut |step| panic!("{step:?}")).unwrap();
}

#[test]
fn offline_says_what_is_missing_and_how_to_get_it() {
    let machine = Machine::new().with("python3", "exit 9");
    let search = Search { offline: true, ..machine.search() };
    let error = runtime::obtain(&search, &mut |step| panic!("{step:?}")).unwrap_err();
    assert!(matches!(error, RuntimeError::Offline), "{error}");
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("ORT_DYLIB_PATH")
            && hint.contains(&format!("pip install onnxruntime=={PINNED_VERSION}"))
    );
    assert_eq!(runtime::version(&search).unwrap(), PINNED_VERSION, "what a fetch would give");
}

#[test]
fn without_pip_every_way_that_was_tried_is_named() {
    let error =
        Machine::new().with("python3", "echo 'No module named pip' >&2; exit 1").refusal().to_string();
    for part in ["python3 -m pip (No module named pip)", "pip3 (not on PATH)", "uv (not on PATH)"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_failing_pip_is_quoted() {
    let script = "case \"$*\" in *--version) exit 0;; esac\necho 'ERROR: no route to index' >&2; exit 3";
    let error = Machine::new().with("pip", script).refusal();
    assert!(matches!(&error, RuntimeError::Download { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("exit status: 3")
            && text.contains("no route to index")
            && text.contains("pip download")
    );
}

#[test]
fn a_pip_that_leaves_nothing_is_an_error() {
    let error = Machine::new().with("uvx", "exit 0").refusal().to_string();
    assert!(error.contains("uvx pip download") && error.contains("left no onnxruntime-"), "{error}");
}

#[test]
fn a_wheel_with_another_digest_is_refused() {
    // Whatever its name, the file that arrives is not the pinned one.
    let script = r#"
        case "$*" in *--version) exit 0;; esac
        while [ $# -gt 0 ]; do
            case "$1" in --dest) dest=$2;; --platform) platform=$2;; onnxruntime==*) version=${1#onnxruntime==};; esac
            shift
        done
        echo changed > "$dest/onnxruntime-$version-cp312-cp312-$platform.whl""#;
    let machine = Machine::new().with("pip3", script);
    let error = machine.refusal();
    let RuntimeError::Digest { expected, actual, .. } = &error else { panic!("{error}") };
    assert_ne!(expected, actual);
    assert!(error.to_string().contains(actual.as_str()));
    assert_eq!(runtime::locate(&machine.search()).unwrap(), None);
}

#[test]
fn what_is_found_describes_itself() {
    let search = Search { ort_dylib_path: Some(common::library()), ..Search::default() };
    let found = runtime::locate(&search).unwrap().unwrap();
    let described = runtime::describe(&found).unwrap();
    assert_eq!(described.version, found.version);
    assert!(described.providers.iter().any(|p| p.name == "CPUExecutionProvider" && p.problem.is_none()));
}
