//! A study that anyone can follow: two numbers are made, doubled, and put together.

use super::TestEnvironment;

const STUDY: &str = r#"version: 1
study: sums
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
  double:
    phase: F
    kind: command
    over: [n]
    inputs: {number: make.number}
    outputs: {doubled: doubled.txt, note: with space/note.txt}
    params:
      argv: [sh, -c, 'expr $(cat "$1") \* "$2" > doubled.txt; mkdir "with space"; echo "times $2" > "with space/note.txt"', sh, "{input.number}", "2"]
  sum:
    phase: G
    kind: command
    inputs: {parts: double.doubled}
    outputs: {total: total.txt}
    params: {argv: [sh, -c, 'cat "$@" > total.txt', sh, "{input.parts}"]}
"#;

/// Where its results are.
pub const RESULTS: &str = "phasegraph-out/results/sums";

/// The study, not run yet.
pub fn sums() -> TestEnvironment {
    let env = TestEnvironment::new();
    env.write("study.yaml", STUDY);
    env.write("base.txt", "10\n");
    env
}

/// The study with its factor changed from 2.
pub fn with_factor(env: &TestEnvironment, factor: u32) {
    env.write("study.yaml", &STUDY.replace(r#""2"]"#, &format!(r#""{factor}"]"#)));
}
