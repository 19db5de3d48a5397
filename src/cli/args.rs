//! The command line's grammar. Help, completions and the README's tables come from here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use phasegraph::diag::exit;

/// Run ptychography dose/overlap studies from one YAML file.
#[derive(Debug, Parser)]
#[command(name = "phasegraph", version, about, after_help = exit_codes(), propagate_version = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a study; whatever is in the cache is not run again
    Run(Run),
    /// Go on with a study that failed, was interrupted or was killed
    Resume(Run),
    /// Show what would run, why, in what order, with what; runs nothing
    Plan(Plan),
    /// Show how the last run stands or ended
    Status(Status),
    /// Write one HTML page: scores, pictures, curves, tasks, and whether to trust them
    Report(Report),
    /// Show what differs between two runs: parameters, inputs, metrics
    Compare(Compare),
    /// Say why a task will run, or why it will not
    Explain(Explain),
    /// Print the log of a task's last attempt, or of an earlier one
    Log(Log),
    /// Show what a result was made from, and whether all of that is still sound
    Provenance(Provenance),
    /// Look after the store: hash everything in it
    #[command(subcommand)]
    Store(StoreCommand),
    /// Remove from the store what no study needs any more
    Gc(Gc),
    /// Check a study file and report every problem in it
    Check(Check),
    /// Print the JSON Schema of the study file, for editors
    Schema,
    /// Print a completion script for a shell
    Completions(Completions),
    /// Show which ONNX Runtime is in use and which providers it has
    Runtime(Runtime),
    /// Look at a trained model
    #[command(subcommand)]
    Model(ModelCommand),
    /// Run one job read from standard input
    #[command(hide = true)]
    Worker,
}

/// What every command on a study takes.
#[derive(Debug, ClapArgs)]
pub struct StudyArgs {
    /// The study file
    pub study: PathBuf,
    /// Folder for results, store and journals [default: phasegraph-out beside the study file]
    #[arg(long, value_name = "DIR", env = "PHASEGRAPH_DIR")]
    pub dir: Option<PathBuf>,
    /// Change the study for this command: AXIS=V1,V2 or STAGE.PARAM=VALUE or seed=N (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
}

/// Which tasks.
#[derive(Debug, ClapArgs)]
pub struct SelectArgs {
    /// Only tasks that match, and what they need: KEY=VALUE[|VALUE],… with stage, phase, task or an axis as KEY (repeatable: any may match)
    #[arg(long, value_name = "TERMS")]
    pub select: Vec<String>,
    /// Only from this phase, or this stage and what follows it (and what they need)
    #[arg(long, value_name = "PHASE|STAGE")]
    pub from: Option<String>,
    /// Only up to this phase, or this stage and what it needs
    #[arg(long, value_name = "PHASE|STAGE")]
    pub until: Option<String>,
    /// Run the selected tasks even if the cache has them (what they need still comes from it)
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Run {
    #[command(flatten)]
    pub study: StudyArgs,
    #[command(flatten)]
    pub select: SelectArgs,
    /// After a failure, go on with tasks that do not depend on it
    #[arg(short, long)]
    pub keep_going: bool,
    /// Cores to use at most [default: all]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
    /// Memory that running tasks may have promised to them in all, for example 48GiB [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_memory: Option<u64>,
    /// Hash every input and every object again instead of trusting sizes and times
    #[arg(long)]
    pub verify: bool,
    /// Seconds that running tasks get to end in order after Ctrl-C, SIGTERM or SIGHUP
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub grace: u64,
    /// CUDA devices to use, by index [default: CUDA_VISIBLE_DEVICES' number of devices, else those of this machine]
    #[arg(long, value_name = "I,J", value_delimiter = ',')]
    pub gpus: Option<Vec<u32>>,
    /// Never fetch anything: ONNX Runtime must be there already
    #[arg(long)]
    pub offline: bool,
    /// Only say what went wrong, and the end
    #[arg(short, long)]
    pub quiet: bool,
    /// Print one JSON document about the end of the run instead of the tables
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PlanFormat {
    /// A list for people
    Text,
    /// One JSON document
    Json,
    /// Graphviz
    Dot,
    /// Mermaid flowchart
    Mermaid,
}

#[derive(Debug, ClapArgs)]
pub struct Plan {
    #[command(flatten)]
    pub study: StudyArgs,
    #[command(flatten)]
    pub select: SelectArgs,
    /// How to print it
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub format: PlanFormat,
    /// Short for --format json
    #[arg(long)]
    pub json: bool,
    /// Cores that the estimate of time counts on [default: all]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
    /// Hash every input and every object again instead of trusting sizes and times
    #[arg(long)]
    pub verify: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Status {
    #[command(flatten)]
    pub study: StudyArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Report {
    #[command(flatten)]
    pub study: StudyArgs,
    /// Folder for report.html and tables/ [default: reports/<study>, beside results]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The model that differences are to at first; a reader can choose another [default: the first]
    #[arg(long, value_name = "MODEL")]
    pub reference: Option<String>,
    /// The axis that only repeats, over which means are taken [default: one called trial, seed, repeat or draw]
    #[arg(long, value_name = "AXIS")]
    pub trials: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct Compare {
    /// A run: its folder, its name, STUDY/RUN, or STUDY for the last run of a study
    #[arg(value_name = "RUN_A")]
    pub a: String,
    /// The other run
    #[arg(value_name = "RUN_B")]
    pub b: String,
    #[command(flatten)]
    pub folder: FolderArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Explain {
    #[command(flatten)]
    pub study: StudyArgs,
    /// The task, for example reconstruct@dose=1e4,view=dense
    pub task: String,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Log {
    #[command(flatten)]
    pub study: StudyArgs,
    /// The task, for example reconstruct@dose=1e4,view=dense
    pub task: String,
    /// This attempt of the last run that started the task [default: the last]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempt: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProvenanceFormat {
    /// A tree for people
    Text,
    /// One JSON document
    Json,
    /// A folder to give away: the files, and ro-crate-metadata.json (Provenance Run Crate 0.5)
    RoCrate,
}

#[derive(Debug, ClapArgs)]
pub struct Provenance {
    /// A result, or the folder of a task's results
    pub output: PathBuf,
    /// Folder for results, store and journals [default: found by walking up from OUTPUT]
    #[arg(long, value_name = "DIR", env = "PHASEGRAPH_DIR")]
    pub dir: Option<PathBuf>,
    /// How to tell it
    #[arg(long, value_enum, default_value_t = ProvenanceFormat::Text)]
    pub format: ProvenanceFormat,
    /// Folder for the crate, new or empty
    #[arg(long, value_name = "DIR", required_if_eq("format", "ro-crate"))]
    pub out: Option<PathBuf>,
    /// Who is answerable for the results: a name, with an address such as an ORCID in <>
    #[arg(long, value_name = "NAME <URL>", requires = "out")]
    pub author: Option<String>,
    /// Where they work and who publishes: a name, with its page in <>
    #[arg(long, value_name = "NAME <URL>", requires = "out")]
    pub organization: Option<String>,
    /// How the crate's data may be used: a name, with the address of the text in <>
    #[arg(long, value_name = "NAME <URL>", requires = "out")]
    pub license: Option<String>,
}

/// What commands take that are about a folder and no study.
#[derive(Debug, ClapArgs)]
pub struct FolderArgs {
    /// Folder with results, store and journals [default: found from the current folder upwards]
    #[arg(long, value_name = "DIR", env = "PHASEGRAPH_DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Hash every object, open every record; what is damaged goes to quarantine and is named
    Verify(Verify),
}

#[derive(Debug, ClapArgs)]
pub struct Verify {
    #[command(flatten)]
    pub folder: FolderArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Print what an ONNX file says of itself, and whether `infer` can run it
    Inspect(Inspect),
}

#[derive(Debug, ClapArgs)]
pub struct Inspect {
    /// The model
    pub file: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Gc {
    #[command(flatten)]
    pub folder: FolderArgs,
    /// Only list what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Remove journals and logs of all but the newest N runs of every study, too
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_runs: Option<u32>,
    /// Remove only what was written longer ago, for example 30d or 12h
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub older_than: Option<Duration>,
    /// Remove only as much, oldest first, as it takes for the store to fit, for example 100GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,
    /// Remove damaged files that were put aside, too
    #[arg(long)]
    pub quarantine: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Check {
    #[command(flatten)]
    pub study: StudyArgs,
}

#[derive(Debug, ClapArgs)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Debug, ClapArgs)]
pub struct Runtime {
    /// Fetch ONNX Runtime now if none is found
    #[arg(long)]
    pub fetch: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// A size as in `resources.memory`.
fn size(text: &str) -> Result<u64, String> {
    phasegraph::study::size(text).ok_or_else(|| "expected a size such as `512MiB` or `48GiB`".to_owned())
}

/// An age, as times in a study file are written.
fn age(text: &str) -> Result<Duration, String> {
    let seconds = phasegraph::study::time(text).map(Duration::try_from_secs_f64);
    seconds.and_then(Result::ok).ok_or_else(|| "expected an age such as `30d` or `12h`".to_owned())
}

fn exit_codes() -> String {
    let lines = exit::ALL.iter().map(|(code, meaning)| format!("  {code:>3}  {meaning}\n"));
    format!("Exit codes:\n{}", lines.collect::<String>().trim_end())
}
