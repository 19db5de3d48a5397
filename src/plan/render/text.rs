//! The plan as a list: what, why, in what order, with what.

use std::borrow::Cow;
use std::fmt::Write;

use super::{Prospects, need};
use crate::diag::{duration, memory};
use crate::plan::{Estimate, Outlook, Past, Plan, Source, Task};
use crate::study::{DeviceKind, Rescue, Resources};

/// Fan-ins longer than this are shown by their first members and a count.
const SHOWN: usize = 4;

pub(super) fn render(plan: &Plan, outlook: &[Outlook], prospects: &Prospects) -> String {
    let mut out = String::with_capacity(64 * plan.tasks.len());
    let mut phase = None;
    for (index, (task, outlook)) in plan.tasks.iter().zip(outlook).enumerate() {
        if *outlook == Outlook::NotSelected {
            continue;
        }
        if phase != Some(task.phase) {
            phase = Some(task.phase);
            let _ = writeln!(out, "phase {}", task.phase.name());
        }
        write_task(&mut out, plan, index, task, outlook);
        if let (Some(past), false) = (prospects.past.get(index).and_then(last), *outlook == Outlook::Cached) {
            let _ = writeln!(out, "         last   {past}");
        }
        if let Some(need) = prospects.needs.get(&index) {
            let _ = writeln!(out, "         need   {}", need::line(need));
        }
    }
    let _ = writeln!(out, "{}", totals(outlook));
    if let Some(estimate) = &prospects.estimate {
        let _ = writeln!(out, "{}", forecast(estimate));
    }
    out += &need::warnings(prospects.needs.iter().map(|(index, need)| (&plan.tasks[*index], need)));
    out
}

/// What a task took when it last ran.
fn last(past: &Past) -> Option<String> {
    let seconds = past.seconds.map(duration);
    let memory = past.peak_memory.map(|bytes| format!("{} memory", memory(bytes)));
    let words: Vec<String> = seconds.into_iter().chain(memory).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn forecast(estimate: &Estimate) -> String {
    let new = estimate.tasks - estimate.measured;
    let guessed = match new {
        0 => String::new(),
        _ => format!("; {new} of them never ran and are guessed from the others"),
    };
    format!(
        "about {} if all of those run (longest path {}){guessed}",
        duration(estimate.seconds),
        duration(estimate.longest_path)
    )
}

fn write_task(out: &mut String, plan: &Plan, index: usize, task: &Task, outlook: &Outlook) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{:>5}  {:<10} ", index + 1, state(outlook));
    for part in [&task.id, "  [", &task.kind, "]\n"] {
        out.push_str(part);
    }
    match outlook {
        Outlook::Run { why } => why.iter().for_each(|line| {
            let _ = writeln!(out, "         why    {line}");
        }),
        Outlook::AwaitsUpstream { on } => {
            let names: Vec<&str> = on.iter().map(|up| &*plan.tasks[*up].id).collect();
            let _ = writeln!(out, "         awaits {}", shorten(&names));
        }
        // Of what is done a line is enough: there may be ten thousand of them around one that will run.
        Outlook::Cached | Outlook::NotSelected => return,
    }
    for (slot, sources) in task.inputs.iter() {
        let names: Vec<Cow<'_, str>> = sources.iter().map(|s| source(plan, s)).collect();
        if !names.is_empty() {
            let _ = writeln!(out, "         in     {slot}: {}", shorten(&names));
        }
    }
    let files: Vec<String> =
        task.outputs.values().map(|f| task.folder.join(f).display().to_string()).collect();
    let _ = writeln!(out, "         out    {}", files.join(", "));
    let _ = writeln!(out, "         on     {}", resources(&task.resources));
    if !task.retries.is_empty() {
        let again = task.retries.0.iter().map(|(class, retry)| format!("{class} × {}", retry.times));
        let _ = writeln!(out, "         again  {}", again.collect::<Vec<_>>().join(", "));
    }
    if let Some(rescue) = &task.rescue {
        let _ = writeln!(out, "         memory {}", rescued(rescue));
    }
    if task.priority != 0 {
        let _ = writeln!(out, "         prio   {}", task.priority);
    }
}

/// What is tried when memory runs out, in a few words.
fn rescued(rescue: &Rescue) -> String {
    let halve = rescue.halve.as_ref().map(|halve| match halve.floor {
        1 => format!("halve `{}`", halve.name),
        floor => format!("halve `{}` down to {floor}", halve.name),
    });
    let grow = rescue.memory.map(|grow| {
        let most = grow.most.map(|bytes| format!(" up to {}", memory(bytes))).unwrap_or_default();
        format!("{} × the limit{most}", grow.factor)
    });
    match (halve, grow) {
        (None, None) => "when it runs out, fail".to_owned(),
        (halve, grow) => {
            let steps: Vec<String> = halve.into_iter().chain(grow).collect();
            format!("when it runs out, {}", steps.join(", then "))
        }
    }
}

fn state(outlook: &Outlook) -> &'static str {
    match outlook {
        Outlook::Cached => "cached",
        Outlook::Run { .. } => "will run",
        Outlook::AwaitsUpstream { .. } => "awaits",
        Outlook::NotSelected => "-",
    }
}

fn source<'a>(plan: &Plan, source: &'a Source) -> Cow<'a, str> {
    match source {
        Source::Task { task, output } => format!("{} › {output}", plan.tasks[*task].id).into(),
        Source::File { path } => path.to_string_lossy(),
    }
}

fn shorten<T: AsRef<str>>(names: &[T]) -> String {
    let join = |names: &[T]| names.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ");
    match names.len() {
        n if n <= SHOWN => join(names),
        n => format!("{}, … ({n} in all)", join(&names[..SHOWN - 1])),
    }
}

/// Device, cores, memory and time of a task in a few words.
fn resources(resources: &Resources) -> String {
    let mut words = vec![match resources.device {
        DeviceKind::Cpu => "cpu".to_owned(),
        DeviceKind::Cuda => format!("cuda × {}", resources.gpus.max(1)),
    }];
    words.push(match resources.cores {
        1 => "1 core".to_owned(),
        n => format!("{n} cores"),
    });
    words.extend(resources.memory.map(|b| format!("{} memory", memory(b))));
    words.extend(resources.gpu_memory.map(|b| format!("{} GPU memory", memory(b))));
    words.extend(resources.time_s.map(|s| format!("at most {s} s")));
    words.join(", ")
}

fn totals(outlook: &[Outlook]) -> String {
    let count = |f: fn(&Outlook) -> bool| outlook.iter().filter(|o| f(o)).count();
    format!(
        "{} tasks: {} cached, {} will run, {} await upstream",
        count(|o| *o != Outlook::NotSelected),
        count(|o| *o == Outlook::Cached),
        count(|o| matches!(o, Outlook::Run { .. })),
        count(|o| matches!(o, Outlook::AwaitsUpstream { .. })),
    )
}
