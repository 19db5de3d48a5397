//! From arguments to study, plan, selection and paths.

use std::io::Write;
use std::path::{Path, PathBuf};

use phasegraph::cache::{Deciding, History, Layout, Memory, Store, StoreError, StoreLock, Surroundings};
use phasegraph::diag::nearest;
use phasegraph::events::{Record, RunView, read};
use phasegraph::kind::Catalog;
use phasegraph::plan::{Outlook, Plan, Selection, TaskSet, expand};
use phasegraph::study::{self, Study};
use phasegraph::{runtime, stages};

use super::args::{FolderArgs, SelectArgs, StudyArgs};
use super::failure::Failure;
use super::surroundings;

/// A study, planned, with the place of its outputs.
pub struct Loaded {
    pub plan: Plan,
    pub layout: Layout,
}

/// Tasks that a command is about.
pub struct Selected {
    /// Targets and what they need.
    pub tasks: TaskSet,
    /// Targets that are to run in any case.
    pub forced: TaskSet,
}

pub fn load(args: &StudyArgs) -> Result<Loaded, Failure> {
    Ok(load_study(args)?.1)
}

/// The same with the study itself.
pub fn load_study(args: &StudyArgs) -> Result<(Study, Loaded), Failure> {
    let catalog: Catalog = stages::catalog();
    let study = study::load(&args.study, &catalog, &args.sets)?;
    let layout = Layout::new(root(args)?, &study.name);
    let plan = plan(&study, &catalog)?;
    Ok((study, Loaded { plan, layout }))
}

/// The same with what is remembered of earlier runs, read meanwhile. `afresh` trusts no record of what was
/// hashed in the past.
pub fn load_with_memory(args: &StudyArgs, afresh: bool) -> Result<(Loaded, Memory), Failure> {
    load_beside(args, &root(args)?, afresh, None)
}

/// The same in order to run.
pub fn load_to_run(args: &StudyArgs, afresh: bool) -> Result<(Loaded, Memory), Failure> {
    let root = root(args)?;
    let lock = StoreLock::share_if_there(&Layout::store_in(&root))?;
    load_beside(args, &root, afresh, lock)
}

/// Everything that can be read at the same time is: the store needs nothing of the study but its folder, the
/// history only its name.
fn load_beside(
    args: &StudyArgs,
    root: &Path,
    afresh: bool,
    lock: Option<StoreLock>,
) -> Result<(Loaded, Memory), Failure> {
    // This thread takes part: what is done together begins at once, without waking others first. There is a
    // pool already only if this was called before.
    let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    let store = || Store::open(Layout::store_in(root), afresh);
    let study = || {
        let catalog: Catalog = stages::catalog();
        let study = study::load(&args.study, &catalog, &args.sets)?;
        let layout = Layout::new(root, &study.name);
        let file = layout.history();
        let (plan, history) = rayon::join(|| plan(&study, &catalog), || History::load(&file));
        let plan = plan?;
        // Taking it apart takes time, and nobody waits for its memory.
        std::mem::forget(study);
        Ok::<_, Failure>((Loaded { plan, layout }, history.map_err(StoreError::io("read", &file))?))
    };
    let (study, store) = rayon::join(study, store);
    let (loaded, history) = study?;
    Ok((loaded, Memory { store: store?, history, lock }))
}

/// The folder of all that a study makes.
fn root(args: &StudyArgs) -> Result<PathBuf, Failure> {
    let beside = || study::folder(&args.study).join("phasegraph-out");
    // Workers run in other folders, so paths handed to them must not depend on the current one.
    absolute(&args.dir.clone().unwrap_or_else(beside))
}

fn plan(study: &Study, catalog: &Catalog) -> Result<Plan, Failure> {
    let plan = expand(study, catalog)?;
    Ok(Plan { base: absolute(&plan.base)?, ..plan })
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|source| Failure::Read { path: path.to_owned(), source })
}

/// The folder that a command without a study is about: the one given, else the next one from the current
/// folder upwards that has a store, or has a `phasegraph-out` with one.
pub fn folder(args: &FolderArgs) -> Result<PathBuf, Failure> {
    let has_store = |folder: &PathBuf| Layout::store_in(folder).is_dir();
    if let Some(dir) = &args.dir {
        let dir = absolute(dir)?;
        return if has_store(&dir) { Ok(dir) } else { Err(Failure::NoStore { looked: short(&dir) }) };
    }
    let here = absolute(Path::new("."))?;
    let near = |folder: &Path| [folder.join("phasegraph-out"), folder.to_owned()].into_iter().find(has_store);
    let looked = || format!("{}, its `phasegraph-out`, or above", here.display());
    here.ancestors().find_map(near).ok_or_else(|| Failure::NoStore { looked: looked() })
}

pub fn select(plan: &Plan, args: &SelectArgs) -> Result<Selected, Failure> {
    let selection =
        Selection { select: args.select.clone(), from: args.from.clone(), until: args.until.clone() };
    let targets = TaskSet::from(&selection.targets(plan)?);
    let tasks = plan.with_upstream(&targets);
    Ok(Selected { tasks, forced: if args.force { targets } else { TaskSet::new() } })
}

/// What decides results but is not in the study file.
pub fn around(plan: &Plan, search: &runtime::Search) -> Result<Surroundings, Failure> {
    let runtime = if plan.tasks.iter().any(|t| t.needs_runtime) {
        let version = runtime::version(search).map_err(|e| Failure::Runtime(e.into()))?;
        Some(format!("onnxruntime {version}"))
    } else {
        None
    };
    Ok(Surroundings { env: surroundings::named_variables(plan), runtime })
}

/// What a run would do now.
pub fn outlook(loaded: &Loaded, memory: &mut Memory, selected: &Selected) -> Result<Vec<Outlook>, Failure> {
    let around = around(&loaded.plan, &surroundings::search(true))?;
    let Memory { store, history, .. } = memory;
    let deciding = Deciding { plan: &loaded.plan, layout: &loaded.layout, history, around: &around };
    Ok(deciding.preview(&selected.tasks, &selected.forced, store)?)
}

/// The task of that name.
pub fn task(plan: &Plan, name: &str) -> Result<usize, Failure> {
    plan.find(name).ok_or_else(|| {
        let near = nearest(name, plan.tasks.iter().map(|t| &*t.id));
        let hint = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_else(|| {
            let some: Vec<&str> = plan.tasks.iter().take(3).map(|t| &*t.id).collect();
            format!("; tasks are called {}, …", some.join(", "))
        });
        Failure::NoSuchTask { message: format!("this study has no task `{name}`{hint}") }
    })
}

/// Journal of the last run.
pub fn last_run(layout: &Layout, study: &str) -> Result<(String, Vec<Record>), Failure> {
    let runs = layout.list_runs().map_err(|source| Failure::Read { path: layout.runs(), source })?;
    let run = runs
        .into_iter()
        .next_back()
        .ok_or_else(|| Failure::NeverRun { study: study.to_owned(), folder: layout.runs() })?;
    let records = read(&layout.journal(&run))?;
    Ok((run, records))
}

/// The last run, folded.
pub fn last_view(layout: &Layout, study: &str) -> Result<RunView, Failure> {
    Ok(RunView::of(&last_run(layout, study)?.1))
}

/// Writes to standard output; a reader that has gone away ends the command without an error.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// A value as JSON, with a newline.
pub fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map(|s| s + "\n").map_err(|e| Failure::Output(e.into()))
}

/// A path relative to the current folder where that is shorter.
pub fn short(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.as_ref().and_then(|h| path.strip_prefix(h).ok());
    relative.unwrap_or(path).display().to_string()
}
