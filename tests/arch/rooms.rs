//! The table of rooms in `src/ARCHITECTURE.md`, and the dependencies of `Cargo.toml`: the documents
//! themselves are what the sources are held against.

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Module.
    pub name: String,
    /// (crate as sources name it, place of its home).
    pub crates: Vec<(String, String)>,
}

/// Reads the table: rows that begin with a module in backticks.
pub fn read(document: &str) -> Vec<Room> {
    document.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Room> {
    let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
    let [module, _, home, ..] = cells.as_slice() else { return None };
    let name = module.split('`').next()?.to_owned();
    let crates = home
        .split(',')
        .map(str::trim)
        .filter(|c| !c.is_empty())
        .map(|c| {
            let place = c.split('`').nth(1).unwrap_or(&name);
            (c.split(' ').next().unwrap_or(c).replace('-', "_"), place.to_owned())
        })
        .collect();
    Some(Room { name, crates })
}

/// Names in the `[dependencies]` section.
pub fn dependencies(manifest: &str) -> Vec<&str> {
    let lines = manifest.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with(['#', ' ', ']']))
        .filter_map(|line| line.split(['=', ' ', '.']).next())
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_listed() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\n# b = \"2\"\nc-d = { version = \"3\" }\n\
                        e.version = \"4\"\n\n[dev-dependencies]\nf = \"5\"\n";
        assert_eq!(dependencies(manifest), ["a", "c-d", "e"]);
    }

    #[test]
    fn rows_give_rooms_and_homes() {
        let table = "| module | owns | the only home of |\n|---|---|---|\n\
                     | `stages` | one folder per kind | ort (in `stages/infer`) |\n\
                     | `kind` | data | |\n| `cli` (binary) | terminal | clap, ndarray-npy |\n| no row |";
        let home = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            read(table),
            [
                Room { name: "stages".to_owned(), crates: vec![home("ort", "stages/infer")] },
                Room { name: "kind".to_owned(), crates: vec![] },
                Room {
                    name: "cli".to_owned(),
                    crates: vec![home("clap", "cli"), home("ndarray_npy", "cli")]
                },
            ]
        );
    }
}
