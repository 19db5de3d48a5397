//! Memory that is free for this process: the machine's, and that of every control group above it.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that this process could take now without anything else having to go; `None` where the system does
/// not tell. What the page cache could give back counts as free.
pub fn free_memory() -> Option<u64> {
    let machine = meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Some(limits(Path::new("/sys/fs/cgroup"), &groups).into_iter().fold(machine, u64::min))
}

/// `MemAvailable`, bytes.
fn meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// What each control group with a limit leaves, for the groups of `/proc/self/cgroup` and all above them.
fn limits(root: &Path, groups: &str) -> Vec<u64> {
    let mut found = Vec::new();
    for line in groups.lines() {
        // `0::/a/b` is version 2; `4:memory:/a/b` is version 1's group for memory.
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (base, limit, usage, cache) = match controllers {
            "" if number == "0" => (root.to_owned(), "memory.max", "memory.current", "inactive_file"),
            c if c.split(',').any(|c| c == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            }
            _ => continue,
        };
        let mut group: Option<PathBuf> = Some(base.join(path.trim_start_matches('/')));
        while let Some(folder) = group.filter(|g| g.starts_with(&base)) {
            found.extend(left(&folder, limit, usage, cache));
            group = folder.parent().map(Path::to_owned);
        }
    }
    found
}

/// What one group leaves: its limit less what it uses, the cache it could drop left out.
fn left(folder: &Path, limit: &str, usage: &str, cache: &str) -> Option<u64> {
    let number = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    // Without a limit version 2 says `max`; version 1 a number beyond any memory.
    let limit = number(limit)?;
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let cache = stat.lines().find_map(|l| l.strip_prefix(cache)?.trim().parse::<u64>().ok());
    Some(limit.saturating_sub(number(usage)?.saturating_sub(cache.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_tells() {
        assert_eq!(meminfo("MemTotal:  9 kB\nMemAvailable:   24 kB\n"), Some(24 * 1024));
        assert!(free_memory().unwrap() > 1 << 20);
    }

    #[test]
    fn every_group_above_counts_in_both_versions() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/memory.max", "1000\n");
        write("a/memory.current", "700\n");
        write("a/memory.stat", "anon 5\ninactive_file 100\n");
        write("a/b/memory.max", "max\n");
        write("a/b/memory.current", "600\n");
        assert_eq!(limits(root.path(), "0::/a/b\n"), [400]);
        write("memory/c/memory.limit_in_bytes", "500\n");
        write("memory/c/memory.usage_in_bytes", "900\n");
        assert_eq!(limits(root.path(), "7:cpu:/c\n4:memory:/c\n0::/a\n"), [0, 400]);
    }
}
