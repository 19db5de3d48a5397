//! Control groups: what the kernel did for want of memory, and groups of our own where that is allowed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where version 2 is mounted, alone or beside version 1.
const UNIFIED: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Where version 1 has its memory controller.
const MEMORY: &str = "/sys/fs/cgroup/memory";

/// The control group of a process that limits its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Own {
    Two(PathBuf),
    One(PathBuf),
}

impl Own {
    /// That of this process; `None` where there is none, as outside containers and services.
    fn find() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::parse(&text, &|path| path.exists())
    }

    /// `text` is `/proc/self/cgroup`. Seen from inside a container, the path may be one outside it; then the
    /// root that is mounted is the container's own group.
    fn parse(text: &str, exists: &dyn Fn(&Path) -> bool) -> Option<Self> {
        let below = |root: &str, path: &str| Path::new(root).join(path.trim_start_matches('/'));
        let one = text.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let memory = fields.next()?.split(',').any(|controller| controller == "memory");
            memory.then(|| fields.next()).flatten()
        });
        if let Some(path) = one {
            let places = [below(MEMORY, path), PathBuf::from(MEMORY)];
            return places.into_iter().find(|p| exists(&p.join("memory.oom_control"))).map(Self::One);
        }
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        let places = UNIFIED.iter().flat_map(|root| [below(root, path), PathBuf::from(root)]);
        places.into_iter().find(|p| exists(&p.join("memory.events"))).map(Self::Two)
    }

    fn kills(&self) -> Option<u64> {
        let file = match self {
            Self::Two(group) => group.join("memory.events"),
            Self::One(group) => group.join("memory.oom_control"),
        };
        counter(&fs::read_to_string(file).ok()?)
    }

    fn limit(&self) -> Option<u64> {
        match self {
            Self::Two(group) => number(&group.join("memory.max")),
            Self::One(group) => number(&group.join("memory.limit_in_bytes")),
        }
    }
}

/// `max` is no number, and so no limit.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The value on the line `oom_kill N`.
fn counter(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// How many processes the kernel has ended for want of memory: in this process's control group if that can be
/// told, else on the whole machine. `None` where the system does not tell.
///
/// A program that was killed while this grew has most likely run out of memory.
pub fn kernel_kills() -> Option<u64> {
    let own = Own::find().and_then(|own| own.kills());
    own.or_else(|| counter(&fs::read_to_string("/proc/vmstat").ok()?))
}

/// Memory in all, bytes, of the machine or this process's control group.
pub fn total_memory() -> Option<u64> {
    let machine = meminfo("MemTotal:");
    let group = Own::find().and_then(|own| own.limit());
    machine.into_iter().chain(group).min()
}

fn meminfo(key: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// A control group (version 2) of our own with a limit on memory; removed when dropped, by when its
/// processes must have ended.
#[derive(Debug)]
pub struct Group {
    folder: PathBuf,
}

impl Group {
    /// A group that may have `bytes`. `None` where this user may not make one, or cannot limit its memory:
    /// most often, since only a service manager that delegates, or a container with its own hierarchy,
    /// allows it.
    pub fn limited(bytes: u64) -> Option<Self> {
        let Own::Two(own) = Own::find()? else { return None };
        // A group with processes in it cannot hand its controllers on, unless it is the root; so the new one
        // stands beside our own, where the controllers are those that we have.
        let places = [own.parent().map(Path::to_owned), Some(own)];
        places.into_iter().flatten().find_map(|parent| Self::make(&parent, bytes))
    }

    fn make(parent: &Path, bytes: u64) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let controllers = fs::read_to_string(parent.join("cgroup.subtree_control")).ok()?;
        if !controllers.split_whitespace().any(|controller| controller == "memory") {
            return None;
        }
        let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = parent.join(format!("phasegraph-{process}-{next}"));
        fs::create_dir(&folder).ok()?;
        let group = Self { folder };
        let set = |name: &str, value: &str| {
            OpenOptions::new().write(true).open(group.folder.join(name)).and_then(|mut file| {
                use io::Write;
                file.write_all(value.as_bytes())
            })
        };
        // Without swap a program that needs more ends at once, instead of making the machine crawl. There
        // is no such file where there is no swap.
        let _ = set("memory.swap.max", "0");
        set("memory.max", &bytes.to_string()).ok()?;
        Some(group)
    }

    /// The file through which a process joins.
    pub(super) fn door(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.folder.join("cgroup.procs"))
    }

    /// How many of its processes the kernel has ended for want of memory.
    pub fn kills(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join("memory.events"));
        events.ok().and_then(|text| counter(&text)).unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Fails if a process is still in it; an empty group that stays costs nothing.
        let _ = fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_in_either_version() {
        let find =
            |text: &str, there: &[&str]| Own::parse(text, &|p| there.iter().any(|t| Path::new(t) == p));
        let service = "/sys/fs/cgroup/user.slice/a.scope/memory.events";
        let two = Own::Two(PathBuf::from("/sys/fs/cgroup/user.slice/a.scope"));
        assert_eq!(find("0::/user.slice/a.scope\n", &[service]), Some(two));
        assert_eq!(find("0::/\n", &[]), None, "the root has no counter");
        let inside = Own::Two(PathBuf::from("/sys/fs/cgroup"));
        assert_eq!(find("0::/../outside\n", &["/sys/fs/cgroup/memory.events"]), Some(inside));
        let text = "9:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/\n";
        let one = |path: &str| Some(Own::One(PathBuf::from(path)));
        let file = "/sys/fs/cgroup/memory/docker/1/memory.oom_control";
        assert_eq!(find(text, &[file]), one("/sys/fs/cgroup/memory/docker/1"));
        assert_eq!(find(text, &["/sys/fs/cgroup/memory/memory.oom_control"]), one("/sys/fs/cgroup/memory"));
    }

    #[test]
    fn counters_are_read_from_each_of_the_files() {
        assert_eq!(counter("low 0\nhigh 3\noom 5\noom_kill 4\noom_group_kill 9\n"), Some(4));
        assert_eq!(counter("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), Some(2));
        assert_eq!(counter("nr_free_pages 12\noom_kill 0\n"), Some(0));
        assert_eq!(counter("oom 5\n"), None);
    }

    #[test]
    fn what_is_free_is_part_of_what_there_is() {
        let (free, total) = (crate::os::free_memory().unwrap(), total_memory().unwrap());
        assert!(0 < free && free <= total, "{free} of {total}");
    }

    #[test]
    fn a_group_is_made_only_where_memory_can_be_limited() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Group::make(dir.path(), 5).is_none());
        fs::write(dir.path().join("cgroup.subtree_control"), "cpu pids\n").unwrap();
        assert!(Group::make(dir.path(), 5).is_none());
        fs::write(dir.path().join("cgroup.subtree_control"), "cpu memory pids\n").unwrap();
        // The kernel would make the files with the folder; here there are none, so it is given up again.
        assert!(Group::make(dir.path(), 5).is_none());
        assert_eq!(dir.path().read_dir().unwrap().count(), 1, "nothing is left");
    }
}
