//! `phasegraph provenance`: what a result was made from, and whether it still is what was made.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod ro_crate;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use common::TestEnvironment;
use common::sums::{RESULTS, sums};
use phasegraph::io::digest::Digest;
use serde_json::Value;

fn ran() -> TestEnvironment {
    let env = sums();
    env.ok(&["run", "study.yaml"]);
    env
}

fn total() -> String {
    format!("{RESULTS}/sum/total.txt")
}

fn document(env: &TestEnvironment, output: &str) -> Value {
    serde_json::from_str(&env.run(&["provenance", output, "--format", "json"]).stdout).unwrap()
}

fn make_writable(path: &PathBuf) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

/// The file in the store that holds a content.
fn object(env: &TestEnvironment, content: &str) -> PathBuf {
    let hex = Digest::of(content.as_bytes()).to_string();
    env.path(&format!("phasegraph-out/store/objects/{}/{}", &hex[..2], &hex[2..]))
}

fn action(env: &TestEnvironment, fingerprint: &str) -> PathBuf {
    env.path(&format!("phasegraph-out/store/actions/{}/{}.json", &fingerprint[..2], &fingerprint[2..]))
}

#[test]
fn a_tree_leads_from_the_result_to_its_source_files_and_tells_each_task_once() {
    let env = ran();
    let text = env.ok(&["provenance", &total()]).stdout;
    let times = |what: &str| text.matches(what).count();
    assert_eq!(times("parts[0] ← `doubled` of double@n=1  (command v1)"), 1, "{text}");
    assert_eq!(times("number ← `number` of make@n=2  (command v1)"), 1, "{text}");
    assert_eq!(times(&format!("base ← file {}", env.path("base.txt").display())), 2, "{text}");
    for content in ["11\n", "12\n", "22\n", "24\n", "22\n24\n", "times 2\n", "10\n"] {
        assert!(text.contains(&Digest::of(content.as_bytes()).to_string()), "{content:?} in {text}");
    }
    assert!(!text.contains("GONE") && !text.contains("NOT"), "{text}");
    // Each half of the sum was made from the same file, told as one node.
    let document = document(&env, &total());
    let nodes = document["nodes"].as_array().unwrap();
    assert_eq!(nodes.iter().filter(|n| n["node"] == "source").count(), 1);
    assert_eq!(nodes.iter().filter(|n| n["node"] == "task").count(), 5);
    assert_eq!(document["findings"], serde_json::json!([]));
    let first = &nodes[0]["record"];
    for field in ["run", "host", "device", "started", "seconds", "attempt", "peak_memory", "phasegraph"] {
        assert!(!first[field].is_null(), "{field}");
    }
}

#[test]
fn a_diamond_is_told_once_and_a_long_chain_does_not_run_off_the_edge() {
    let env = TestEnvironment::new();
    let mut study = "version: 1\nstudy: chain\nstages:\n".to_owned();
    for n in 0..30 {
        let inputs = match n {
            0 => "{}".to_owned(),
            1 => "{a: s0.out}".to_owned(),
            n => format!("{{a: s{}.out, b: s{}.out}}", n - 1, n - 2),
        };
        study += &format!(
            "  s{n}: {{phase: C, kind: command, inputs: {inputs}, outputs: {{out: out}}, params: {{argv: [sh, -c, 'echo {n} > out']}}}}\n"
        );
    }
    env.write("study.yaml", &study);
    env.ok(&["run", "study.yaml"]);
    let text = env.ok(&["provenance", "phasegraph-out/results/chain/s29"]).stdout;
    for n in 0..30 {
        // One line with what it made, and one with its record.
        let digest = Digest::of(format!("{n}\n").as_bytes()).to_string();
        assert_eq!(text.matches(&format!("out = out  {digest}")).count(), 1, "s{n}:\n{text}");
    }
    assert!(text.contains("(told above)") && text.contains("(told below)"), "{text}");
    let widest = text.lines().map(|l| l.chars().take_while(|c| !c.is_alphanumeric()).count()).max();
    assert!(widest < Some(80), "{widest:?}");
}

#[test]
fn a_result_edited_in_place_is_told_loudly() {
    let env = ran();
    let path = env.path(&total());
    make_writable(&path);
    std::fs::write(&path, "23\n24\n").unwrap();
    let told = env.run(&["provenance", &total()]);
    assert_eq!(told.code, Some(8));
    let now = Digest::of(b"23\n24\n").to_string();
    let was = Digest::of(b"22\n24\n").to_string();
    assert!(told.stdout.contains(&format!("NOT WHAT WAS MADE: it is {now} now")), "{}", told.stdout);
    let error = format!("total.txt is NOT what was made: its content is {now}, the record says {was}");
    assert!(told.stderr.contains(&error), "{}", told.stderr);
    // The result links to the object, so that is spoilt, too.
    assert!(told.stderr.contains("the store, too, no longer has what was made"), "{}", told.stderr);
    assert!(told.stderr.contains("hint: `phasegraph run`"), "{}", told.stderr);
    env.ok(&["run", "study.yaml"]);
    env.ok(&["provenance", &total()]);
    assert_eq!(env.read(&total()), "22\n24\n");
}

#[test]
fn a_result_replaced_by_an_editor_is_told_and_put_back_from_the_store() {
    let env = ran();
    std::fs::remove_file(env.path(&total())).unwrap();
    let told = env.run(&["provenance", &total()]);
    assert_eq!(told.code, Some(8));
    assert!(told.stderr.contains("total.txt is gone"), "{}", told.stderr);
    env.write(&total(), "rewritten\n");
    let told = env.run(&["provenance", &total()]);
    assert_eq!(told.code, Some(8));
    assert!(told.stderr.contains("; the store still has what was made"), "{}", told.stderr);
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert!(states.iter().all(|s| s.ends_with(" cached")), "{states:?}");
    env.ok(&["provenance", &total()]);
}

#[test]
fn what_is_wrong_further_back_is_named() {
    let env = ran();
    let nodes = document(&env, &total())["nodes"].clone();
    let record = |task: &str| {
        let of = |n: &&Value| n["record"]["task"] == task;
        nodes.as_array().unwrap().iter().find(of).unwrap()["fingerprint"].as_str().unwrap().to_owned()
    };
    // An object damaged without its stamp telling, a record gone, a record damaged.
    let damaged = object(&env, "24\n");
    make_writable(&damaged);
    std::fs::write(&damaged, "42\n").unwrap();
    std::fs::remove_file(action(&env, &record("make@n=1"))).unwrap();
    let path = action(&env, &record("make@n=2"));
    make_writable(&path);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"attempt\": 1", "\"attempt\": 2")).unwrap();
    let told = env.run(&["provenance", &total()]);
    assert_eq!(told.code, Some(8));
    for what in [
        "the store's `doubled` of double@n=2 is NOT what was made".to_owned(),
        format!("the record of make@n=1 is gone: {}", record("make@n=1")),
        format!("the record of make@n=2 is damaged: {}", record("make@n=2")),
    ] {
        assert!(told.stderr.contains(&what), "{what}\n{}", told.stderr);
    }
    assert!(
        told.stdout.contains("RECORD GONE: ") && told.stdout.contains("RECORD DAMAGED: "),
        "{}",
        told.stdout
    );
    let findings = document(&env, &total())["findings"].as_array().unwrap().len();
    assert_eq!(findings, 3);
}

#[test]
fn a_record_deleted_beside_a_result_is_replaced_by_the_stores() {
    let env = ran();
    let path = env.path(&format!("{RESULTS}/double/n=1/provenance.json"));
    std::fs::remove_file(&path).unwrap();
    let told = env.run(&["provenance", &format!("{RESULTS}/double/n=1/doubled.txt")]);
    assert_eq!(told.code, Some(8));
    assert!(told.stdout.contains("make@n=1"), "{}", told.stdout);
    assert!(told.stderr.contains(&format!("the record of double@n=1 is gone: {}", path.display())));
    std::fs::write(&path, "{").unwrap();
    let told = env.run(&["provenance", &format!("{RESULTS}/double/n=1")]);
    assert!(told.stderr.contains("the record of double@n=1 is damaged: "), "{}", told.stderr);
    std::fs::remove_dir_all(env.path("phasegraph-out/runs")).unwrap();
    let told = env.run(&["provenance", &format!("{RESULTS}/double/n=1")]);
    assert_eq!(told.code, Some(8));
    assert!(told.stderr.contains("is damaged, and the store has no other record"), "{}", told.stderr);
}

#[test]
fn a_source_file_may_change_and_is_told() {
    let env = ran();
    env.write("base.txt", "20\n");
    let told = env.ok(&["provenance", &total()]);
    let now = Digest::of(b"20\n");
    assert!(told.stdout.contains(&format!("changed since: it is {now} now")), "{}", told.stdout);
    std::fs::remove_file(env.path("base.txt")).unwrap();
    assert!(env.ok(&["provenance", &total()]).stdout.contains("no longer there"));
}

#[test]
fn paths_are_found_however_they_are_written_and_mistakes_are_explained() {
    let env = ran();
    let inside = format!("{RESULTS}/double/n=2/with space");
    assert!(env.ok(&["provenance", &inside]).stdout.contains("with space/note.txt"));
    assert!(!env.ok(&["provenance", &inside]).stdout.starts_with("doubled.txt"));
    let absolute = env.path(&total()).display().to_string();
    env.ok(&["provenance", &absolute, "--dir", "phasegraph-out"]);
    env.ok(&["provenance", &format!("{RESULTS}/../sums/sum/../sum/total.txt")]);
    std::os::unix::fs::symlink(env.path(&total()), env.path("link.txt")).unwrap();
    env.ok(&["provenance", "link.txt"]);
    for (path, code, message) in [
        ("base.txt", 4, "is no result: expected a path below DIR/results/<study>/<stage>/"),
        (
            &*format!("{RESULTS}/sum/totl.txt"),
            4,
            "sum did not make `totl.txt`: expected `total.txt`; did you mean `total.txt`?",
        ),
        (&*format!("{RESULTS}/som/total.txt"), 4, "no task has left a record in "),
    ] {
        let told = env.run(&["provenance", path]);
        assert_eq!(told.code, Some(code), "{path}: {}", told.stderr);
        assert!(told.stderr.contains(message), "{path}: {}", told.stderr);
    }
    let told = env.run(&["provenance", &total(), "--out", "x"]);
    assert_eq!(told.code, Some(2), "{}", told.stderr);
}
