//! `phasegraph gc`: what no study needs goes, exactly as announced; what any needs stays, however rudely the
//! cleaning is cut short.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod cut_short;
mod locks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::TestEnvironment;
use common::sums::{RESULTS, sums, with_factor};
use phasegraph::cache::Layout;
use serde_json::Value;

/// Every file below the output folder with its size.
fn files(env: &TestEnvironment) -> BTreeMap<PathBuf, u64> {
    fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, u64>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            match std::fs::metadata(&path).unwrap() {
                meta if meta.is_dir() => walk(&path, found),
                meta => drop(found.insert(path, meta.len())),
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&env.path("phasegraph-out"), &mut found);
    found.retain(|path, _| !path.ends_with("store/lock"));
    found
}

fn json(env: &TestEnvironment, more: &[&str]) -> Value {
    serde_json::from_str(&env.ok(&[&["gc", "--json"], more].concat()).stdout).unwrap()
}

/// Files or folders that a cleaning names, of one kind.
fn named(document: &Value, kind: &str) -> BTreeSet<PathBuf> {
    let all = document[kind].as_array().unwrap();
    all.iter().map(|going| going["path"].as_str().unwrap().into()).collect()
}

fn all_cached(env: &TestEnvironment) {
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert!(states.iter().all(|s| s.ends_with(" cached")), "{states:?}");
}

/// The study as it is, and everything that its results were made from, is whole.
fn whole(env: &TestEnvironment) {
    all_cached(env);
    env.ok(&["store", "verify"]);
    env.ok(&["provenance", &format!("{RESULTS}/sum/total.txt")]);
}

/// Run with one factor, then with another: what the first has made is needed by nobody.
fn edited() -> TestEnvironment {
    let env = sums();
    env.ok(&["run", "study.yaml"]);
    with_factor(&env, 3);
    env.ok(&["run", "study.yaml"]);
    env
}

#[test]
fn what_a_study_needs_stays_and_the_next_run_reads_nothing_again() {
    let env = sums();
    env.ok(&["run", "study.yaml"]);
    let before = files(&env);
    let document = json(&env, &[]);
    for kind in ["manifests", "objects", "runs", "leftovers"] {
        assert_eq!(named(&document, kind), BTreeSet::new(), "{kind}");
    }
    let store = |files: &BTreeMap<PathBuf, u64>| {
        files
            .iter()
            .filter(|(p, _)| p.extension().is_none_or(|e| e != "jsonl"))
            .map(|(p, s)| (p.clone(), *s))
            .collect()
    };
    let (was, is): (BTreeMap<_, _>, BTreeMap<_, _>) = (store(&before), store(&files(&env)));
    assert_eq!(was, is);
    whole(&env);
    // Every stamp still vouches: a run that had to hash something would have written a line about it.
    let lines = |env: &TestEnvironment| env.read("phasegraph-out/store/stat.jsonl").lines().count();
    let count = lines(&env);
    all_cached(&env);
    assert_eq!(lines(&env), count);
}

#[test]
fn exactly_what_the_dry_run_lists_goes_and_is_made_again_when_it_is_wanted_again() {
    let env = edited();
    let before = files(&env);
    let announced = json(&env, &["--dry-run"]);
    assert_eq!(files(&env), before, "a dry run changes nothing");
    assert_eq!(named(&announced, "manifests").len(), 3, "two doubled and the sum");
    assert_eq!(named(&announced, "objects").len(), 4, "two doubled, their note, the sum");
    let listed = env.ok(&["gc", "--dry-run"]).stdout;
    assert!(
        listed.contains("B  record of double@n=2 in study sums  phasegraph-out/store/actions/"),
        "{listed}"
    );
    assert!(listed.contains("B  output of sum in study sums  phasegraph-out/store/objects/"), "{listed}");
    assert!(
        listed.contains(&format!("would remove {} B: 3 records, 4 objects\n", announced["bytes"])),
        "{listed}"
    );
    let done = json(&env, &[]);
    let mut expected = announced.clone();
    expected["dry_run"] = false.into();
    assert_eq!(done, expected);
    // What has become less is what was said, to the byte.
    let after = files(&env);
    let gone: BTreeSet<PathBuf> = before.keys().filter(|p| !after.contains_key(*p)).cloned().collect();
    assert_eq!(gone, &named(&announced, "manifests") | &named(&announced, "objects"));
    let total = |files: &BTreeMap<PathBuf, u64>| files.values().sum::<u64>();
    assert_eq!(total(&before) - total(&after), done["bytes"].as_u64().unwrap());
    assert!(done["compacted_bytes"].as_u64() > Some(0));
    whole(&env);
    // A second time there is nothing left to do.
    assert_eq!(json(&env, &[])["bytes"], 0);
    // The edit is reverted.
    with_factor(&env, 2);
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert_eq!(
        states,
        [
            "make@n=1 cached",
            "make@n=2 cached",
            "double@n=1 succeeded",
            "double@n=2 succeeded",
            "sum succeeded"
        ]
    );
    assert_eq!(env.read(&format!("{RESULTS}/sum/total.txt")), "22\n24\n");
    whole(&env);
}

#[test]
fn records_that_results_were_made_from_stay_though_no_task_has_them_last() {
    let env = sums();
    env.ok(&["run", "study.yaml"]);
    // The same number, differently written: `make` runs again, everything after it is cached, and was made
    // from what `make` did the first time.
    env.write("base.txt", " 10 \n");
    let states = env.states(&["run", "study.yaml", "--json"]);
    assert_eq!(states[0], "make@n=1 succeeded");
    assert_eq!(states[2], "double@n=1 cached");
    assert_eq!(named(&json(&env, &[]), "manifests"), BTreeSet::new());
    let told = env.ok(&["provenance", &format!("{RESULTS}/sum/total.txt")]).stdout;
    assert!(told.contains("changed since"), "the file that the first `make` read has changed: {told}");
}

#[test]
fn studies_that_share_a_folder_keep_what_each_needs() {
    let env = edited();
    let other = env.read("study.yaml").replace("study: sums", "study: other");
    env.write("other.yaml", &other);
    env.ok(&["run", "other.yaml"]);
    with_factor(&env, 5);
    env.ok(&["run", "study.yaml"]);
    // Factor 3 is the other study's, factor 2 nobody's.
    assert_eq!(named(&json(&env, &[]), "manifests").len(), 3);
    whole(&env);
    let states = env.states(&["run", "other.yaml", "--json"]);
    assert!(states.iter().all(|s| s.ends_with(" cached")), "{states:?}");
}

fn age(paths: impl IntoIterator<Item = PathBuf>, days: u64) {
    for path in paths {
        let then = SystemTime::now() - Duration::from_secs(days * 86_400);
        std::fs::File::open(path).unwrap().set_modified(then).unwrap();
    }
}

#[test]
fn age_and_size_limit_what_goes() {
    let env = edited();
    let factor_2 = named(&json(&env, &["--dry-run"]), "manifests");
    with_factor(&env, 4);
    env.ok(&["run", "study.yaml"]);
    let both = named(&json(&env, &["--dry-run"]), "manifests");
    age(factor_2.clone(), 40);
    age(&both - &factor_2, 20);
    assert_eq!(named(&json(&env, &["--dry-run", "--older-than", "30d"]), "manifests"), factor_2);
    assert_eq!(named(&json(&env, &["--dry-run", "--older-than", "60d"]), "manifests"), BTreeSet::new());
    // Everything fits: nothing goes. A byte too much: the oldest record goes, and no more.
    let whole_store = json(&env, &["--dry-run", "--max-size", "1GiB"]);
    assert_eq!(named(&whole_store, "manifests"), BTreeSet::new());
    let limit = format!("{}B", whole_store["kept_bytes"].as_u64().unwrap() - 1);
    let first = named(&json(&env, &["--dry-run", "--max-size", &limit]), "manifests");
    assert!(first.len() == 1 && first.is_subset(&factor_2), "{first:?}");
    let told = env.ok(&["gc", "--max-size", "1B"]).stdout;
    assert!(told.contains("more than asked for, but nothing else may go"), "{told}");
    whole(&env);
    for (option, value) in
        [("--older-than", "30"), ("--older-than", "-1d"), ("--max-size", "1"), ("--keep-runs", "0")]
    {
        let refused = env.run(&["gc", option, value]);
        assert_eq!(refused.code, Some(2), "{option} {value}: {}", refused.stderr);
    }
}

#[test]
fn old_runs_go_when_asked_and_the_last_stays_readable() {
    let env = edited();
    let last = env.states(&["run", "study.yaml", "--json"]);
    let runs = || {
        let mut names = Layout::new(env.path("phasegraph-out"), "sums").list_runs().unwrap();
        names.sort();
        names
    };
    let all = runs();
    assert_eq!(all.len(), 3);
    assert_eq!(named(&json(&env, &[]), "runs"), BTreeSet::new());
    let gone = named(&json(&env, &["--keep-runs", "1"]), "runs");
    assert_eq!(gone.len(), 2);
    assert!(gone.iter().all(|path| !path.exists()));
    assert_eq!(runs(), all[2..]);
    assert_eq!(last.len(), 5);
    assert!(env.ok(&["status", "study.yaml"]).stdout.contains("succeeded"));
    // A cleaning that was cut short may have taken the journal and left the logs.
    let torn = env.path("phasegraph-out/runs/sums/20200101-000000.000");
    std::fs::create_dir_all(torn.join("logs")).unwrap();
    assert_eq!(named(&json(&env, &[]), "leftovers"), BTreeSet::from([torn.clone()]));
    assert!(!torn.exists());
}

#[test]
fn leftovers_go_and_damaged_files_only_when_asked() {
    let env = sums();
    env.ok(&["run", "study.yaml"]);
    let out = env.path("phasegraph-out");
    let left = [
        out.join("runs/sums/staging/7"),
        out.join("store/actions/00/abcdef.77.tmp"),
        out.join("store/objects/ff/.half.x1"),
        out.join("store/.index.jsonl.x1"),
    ];
    std::fs::create_dir_all(left[0].join("deep")).unwrap();
    std::fs::write(left[0].join("deep/half.npz"), "half").unwrap();
    for path in &left[1..] {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "half").unwrap();
    }
    let stranger = out.join("store/objects/ff/README");
    std::fs::write(&stranger, "somebody's").unwrap();
    let document = json(&env, &[]);
    assert_eq!(named(&document, "leftovers"), left.iter().cloned().collect());
    assert!(left.iter().all(|path| !path.exists()) && stranger.exists());
    // It tells the next run to look for processes that outlived their run.
    assert!(out.join("runs/sums/staging").is_dir());
    let bad = out.join("store/quarantine/bad");
    std::fs::create_dir_all(bad.parent().unwrap()).unwrap();
    std::fs::write(&bad, "bad").unwrap();
    assert!(env.ok(&["gc"]).stdout.contains("1 damaged files in quarantine, 3 B; --quarantine removes them"));
    assert!(bad.exists());
    assert_eq!(json(&env, &["--quarantine"])["bytes"], 3);
    assert!(!bad.exists());
}

#[test]
fn a_history_that_is_gone_or_damaged_costs_nothing_that_the_study_needs() {
    let env = edited();
    let history = env.path("phasegraph-out/runs/sums/history.jsonl");
    // Damaged: who knows what the line was about? All of the study stays, this time.
    let mut text = std::fs::read(&history).unwrap();
    let middle = text.len() / 2;
    text[middle] ^= 1;
    std::fs::write(&history, text).unwrap();
    let told = env.ok(&["gc"]).stdout;
    assert!(told.contains("the history of study sums had damaged lines: all its records are kept"), "{told}");
    assert!(told.contains(": 0 records, 0 objects"), "{told}");
    whole(&env);
    assert_eq!(named(&json(&env, &[]), "manifests").len(), 3, "it was run, so now it is known what it needs");
    whole(&env);
    // Gone: the journal of the last run knows, too.
    std::fs::remove_file(&history).unwrap();
    assert_eq!(named(&json(&env, &[]), "manifests"), BTreeSet::new());
    whole(&env);
}
