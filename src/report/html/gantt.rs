//! The time line of a run: a lane for each place at which tasks ran side by side, and the memory they took.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::dag;
use crate::diag::{duration, memory};
use crate::dossier::{Bar, Dossier};

const LEFT: f64 = 74.0;
const WIDTH: f64 = 900.0;
const LANE: f64 = 18.0;
const TOP: f64 = 6.0;
const MEMORY: f64 = 54.0;
/// Bars beyond so many are left out, the shortest first.
const BARS: usize = 1500;
/// Lanes of one device beyond so many share the last.
const LANES: usize = 32;

/// One attempt.
pub(super) struct Drawn {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub class: String,
    /// `!` for a failed attempt, `↻` for a rescue.
    pub mark: &'static str,
    pub title: String,
    /// Shown in the bar, if there is room.
    pub text: String,
}

/// The drawing.
pub(super) struct Gantt {
    pub run: String,
    pub width: f64,
    pub height: f64,
    pub bar_height: f64,
    pub lanes: Vec<(f64, String)>,
    pub bars: Vec<Drawn>,
    /// Where the axis is, and its ticks.
    pub axis: f64,
    pub left: f64,
    pub right: f64,
    pub ticks: Vec<(f64, String)>,
    /// Outline of the memory's area, with its top, its bottom and the most.
    pub memory: Option<(String, f64, f64, String)>,
    pub left_out: usize,
    /// Phases that occur.
    pub phases: Vec<String>,
    /// In words.
    pub alt: String,
}

/// Draws the time line; none if no run has started a task.
pub(super) fn gantt(dossier: &Dossier) -> Option<Gantt> {
    let run = dossier.timeline.run.clone()?;
    let all = &dossier.timeline.bars;
    let end = all.iter().map(|b| b.start + b.seconds).fold(0.0, f64::max).max(1e-3);
    let mut longest: Vec<&Bar> = all.iter().collect();
    longest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let shortest = longest.get(BARS).map_or(0.0, |bar| bar.seconds);
    let shown: Vec<&Bar> = all.iter().filter(|bar| all.len() <= BARS || bar.seconds > shortest).collect();
    let scale = (WIDTH - LEFT - 12.0) / end;
    let phase_of: BTreeMap<&str, &str> =
        dossier.stages.iter().map(|s| (s.id.as_str(), s.phase.as_str())).collect();
    let phase = |task: &str| {
        let stage = task.split('@').next().unwrap_or(task);
        phase_of.get(stage).copied().unwrap_or("G")
    };
    let (places, lanes) = lanes(&shown);
    let draw = |(bar, lane): (&&Bar, &usize)| {
        let failed = !matches!(bar.outcome.as_str(), "succeeded" | "unfinished");
        let width = (bar.seconds * scale).max(1.5);
        let text = if width > 7.0 * bar.task.len() as f64 { bar.task.clone() } else { String::new() };
        let failure = if failed { " failed" } else { "" };
        Drawn {
            x: LEFT + bar.start * scale,
            y: TOP + *lane as f64 * LANE,
            width,
            class: format!("ph{}{failure}", phase(&bar.task)),
            mark: if failed {
                "!"
            } else if bar.rescue {
                "↻"
            } else {
                ""
            },
            title: title(bar),
            text,
        }
    };
    let bars: Vec<Drawn> = shown.iter().zip(&places).map(draw).collect();
    let bottom = TOP + lanes.len() as f64 * LANE + 4.0;
    let most = memory_area(all, scale, bottom + 8.0);
    let axis = bottom + if most.is_some() { MEMORY + 16.0 } else { 0.0 };
    let mut phases: Vec<String> = shown.iter().map(|bar| phase(&bar.task).to_owned()).collect();
    phases.sort();
    phases.dedup();
    let rescues = all.iter().filter(|bar| bar.rescue).count();
    let alt = format!(
        "{} attempts in {} on {} lanes; {rescues} rescues after memory ran out",
        all.len(),
        duration(end),
        lanes.len()
    );
    Some(Gantt {
        run,
        width: WIDTH,
        height: axis + 30.0,
        bar_height: LANE - 3.0,
        lanes: lanes.into_iter().enumerate().map(|(i, l)| (TOP + i as f64 * LANE + 11.0, l)).collect(),
        left_out: all.len() - bars.len(),
        bars,
        axis,
        left: LEFT,
        right: WIDTH - 12.0,
        ticks: ticks(end).into_iter().map(|t| (LEFT + t * scale, words(t))).collect(),
        memory: most,
        phases,
        alt,
    })
}

/// The lane of each bar, and the names of the lanes: bars of a device take its first free lane.
fn lanes(bars: &[&Bar]) -> (Vec<usize>, Vec<String>) {
    let mut ends: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut places: Vec<(&str, usize)> = Vec::new();
    for bar in bars {
        let of_device = ends.entry(&bar.device).or_default();
        let free = of_device.iter().position(|end| *end <= bar.start + 1e-6);
        let lane = free.unwrap_or(of_device.len()).min(LANES - 1);
        let end = bar.start + bar.seconds;
        match of_device.get_mut(lane) {
            Some(known) => *known = known.max(end),
            None => of_device.push(end),
        }
        places.push((&bar.device, lane));
    }
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names = Vec::new();
    for (device, of_device) in &ends {
        first.insert(device, names.len());
        names.extend((0..of_device.len()).map(|i| if i == 0 { (*device).to_owned() } else { String::new() }));
    }
    (places.iter().map(|(device, lane)| first.get(device).copied().unwrap_or(0) + lane).collect(), names)
}

fn title(bar: &Bar) -> String {
    let mut text =
        format!("{}, attempt {}: {} after {}", bar.task, bar.attempt, bar.outcome, duration(bar.seconds));
    let _ = write!(text, ", on {}", bar.device);
    if let Some(peak) = bar.peak_memory {
        let _ = write!(text, ", {} of memory", memory(peak));
    }
    if let Some(limit) = bar.limit {
        let _ = write!(text, " of at most {}", memory(limit));
    }
    if let Some(chunk) = &bar.chunk {
        let _ = write!(text, ", {chunk} at a time");
    }
    if bar.rescue {
        text.push_str(", a rescue after memory ran out");
    }
    text
}

/// The sum of the peaks of all tasks that ran at a time: what the run may have needed at most.
fn memory_area(bars: &[Bar], scale: f64, top: f64) -> Option<(String, f64, f64, String)> {
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for bar in bars {
        if let Some(peak) = bar.peak_memory {
            steps.push((bar.start, peak as f64));
            steps.push((bar.start + bar.seconds, -(peak as f64)));
        }
    }
    steps.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut sum = 0.0;
    let levels: Vec<(f64, f64)> = steps
        .into_iter()
        .map(|(at, step)| {
            sum += step;
            (at, sum)
        })
        .collect();
    let most = levels.iter().map(|(_, level)| *level).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let bottom = top + MEMORY;
    let mut path = format!("M{LEFT:.1} {bottom:.1}");
    let mut last = bottom;
    for (at, level) in levels {
        let (x, y) = (LEFT + at * scale, bottom - level.max(0.0) / most * MEMORY);
        let _ = write!(path, "L{x:.1} {last:.1}L{x:.1} {y:.1}");
        last = y;
    }
    let _ = write!(path, "L{:.1} {bottom:.1}Z", WIDTH - 12.0);
    Some((path, top, bottom, memory(most as u64)))
}

/// Five to ten times with few digits.
fn ticks(end: f64) -> Vec<f64> {
    let steps = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
    let step =
        steps.into_iter().find(|s| end / s <= 9.0).unwrap_or_else(|| (end / 9.0 / 3600.0).ceil() * 3600.0);
    (0..).map(|i| f64::from(i) * step).take_while(|t| *t <= end).collect()
}

fn words(seconds: f64) -> String {
    let text = if seconds == 0.0 { "0".to_owned() } else { duration(seconds) };
    [" 0 s", " 0 min"].iter().find_map(|end| text.strip_suffix(end)).map(str::to_owned).unwrap_or(text)
}

/// Rows of the table of attempts that did not simply succeed: task, attempt, outcome, and what it had.
pub(super) fn troubles(dossier: &Dossier) -> Vec<[String; 6]> {
    let trouble = |bar: &&Bar| bar.rescue || bar.outcome != "succeeded";
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let row = |bar: &Bar| {
        let outcome = if bar.rescue { format!("{} (rescue)", bar.outcome) } else { bar.outcome.clone() };
        [
            bar.task.clone(),
            bar.attempt.to_string(),
            or_none(bar.chunk.clone()),
            or_none(bar.limit.map(memory)),
            or_none(bar.peak_memory.map(memory)),
            outcome,
        ]
    };
    dossier.timeline.bars.iter().filter(trouble).map(row).collect()
}

/// Rows of the table of tasks: id, phase, state, class of the state, seconds, time, bytes, memory, device, origin.
pub(super) struct TaskRow {
    pub id: String,
    pub phase: String,
    pub state: &'static str,
    pub class: &'static str,
    pub seconds: f64,
    pub time: String,
    pub bytes: u64,
    pub memory: String,
    pub device: String,
    pub origin: String,
}

/// At most so many tasks are listed in the page; the file beside it has all.
const TASKS: usize = 1000;

pub(super) fn task_rows(dossier: &Dossier) -> (Vec<TaskRow>, usize) {
    let phase = |stage: &str| dossier.stages.iter().find(|s| s.id == stage).map(|s| s.phase.clone());
    let row = |task: &crate::dossier::TaskFacts| TaskRow {
        id: task.id.clone(),
        phase: phase(&task.stage).unwrap_or_default(),
        state: task.state.name(),
        class: dag::class(task.state),
        seconds: task.seconds.unwrap_or(0.0),
        time: task.seconds.map(duration).unwrap_or_else(|| "–".to_owned()),
        bytes: task.peak_memory.unwrap_or(0),
        memory: task.peak_memory.map(memory).unwrap_or_else(|| "–".to_owned()),
        device: task.device.clone().unwrap_or_else(|| "–".to_owned()),
        origin: dag::origin(task, &dossier.run.name),
    };
    let rows: Vec<TaskRow> = dossier.tasks.iter().take(TASKS).map(row).collect();
    let left_out = dossier.tasks.len() - rows.len();
    (rows, left_out)
}
