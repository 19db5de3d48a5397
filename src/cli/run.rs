//! `phasegraph run` and `phasegraph resume`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use phasegraph::cache::Memory;
use phasegraph::diag::exit;
use phasegraph::events::{Listener, Outcome, Record, RunView};
use phasegraph::exec::{self, Capacity, Gpu, GpuWatch, Handle, Interrupt, Leases, Options, Summary};
use phasegraph::plan::TaskSet;
use phasegraph::report::{Plain, tally};
use phasegraph::study::DeviceKind;
use phasegraph::{os, runtime};

use super::args::Run;
use super::common::{Loaded, around, json, last_view, load_to_run, print, select, short};
use super::failure::Failure;
use super::progress::Progress;
use super::{finale, surroundings};

/// Says how the last run ended, then runs: the cache knows what is left to do.
pub fn resume(args: &Run) -> Result<u8, Failure> {
    let (loaded, memory) = load_to_run(&args.study, args.verify)?;
    let last = last_view(&loaded.layout, &loaded.plan.study)?;
    let ended = match last.outcome {
        Some(outcome) => format!("{outcome:?}").to_lowercase(),
        None => "was cut short".to_owned(),
    };
    if !args.quiet && !args.json {
        print(&format!("run {} {ended}: {}\n", last.run, tally(&last)))?;
    }
    go(&loaded, memory, args)
}

pub fn run(args: &Run) -> Result<u8, Failure> {
    let (loaded, memory) = load_to_run(&args.study, args.verify)?;
    let ended = go(&loaded, memory, args);
    // Nor is the plan taken apart.
    std::mem::forget(loaded);
    ended
}

fn go(loaded: &Loaded, memory: Memory, args: &Run) -> Result<u8, Failure> {
    let selected = select(&loaded.plan, &args.select)?;
    let search = surroundings::search(args.offline);
    let program = surroundings::program()
        .map_err(|source| Failure::Read { path: "the phasegraph program".into(), source })?;
    let screen = Screen::new(args);
    let notice = screen.notice();
    let options = Options {
        selected: selected.tasks.clone(),
        forced: selected.forced,
        keep_going: args.keep_going,
        capacity: Capacity { cores: args.jobs.unwrap_or_else(surroundings::cores), memory: args.max_memory },
        gpu_watch: GpuWatch::default(),
        leases: leases(loaded, &selected.tasks, args)?,
        worker: vec![program.into_os_string(), "worker".into()],
        host: os::host(),
        around: around(&loaded.plan, &search)?,
        runtime: Arc::new(move || {
            let found = runtime::obtain(&search, &mut |step| notice(&step));
            found.map(|f| f.path).map_err(Into::into)
        }),
        grace: Duration::from_secs(args.grace),
    };
    let mut screen = screen;
    let ended = exec::run(&loaded.plan, &loaded.layout, &options, memory, &mut screen, interrupt_on_signals);
    screen.close();
    let summary = ended?;
    let code = tell(loaded, args, &summary);
    // The process ends here; taking apart what is known of a hundred thousand tasks would only take time.
    std::mem::forget(summary);
    code
}

/// GPUs, if any of these tasks wants one.
fn leases(loaded: &Loaded, tasks: &TaskSet, args: &Run) -> Result<Option<Leases>, Failure> {
    if !tasks.iter().any(|task| loaded.plan.tasks[task].resources.device == DeviceKind::Cuda) {
        return Ok(None);
    }
    let mut gpus = surroundings::gpus();
    if let Some(wanted) = &args.gpus {
        let find = |index: &u32| gpus.iter().find(|gpu| gpu.index == *index).cloned();
        gpus = wanted.iter().map(|index| find(index).unwrap_or_else(|| Gpu::numbered(*index))).collect();
    }
    if gpus.is_empty() {
        return Ok(None);
    }
    let folder = surroundings::leases();
    let leases = Leases::open(&folder, gpus, &os::host());
    leases.map(Some).map_err(|source| Failure::Read { path: folder, source })
}

/// The first signal asks, the second insists.
fn interrupt_on_signals(handle: Handle) {
    let asked = AtomicBool::new(false);
    // Fails only if a handler is set already, and there is one run in a process.
    let _ = ctrlc::set_handler(move || {
        handle.interrupt(match asked.swap(true, Ordering::SeqCst) {
            false => Interrupt::Gently,
            true => Interrupt::Now,
        });
    });
}

fn tell(loaded: &Loaded, args: &Run, summary: &Summary) -> Result<u8, Failure> {
    if args.json {
        print(&json(&finale::document(loaded, summary))?)?;
    } else {
        print(&finale::text(loaded, summary, &short(&args.study.study)))?;
    }
    Ok(match summary.outcome {
        Outcome::Succeeded => exit::OK,
        Outcome::Interrupted => exit::INTERRUPTED,
        Outcome::Failed if summary.runtime_missing => exit::RUNTIME,
        Outcome::Failed => exit::TASK_FAILED,
    })
}

/// Where live reports go: bars on a terminal, lines elsewhere.
enum Screen {
    Bars(Progress),
    Lines(Plain<std::io::Stderr>),
}

impl Screen {
    fn new(args: &Run) -> Self {
        if surroundings::draws() && !args.quiet {
            Screen::Bars(Progress::new())
        } else {
            Screen::Lines(Plain::new(std::io::stderr(), args.quiet))
        }
    }

    /// Tells the steps of fetching ONNX Runtime, from another thread.
    fn notice(&self) -> Box<dyn Fn(&runtime::FetchStep) + Send + Sync> {
        match self {
            Screen::Bars(progress) => progress.fetching(),
            Screen::Lines(_) => Box::new(|step| {
                if let Some(text) = super::runtime::describe_step(step) {
                    eprintln!("{text}");
                }
            }),
        }
    }

    fn close(self) {
        if let Screen::Bars(progress) = self {
            progress.close();
        }
    }
}

impl Listener for Screen {
    fn hear(&mut self, record: &Record, view: &RunView) {
        match self {
            Screen::Bars(progress) => progress.hear(record, view),
            Screen::Lines(plain) => plain.hear(record, view),
        }
    }
}
