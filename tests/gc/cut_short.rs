//! Cleanings that end in the middle: at every single removal, and by `kill -9` at random moments.

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::common::TestEnvironment;
use super::{edited, json, named, whole};

#[test]
fn stopped_at_any_removal_it_leaves_a_usable_store() {
    let env = edited();
    let all = json(&env, &["--dry-run"]);
    let steps = named(&all, "manifests").len() + named(&all, "objects").len();
    assert!(steps >= 7);
    let mut stopped = 0;
    for calls in 0..steps {
        let env = edited();
        let faults = format!("remove:{calls}:5");
        let output = env.command(&["gc"]).env("PHASEGRAPH_FAULTS", &faults).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(5), "{faults}: {stderr}");
        assert!(stderr.contains("cannot remove ") && stderr.contains("Input/output error"), "{stderr}");
        stopped += 1;
        // Every record that is left has all its outputs, and the study has all of its own.
        whole(&env);
        // What was left over goes next time, and what was reverted is made again.
        env.ok(&["gc"]);
        super::with_factor(&env, 2);
        let states = env.states(&["run", "study.yaml", "--json"]);
        assert_eq!(
            states[2..],
            ["double@n=1 succeeded", "double@n=2 succeeded", "sum succeeded"],
            "{faults}"
        );
        whole(&env);
    }
    assert_eq!(stopped, steps);
}

#[test]
fn a_file_of_lines_that_cannot_be_rewritten_is_told_and_stays_as_it_was() {
    for operation in ["write", "sync", "rename", "sync_dir"] {
        for calls in 0..3 {
            let env = edited();
            let faults = format!("{operation}:{calls}:28");
            let output = env.command(&["gc"]).env("PHASEGRAPH_FAULTS", &faults).output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            // The folders of manifests that go are synced, too, so few calls may be too few to fail.
            assert!(matches!(output.status.code(), Some(0 | 5)), "{faults}: {stderr}");
            assert_eq!(
                output.status.code() == Some(5),
                stderr.contains("No space left"),
                "{faults}: {stderr}"
            );
            whole(&env);
            env.ok(&["gc"]);
            whole(&env);
        }
    }
}

#[test]
fn reverted_right_after_it_was_stopped_nothing_half_removed_is_served() {
    for calls in 0..7 {
        let env = edited();
        let output =
            env.command(&["gc"]).env("PHASEGRAPH_FAULTS", format!("remove:{calls}:5")).output().unwrap();
        assert_eq!(output.status.code(), Some(5));
        super::with_factor(&env, 2);
        env.ok(&["run", "study.yaml"]);
        assert_eq!(env.read("phasegraph-out/results/sums/sum/total.txt"), "22\n24\n", "{calls}");
        whole(&env);
    }
}

/// Many small tasks, of which nobody needs the first lot any more.
fn many(tasks: usize) -> TestEnvironment {
    let env = TestEnvironment::new();
    let points: Vec<String> = (0..tasks).map(|n| n.to_string()).collect();
    let study = |factor: u32| {
        format!(
            "version: 1\nstudy: sums\naxes: {{n: [{}]}}\nstages:\n  sum: {{phase: C, kind: command, over: [n], outputs: {{total: total.txt}}, \
             params: {{argv: [sh, -c, 'echo $1 $2 > total.txt', sh, '{{axis.n}}', '{factor}']}}}}\n",
            points.join(", ")
        )
    };
    for factor in [1, 2] {
        env.write("study.yaml", &study(factor));
        env.ok(&["run", "study.yaml", "--quiet"]);
    }
    env
}

#[test]
fn killed_at_random_moments_it_leaves_a_usable_store() {
    let trials: u64 = std::env::var("PHASEGRAPH_TRIALS").ok().and_then(|t| t.parse().ok()).unwrap_or(6);
    let env = many(150);
    let mut in_the_middle = 0;
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let plan = |env: &TestEnvironment| {
        let document = json(env, &["--dry-run"]);
        [named(&document, "manifests"), named(&document, "objects")]
    };
    for trial in 0..trials {
        let left = plan(&env);
        let count = left.iter().map(BTreeSet::len).sum::<usize>();
        if count == 0 {
            break;
        }
        // Killed when one of them vanishes: mostly early, so that something is left for the next trial.
        let watched = left.iter().flatten().nth(rng.random_range(0..count.div_ceil(4))).unwrap();
        let mut child = env.command(&["gc"]).spawn().unwrap();
        while watched.exists() && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        env.ok(&["store", "verify"]);
        let states = env.states(&["run", "study.yaml", "--json"]);
        assert!(states.iter().all(|s| s.ends_with(" cached")), "trial {trial}: {states:?}");
        let now = plan(&env).iter().map(BTreeSet::len).sum::<usize>();
        in_the_middle += usize::from((1..count).contains(&now));
    }
    println!("killed in the middle {in_the_middle} times");
    assert!(in_the_middle > 0, "every one of {trials} was over before it could be killed");
    env.ok(&["gc"]);
    assert_eq!(plan(&env).map(|files| files.len()), [0, 0]);
    env.ok(&["store", "verify"]);
}
