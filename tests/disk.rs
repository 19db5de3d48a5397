//! Disks that fail: full, read-only, errors of single calls, damaged and foreign files. Whatever happens, the
//! error says what and where, nothing that was good is lost, and the next run gets through.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Ran, TestEnvironment};
use phasegraph::events::{RunView, read};

const STUDY: &str = r#"version: 1
study: disk
axes:
  n: [1, 2]
stages:
  make:
    phase: C
    kind: command
    over: [n]
    inputs: {base: {file: base.txt}}
    outputs: {number: number.txt}
    params: {argv: [sh, -c, 'expr $(cat "$1") + "$2" > number.txt', sh, "{input.base}", "{axis.n}"]}
  sum:
    phase: G
    kind: command
    inputs: {parts: make.number}
    outputs: {total: total.txt}
    params: {argv: [sh, -c, 'cat "$@" > total.txt', sh, "{input.parts}"]}
"#;

const TOTAL: &str = "phasegraph-out/results/disk/sum/total.txt";

fn study() -> TestEnvironment {
    let env = TestEnvironment::new();
    env.write("study.yaml", STUDY);
    env.write("base.txt", "10\n");
    env
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found.sort();
    found
}

/// Every operation, failing from its N-th call on, in orchestrator and workers alike.
#[test]
fn any_call_may_fail_and_the_next_run_gets_through() {
    let operations = ["sync", "sync_dir", "rename", "append", "write", "create_dir", "link"];
    let mut failed = 0;
    for operation in operations {
        for calls in [0, 1, 2, 4, 7] {
            // No space left on device; input/output error.
            for code in [28, 5] {
                let env = study();
                let faults = format!("{operation}:{calls}:{code}");
                let output = env
                    .command(&["run", "study.yaml", "-j1"])
                    .env("PHASEGRAPH_FAULTS", &faults)
                    .output()
                    .unwrap();
                let stderr = String::from_utf8(output.stderr).unwrap();
                match output.status.code() {
                    Some(0) => {}
                    // The store or the journal could not be written, or a stage could not write its output.
                    Some(5 | 1) => {
                        failed += 1;
                        let words = if code == 28 { "No space left" } else { "Input/output error" };
                        assert!(stderr.contains(words), "{faults}: {stderr}");
                        assert!(stderr.contains(&env.path("").display().to_string()), "{faults}: {stderr}");
                    }
                    other => panic!("{faults}: ended with {other:?}: {stderr}"),
                }
                env.ok(&["plan", "study.yaml"]);
                env.ok(&["run", "study.yaml"]);
                assert_eq!(env.read(TOTAL), "11\n12\n", "{faults}");
                let states = env.states(&["run", "study.yaml", "--json", "--verify"]);
                assert!(states.iter().all(|s| s.ends_with(" cached")), "{faults}: {states:?}");
            }
        }
    }
    assert!(failed >= 20, "only {failed} of the faults were met");
}

/// Runs a script as root of a name space of its own, with a small disk at `$DISK`; `None` where the system
/// does not allow that.
fn with_disk(env: &TestEnvironment, size: &str, script: &str) -> Option<Ran> {
    let allowed = Command::new("unshare").args(["-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !allowed.is_ok_and(|o| o.status.success()) {
        eprintln!("NOT TESTED: this system lets nobody mount a disk in a name space of their own");
        return None;
    }
    let disk = env.path("disk");
    std::fs::create_dir_all(&disk).unwrap();
    let whole = format!(
        "set -u; mount -t tmpfs -o size={size} tmpfs \"$DISK\" && cd \"$DISK\" && cp ../study.yaml ../base.txt . && {script}"
    );
    let output = Command::new("unshare")
        .args(["-Urm", "sh", "-c", &whole])
        .env("DISK", &disk)
        .env("PHASEGRAPH", env!("CARGO_BIN_EXE_phasegraph"))
        .current_dir(env.path(""))
        .output()
        .unwrap();
    Some(Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    })
}

#[test]
fn a_full_disk_stops_the_run_and_space_lets_it_go_on() {
    let env = study();
    let big = STUDY
        .replace("cat \"$@\" > total.txt", "cat \"$@\" > total.txt; head -c 6000000 /dev/zero >> total.txt");
    env.write("study.yaml", &big);
    let script = "$PHASEGRAPH run study.yaml; echo full=$?; mount -o remount,size=64m \"$DISK\"; \
                  $PHASEGRAPH resume study.yaml --json > end.json; echo again=$?; \
                  grep -c '\"state\": \"cached\"' end.json; head -c 6 phasegraph-out/results/disk/sum/total.txt";
    let Some(ran) = with_disk(&env, "5m", script) else { return };
    assert!(ran.stdout.contains("full=1") || ran.stdout.contains("full=5"), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("No space left on device"), "{}", ran.stderr);
    assert!(ran.stdout.ends_with("again=0\n2\n11\n12\n"), "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn a_read_only_folder_is_refused_and_may_still_be_looked_at() {
    let env = study();
    let script = "$PHASEGRAPH run study.yaml --quiet; mount -o remount,ro \"$DISK\"; \
                  $PHASEGRAPH plan study.yaml; echo plan=$?; $PHASEGRAPH status study.yaml; echo status=$?; \
                  $PHASEGRAPH run study.yaml; echo run=$?; mount -o remount,rw \"$DISK\"; \
                  $PHASEGRAPH run study.yaml; echo again=$?";
    let Some(ran) = with_disk(&env, "16m", script) else { return };
    let all = format!("{}\n{}", ran.stdout, ran.stderr);
    for words in ["3 tasks: 3 cached", "plan=0", "status=0", "run=5", "Read-only file system", "again=0"] {
        assert!(ran.stdout.contains(words) || ran.stderr.contains(words), "`{words}` is not in:\n{all}");
    }
}

#[test]
fn a_journal_cut_anywhere_can_be_told_and_resumed() {
    let env = study();
    env.ok(&["run", "study.yaml"]);
    let journal = files(&env.path("phasegraph-out/runs/disk"))
        .into_iter()
        .find(|p| p.ends_with("journal.jsonl"))
        .unwrap();
    let whole = std::fs::read(&journal).unwrap();
    let all = read(&journal).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&journal, &whole[..cut]).unwrap();
        let kept = read(&journal).unwrap();
        let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
        assert!(kept.len() >= lines && kept == all[..kept.len()], "cut at {cut}");
        let ended = RunView::of(&kept).outcome.is_some();
        assert_eq!(ended, kept.len() == all.len(), "cut at {cut}");
    }
    for cut in (0..whole.len()).step_by(whole.len() / 25) {
        std::fs::write(&journal, &whole[..cut]).unwrap();
        let status = env.ok(&["status", "study.yaml"]).stdout;
        assert!(status.contains("died before it could end"), "cut at {cut}: {status}");
    }
    env.ok(&["resume", "study.yaml"]);
    // Damage in the middle is no torn tail.
    let mut bad = whole.clone();
    bad[whole.len() / 2] ^= 4;
    let last =
        files(&env.path("phasegraph-out/runs/disk")).into_iter().rfind(|p| p.ends_with("journal.jsonl"));
    std::fs::write(last.unwrap(), bad).unwrap();
    let ran = env.run(&["status", "study.yaml"]);
    assert_eq!(ran.code, Some(5));
    assert!(ran.stderr.contains("is damaged at line"), "{}", ran.stderr);
    env.ok(&["run", "study.yaml"]);
}

/// A flipped bit in any file of the store or the history costs recomputation, never a wrong result.
#[test]
fn a_flipped_bit_anywhere_is_noticed_or_harmless() {
    let env = study();
    env.ok(&["run", "study.yaml"]);
    let count = files(&env.path("phasegraph-out/store")).len();
    for which in 0..count + 1 {
        for place in [0.1, 0.5, 0.9] {
            let all = files(&env.path("phasegraph-out/store"));
            let history = env.path("phasegraph-out/runs/disk/history.jsonl");
            let path = all.get(which).unwrap_or(&history);
            if path.ends_with("format") || path.ends_with("lock") {
                continue;
            }
            let mut bytes = std::fs::read(path).unwrap();
            let at = (bytes.len() as f64 * place) as usize;
            bytes[at] ^= 2;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
            std::fs::write(path, bytes).unwrap();
            env.ok(&["run", "study.yaml"]);
            assert_eq!(env.read(TOTAL), "11\n12\n", "bit {at} of {}", path.display());
            let states = env.states(&["run", "study.yaml", "--json"]);
            assert!(states.iter().all(|s| s.ends_with(" cached")), "{}: {states:?}", path.display());
        }
    }
}

#[test]
fn accelerators_can_be_lost() {
    let env = study();
    env.ok(&["run", "study.yaml"]);
    for name in ["index.jsonl", "stat.jsonl"] {
        let path = env.path("phasegraph-out/store").join(name);
        std::fs::remove_file(&path).unwrap();
        let states = env.states(&["run", "study.yaml", "--json"]);
        assert!(states.iter().all(|s| s.ends_with(" cached")), "without {name}: {states:?}");
        assert!(path.exists(), "{name} is made again");
    }
}

#[test]
fn a_store_from_a_newer_version_is_refused_and_left_alone() {
    let env = study();
    env.ok(&["run", "study.yaml"]);
    let format = env.path("phasegraph-out/store/format");
    std::fs::set_permissions(&format, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&format, "99\n").unwrap();
    for command in ["plan", "run", "resume"] {
        let ran = env.run(&[command, "study.yaml"]);
        assert_eq!(ran.code, Some(5), "{command}: {}", ran.stderr);
        assert!(ran.stderr.contains("written by a newer phasegraph (format 99"), "{}", ran.stderr);
    }
    std::fs::write(&format, "2\n").unwrap();
    // A single manifest of a newer format, met when the index does not have it.
    std::fs::remove_file(env.path("phasegraph-out/store/index.jsonl")).unwrap();
    let manifest = files(&env.path("phasegraph-out/store/actions")).remove(0);
    let newer = std::fs::read_to_string(&manifest).unwrap().replace("\"format\": 4", "\"format\": 9");
    assert!(newer.contains("\"format\": 9"), "{newer}");
    std::fs::set_permissions(&manifest, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&manifest, newer).unwrap();
    let ran = env.run(&["run", "study.yaml"]);
    assert_eq!(ran.code, Some(5), "{}", ran.stderr);
    assert!(ran.stderr.contains(&manifest.display().to_string()), "{}", ran.stderr);
}
