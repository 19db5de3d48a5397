//! `phasegraph store verify`: what is damaged is named, put aside, made again, and never served.

#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::TestEnvironment;
use common::sums::{RESULTS, sums};
use phasegraph::io::digest::Digest;
use serde_json::Value;

fn ran() -> TestEnvironment {
    let env = sums();
    env.ok(&["run", "study.yaml"]);
    env
}

fn object(env: &TestEnvironment, content: &str) -> PathBuf {
    let hex = Digest::of(content.as_bytes()).to_string();
    env.path(&format!("phasegraph-out/store/objects/{}/{}", &hex[..2], &hex[2..]))
}

fn record_of(env: &TestEnvironment, task_folder: &str) -> (String, PathBuf) {
    let told = env.run(&["provenance", &format!("{RESULTS}/{task_folder}"), "--format", "json"]).stdout;
    let document: Value = serde_json::from_str(&told).unwrap();
    let name = document["nodes"][0]["fingerprint"].as_str().unwrap().to_owned();
    let path = env.path(&format!("phasegraph-out/store/actions/{}/{}.json", &name[..2], &name[2..]));
    (name, path)
}

/// Changes bytes in place, with size and all times as they were but the ctime.
fn damage(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let meta = std::fs::metadata(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(meta.modified().unwrap()).unwrap();
    std::fs::set_permissions(path, meta.permissions()).unwrap();
}

/// Lets the record of stamps vouch for whatever the object is now, as if its damage had left no trace.
fn vouch(env: &TestEnvironment, content: &str) {
    use phasegraph::cache::{Hashed, Stamp, StatIndex};
    let mut stat = StatIndex::load(env.path("phasegraph-out/store/stat.jsonl"), false).unwrap();
    let stamp = Stamp::of(&std::fs::metadata(object(env, content)).unwrap());
    stat.record_object(Hashed { stamp, digest: Digest::of(content.as_bytes()) });
    stat.flush();
}

fn quarantine(env: &TestEnvironment) -> Vec<String> {
    let entries = std::fs::read_dir(env.path("phasegraph-out/store/quarantine")).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_sound_store_is_said_to_be_sound() {
    let env = ran();
    let told = env.ok(&["store", "verify"]);
    // 2 numbers, 2 doubled, 1 note that both share, 1 total.
    assert_eq!(told.stdout, "phasegraph-out: 6 objects (0 MiB), 5 records looked at\n");
    assert_eq!(told.stderr, "", "no progress but on a terminal");
    let json: Value = serde_json::from_str(&env.ok(&["store", "verify", "--json"]).stdout).unwrap();
    assert_eq!((&json["sound"], &json["objects"], &json["manifests"]), (&true.into(), &6.into(), &5.into()));
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert!(states.iter().all(|s| s.ends_with(" cached")), "{states:?}");
}

#[test]
fn a_damaged_object_that_its_stamp_vouches_for_is_found_and_never_served() {
    let env = ran();
    damage(&object(&env, "24\n"), |bytes| bytes[0] = b'4');
    vouch(&env, "24\n");
    // The danger is real: without a look at the content, it is taken for good.
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert!(states.iter().all(|s| s.ends_with(" cached")), "{states:?}");
    let told = env.run(&["store", "verify"]);
    assert_eq!(told.code, Some(8));
    let (was, now) = (Digest::of(b"24\n"), Digest::of(b"44\n"));
    assert!(told.stdout.contains(&format!("damaged  object {was}\n         is {now}\n")), "{}", told.stdout);
    assert!(told.stdout.contains("of double@n=2 in study sums\n"), "{}", told.stdout);
    assert!(
        told.stderr.contains("1 file of the store are damaged or gone") || told.stderr.contains("hint: ")
    );
    assert_eq!(quarantine(&env), [was.to_string()]);
    // The result still shows the damaged file, but no task reads it: it is made again first.
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert_eq!(
        states,
        ["make@n=1 cached", "make@n=2 cached", "double@n=1 cached", "double@n=2 succeeded", "sum cached"]
    );
    assert_eq!(env.read(&format!("{RESULTS}/double/n=2/doubled.txt")), "24\n");
    env.ok(&["store", "verify"]);
    env.ok(&["provenance", &format!("{RESULTS}/sum/total.txt")]);
}

/// Damage and edits that left no trace in any stamp: only who reads everything can see them.
#[test]
fn a_run_with_verify_believes_no_record() {
    use phasegraph::cache::{Hashed, Stamp, StatIndex};
    let env = ran();
    damage(&object(&env, "24\n"), |bytes| bytes[0] = b'4');
    vouch(&env, "24\n");
    let all_cached = |states: &[String]| states.iter().all(|s| s.ends_with(" cached"));
    assert!(all_cached(&env.states(&["run", "study.yaml", "--json"])), "the danger is real");
    let states = env.states(&["run", "study.yaml", "--json", "--verify"]);
    assert_eq!(
        states,
        ["make@n=1 cached", "make@n=2 cached", "double@n=1 cached", "double@n=2 succeeded", "sum cached"]
    );
    assert_eq!(env.read(&format!("{RESULTS}/double/n=2/doubled.txt")), "24\n");

    let base = env.path("base.txt");
    damage(&base, |bytes| bytes[0] = b'2');
    let mut stat = StatIndex::load(env.path("phasegraph-out/store/stat.jsonl"), false).unwrap();
    let hashed = Hashed { stamp: Stamp::of(&base.metadata().unwrap()), digest: Digest::of(b"10\n") };
    // However the study's folder is written there.
    for path in [&*base, Path::new("base.txt")] {
        stat.record_copy(path, hashed);
    }
    stat.flush();
    assert!(all_cached(&env.states(&["run", "study.yaml", "--json"])), "the danger is real");
    let plan = env.ok(&["plan", "study.yaml", "--verify"]).stdout;
    assert!(plan.contains("content of input base[0] changed: "), "{plan}");
    env.ok(&["run", "study.yaml", "--verify"]);
    assert_eq!(env.read(&format!("{RESULTS}/sum/total.txt")), "42\n44\n");
}

#[test]
fn a_damaged_record_is_found_and_its_task_runs_again() {
    let env = ran();
    let (name, path) = record_of(&env, "double/n=1");
    damage(&path, |bytes| {
        let at = bytes.windows(11).position(|w| w == b"\"attempt\": ").unwrap() + 11;
        bytes[at] = b'7';
    });
    let told = env.run(&["store", "verify", "--json"]);
    assert_eq!(told.code, Some(8));
    let json: Value = serde_json::from_str(&told.stdout).unwrap();
    let fault = &json["faults"][0];
    assert_eq!((&fault["fault"], &fault["why"]), (&"manifest".into(), &"damaged".into()));
    assert_eq!(fault["tasks"], serde_json::json!([{"study": "sums", "task": "double@n=1"}]));
    assert_eq!(quarantine(&env), [format!("{name}.json")]);
    // The index must not go on answering for it.
    let plan = env.ok(&["plan", "study.yaml"]).stdout;
    assert!(plan.contains("the record of its last result is gone"), "{plan}");
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert_eq!(states[2..], ["double@n=1 succeeded", "double@n=2 cached", "sum cached"]);
    env.ok(&["store", "verify"]);
    env.ok(&["provenance", &format!("{RESULTS}/double/n=1")]);
}

#[test]
fn an_object_that_is_gone_or_has_another_size_is_named_with_all_its_tasks() {
    let env = ran();
    // Both tasks made the same note.
    std::fs::remove_file(object(&env, "times 2\n")).unwrap();
    damage(&object(&env, "11\n"), Vec::clear);
    let told = env.run(&["store", "verify"]);
    assert_eq!(told.code, Some(8));
    let note = Digest::of(b"times 2\n");
    assert_eq!(
        told.stdout.matches(&format!("gone     object {note} (`note`)")).count(),
        2,
        "{}",
        told.stdout
    );
    for task in ["double@n=1", "double@n=2", "make@n=1"] {
        assert!(told.stdout.contains(&format!("of {task} in study sums")), "{}", told.stdout);
    }
    // Whichever of the two makes the note first makes it for both.
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert_eq!(states[0], "make@n=1 succeeded");
    assert!(states.iter().any(|s| s.starts_with("double@") && s.ends_with(" succeeded")), "{states:?}");
    assert_eq!(env.read(&format!("{RESULTS}/make/n=1/number.txt")), "11\n");
    env.ok(&["store", "verify"]);
}

#[test]
fn a_record_that_is_gone_is_missed_though_the_index_answers_for_it() {
    let env = ran();
    let (name, path) = record_of(&env, "sum");
    std::fs::remove_file(path).unwrap();
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert!(states.iter().all(|s| s.ends_with(" cached")), "the index is enough for that: {states:?}");
    let told = env.run(&["store", "verify"]);
    assert_eq!(told.code, Some(8));
    assert!(
        told.stdout.contains(&format!("gone     record {name}\n         of sum in study sums\n")),
        "{}",
        told.stdout
    );
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert_eq!(states[4], "sum succeeded");
    env.ok(&["store", "verify"]);
    env.ok(&["provenance", &format!("{RESULTS}/sum/total.txt")]);
}

#[test]
fn objects_without_a_record_are_counted_and_no_damage() {
    let env = ran();
    std::fs::create_dir_all(object(&env, "stray").parent().unwrap()).unwrap();
    std::fs::write(object(&env, "stray"), "stray").unwrap();
    let told = env.ok(&["store", "verify"]);
    let line = "objects that belong to no record: 1; `phasegraph gc` removes them";
    assert!(told.stdout.contains(line), "{}", told.stdout);
}

#[test]
fn on_a_disk_that_cannot_be_written_damage_is_told_all_the_same() {
    let env = ran();
    damage(&object(&env, "24\n"), |bytes| bytes[0] = b'4');
    let output = env
        .command(&["store", "verify"])
        .env("PHASEGRAPH_FAULTS", "rename:0:30,create_dir:0:30")
        .output()
        .unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(8), "{stderr}");
    assert!(stdout.contains(&format!("damaged  object {}", Digest::of(b"24\n"))), "{stdout}");
    assert!(stderr.contains("quarantine: Read-only file system"), "{stderr}");
}

#[test]
fn the_folder_is_found_or_asked_for() {
    let env = ran();
    env.ok(&["store", "verify", "--dir", "phasegraph-out"]);
    let inside = env.path("phasegraph-out/results/sums/sum");
    assert!(env.command(&["store", "verify"]).current_dir(&inside).status().unwrap().success());
    let told = env.run(&["store", "verify", "--dir", "elsewhere"]);
    assert_eq!(told.code, Some(5));
    assert!(told.stderr.contains("there is no store in elsewhere: expected a folder with `store` in it"));
    let output = env.command(&["store", "verify"]).current_dir("/").output().unwrap();
    assert_eq!(output.status.code(), Some(5));
}
