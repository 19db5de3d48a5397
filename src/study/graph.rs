//! Circles among stages.

use crate::diag::{Location, Problem, Problems};

/// Consumer → producers, each with the place of the reference.
pub(super) type Edges = Vec<Vec<(usize, Location)>>;

/// Reports every reference that closes a circle, with the circle's path. Iterative: a chain of
/// stages may be longer than the stack is deep.
pub(super) fn check(names: &[&str], edges: &Edges, problems: &mut Problems) {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; names.len()];
    for start in 0..names.len() {
        if marks[start] != Mark::New {
            continue;
        }
        marks[start] = Mark::Open;
        // (stage, next edge to follow)
        let mut path = vec![(start, 0)];
        while let Some((stage, next)) = path.last_mut() {
            let stage = *stage;
            let Some((producer, at)) = edges[stage].get(*next) else {
                marks[stage] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match marks[*producer] {
                Mark::Done => {}
                Mark::New => {
                    marks[*producer] = Mark::Open;
                    path.push((*producer, 0));
                }
                Mark::Open => {
                    let circle = path.iter().map(|(stage, _)| *stage);
                    let circle: Vec<usize> = circle.skip_while(|s| s != producer).collect();
                    problems.push(problem(names, &circle, at));
                }
            }
        }
    }
}

fn problem(names: &[&str], circle: &[usize], at: &Location) -> Problem {
    if let [alone] = circle {
        let message = format!("stage `{}` takes its own output", names[*alone]);
        return Problem::at(at.clone(), message);
    }
    // From producer to consumer, as data flows; the first name closes the circle.
    let mut path: Vec<&str> = circle.iter().rev().map(|stage| names[*stage]).collect();
    path.extend(path.first().copied());
    let shown = match path.len() {
        0..=10 => path.join(" → "),
        n => format!("{} → … ({} more) → {}", path[..5].join(" → "), n - 8, path[n - 3..].join(" → ")),
    };
    Problem::at(at.clone(), format!("stages wait for each other in a circle: {shown}"))
        .hint("one of these references must go")
}
