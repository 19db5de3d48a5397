//! Who may clean when: never beside a running study, and never after it has died.

use phasegraph::cache::StoreLock;

use super::common::sums::{sums, with_factor};
use super::common::wait_until;
use super::{all_cached, edited, files, whole};

#[test]
fn beside_a_running_study_it_is_refused_and_the_lock_dies_with_the_run() {
    let env = sums();
    env.ok(&["run", "study.yaml"]);
    with_factor(&env, 3);
    env.ok(&["run", "study.yaml"]);
    let here = env.path("here");
    let slow = format!("touch {}; sleep 60; cat \"$@\"", here.display());
    let waiting = env.read("study.yaml").replace("study: sums", "study: waiting");
    env.write("waiting.yaml", &waiting.replace("cat \"$@\"", &slow));
    let mut child = env.command(&["run", "waiting.yaml"]).spawn().unwrap();
    wait_until("the last stage", || here.exists());
    let before = files(&env);
    let refused = env.run(&["gc"]);
    assert_eq!(refused.code, Some(6), "{}", refused.stdout);
    let by = format!("the store is in use by process {} on ", child.id());
    assert!(refused.stderr.contains(&by), "{}", refused.stderr);
    assert!(refused.stderr.contains("which runs `waiting`"), "{}", refused.stderr);
    let dry = env.ok(&["gc", "--dry-run"]).stdout;
    assert!(dry.contains("would remove") && dry.contains("runs study waiting: until that ends"), "{dry}");
    assert_eq!(files(&env).len(), before.len());
    // Verifying only reads, and goes on beside it.
    env.ok(&["store", "verify"]);
    child.kill().unwrap();
    child.wait().unwrap();
    env.ok(&["gc"]);
    whole(&env);
}

#[test]
fn a_run_that_begins_while_the_store_is_cleaned_is_refused() {
    let env = edited();
    let alone = StoreLock::own(&env.path("phasegraph-out"), "here").unwrap();
    for command in [&["run", "study.yaml"][..], &["gc"], &["store", "verify"]] {
        let refused = env.run(command);
        assert_eq!(refused.code, Some(6), "{command:?}");
        let by =
            format!("the store is in use by process {} on here, which is cleaning it", std::process::id());
        assert!(refused.stderr.contains(&by), "{command:?}: {}", refused.stderr);
    }
    // What only looks is not kept waiting.
    env.ok(&["plan", "study.yaml"]);
    drop(alone);
    all_cached(&env);
}
