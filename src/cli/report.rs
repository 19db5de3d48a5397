//! `phasegraph report`.

use std::path::Path;

use phasegraph::cache::StoreLock;
use phasegraph::diag::exit;
use phasegraph::dossier::{self, Asking};
use phasegraph::io::atomic;
use phasegraph::report::{self, Table};

use super::args::{Report, StudyArgs};
use super::common::{load_study, print, short};
use super::failure::Failure;

/// The page, in the report's folder.
const PAGE: &str = "report.html";
/// Its tables.
const TABLES: &str = "tables";

pub fn run(args: &Report) -> Result<u8, Failure> {
    let (study, loaded) = load_study(&args.study)?;
    // Nothing is to be removed between looking at it and reading it.
    let _shared = StoreLock::share_if_there(&loaded.layout.store())?;
    let out = args.out.clone().unwrap_or_else(|| loaded.layout.report());
    let failed = |source| Failure::Write { path: out.clone(), source };
    std::fs::create_dir_all(out.join(TABLES)).map_err(failed)?;
    let asking = Asking {
        study: &study,
        plan: &loaded.plan,
        layout: &loaded.layout,
        trial_axis: args.trials.as_deref(),
        commands: commands(&args.study, &study.name),
        scratch: &out,
    };
    let dossier = dossier::gather(asking)?;
    let page = report::html(&dossier, args.reference.as_deref())?;
    let tables = report::tables(&dossier);
    write(&out.join(PAGE), page.as_bytes())?;
    for table in &tables {
        for (name, text) in files(table)? {
            write(&out.join(TABLES).join(name), text.as_bytes())?;
        }
    }
    let count = tables.len();
    print(&format!(
        "{}\n{}: {count} tables, as CSV and JSON\n",
        short(&out.join(PAGE)),
        short(&out.join(TABLES))
    ))?;
    Ok(exit::OK)
}

fn files(table: &Table) -> Result<[(String, String); 2], Failure> {
    let name = table.name;
    let json = super::common::json(&table.to_json())?;
    Ok([(format!("{name}.csv"), table.to_csv()), (format!("{name}.json"), json)])
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    atomic::write(path, bytes).map_err(|source| Failure::Write { path: path.to_owned(), source })
}

/// The commands that make the results and the report again.
fn commands(args: &StudyArgs, study: &str) -> Vec<String> {
    let file = args.study.file_name().map_or_else(|| study.to_owned(), |f| f.to_string_lossy().into_owned());
    let sets: String = args.sets.iter().map(|set| format!(" --set {}", quoted(set))).collect();
    ["run", "report"].map(|command| format!("phasegraph {command} {}{sets}", quoted(&file))).into()
}

/// A word of a shell's command line.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,/:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("dose=1e3,1e5"), "dose=1e3,1e5");
        assert_eq!(quoted("my study.yaml"), "'my study.yaml'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
