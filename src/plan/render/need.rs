//! Forecasts of memory, in words.

use std::fmt::Write;

use crate::diag::memory;
use crate::plan::{Basis, Foreseen, Need, Task};

/// What a task needs and what there is.
pub(super) fn line(need: &Need) -> String {
    let seen = match need {
        Need::Unknown { why } => return format!("not known yet: {why}"),
        Need::Foreseen(seen) => seen,
    };
    let Foreseen { chunk, unit, predicted_peak, .. } = seen;
    let what = match chunk {
        0 => "one at a time, which does not fit".to_owned(),
        _ if !seen.fits => format!("{chunk} {unit} at a time, which do not fit"),
        _ => format!("{chunk} {unit} at a time"),
    };
    let basis = match seen.basis {
        Basis::Measured => "as measured before",
        Basis::Model => "from the model's shapes",
        Basis::Parameters => "from the shapes the model will have",
    };
    format!("{} for {what}{}; {basis}", memory(*predicted_peak), there(seen))
}

fn there(seen: &Foreseen) -> String {
    let Some(limit) = seen.limit else { return String::new() };
    let free = if seen.promised { "" } else { " free" };
    format!("; {}{free}, margin {}", memory(limit), memory(seen.margin))
}

/// What must be said aloud: tasks for which memory will run out.
pub(super) fn warnings<'a>(needs: impl Iterator<Item = (&'a Task, &'a Need)>) -> String {
    let mut out = String::new();
    for (task, need) in needs {
        let Need::Foreseen(seen) = need else { continue };
        if seen.fits {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(out, "warning: {}: {}", task.id, wrong(seen));
        let _ = writeln!(out, "  hint: {}", hint(task, seen));
    }
    out
}

fn wrong(seen: &Foreseen) -> String {
    let Foreseen { chunk, unit, predicted_peak, margin, .. } = seen;
    let what = match chunk {
        0 => format!("does not fit into memory even with one of its {unit} at a time, which"),
        _ => format!("does not fit into memory with {chunk} {unit} at a time, which"),
    };
    match seen.limit {
        Some(limit) if predicted_peak + margin > limit => format!(
            "{what} needs {} and a margin of {}; {} {}",
            memory(*predicted_peak),
            memory(*margin),
            memory(limit),
            if seen.promised { "is its limit" } else { "is free" }
        ),
        _ => format!("{what} needs more than the GPU memory it is promised"),
    }
}

fn hint(task: &Task, seen: &Foreseen) -> String {
    let stage = &task.stage;
    if seen.chunk > 0 {
        return format!(
            "take `chunk: auto` in stage `{stage}`; else it fails first, and is tried with fewer"
        );
    }
    let grows = task.rescue.as_ref().is_some_and(|rescue| rescue.memory.is_some());
    match seen.promised {
        true if grows => {
            format!("its limit may grow, but only after failing: raise `resources` of stage `{stage}`")
        }
        true => format!("raise `resources` of stage `{stage}`, or take a smaller network"),
        false => "run it on a larger machine, or when others need less memory, or take a smaller network"
            .to_owned(),
    }
}
