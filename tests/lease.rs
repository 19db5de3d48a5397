//! GPU leases between processes, some of which are killed: the processes are this test program, started
//! again for the sake of [`as_another_process`].

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use phasegraph::exec::{Gpu, Lease, Leases, Want, Wish};

const MIB: u64 = 1 << 20;
const TOTAL: u64 = 64;

fn leases(dir: &Path) -> Leases {
    let gpu = Gpu { memory: Some(TOTAL * MIB), ..Gpu::numbered(0) };
    Leases::open(dir, vec![gpu], "here").unwrap()
}

/// Takes so many MiB, or the whole GPU for 0.
fn take(leases: &Leases, mib: u64) -> Result<Lease, String> {
    let want = if mib == 0 { Want::Whole } else { Want::Share(mib * MIB) };
    leases.try_take(Wish::one(want), None, "trial").unwrap().map_err(|busy| busy.to_string())
}

/// Another process, killed when dropped.
struct Other {
    child: Child,
}

impl Other {
    fn command(program: &Path, dir: &Path, role: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["--exact", "as_another_process", "--ignored", "--nocapture"]);
        command.env("LEASE_ROLE", role).env("LEASE_DIR", dir);
        // Ends with this process, should that be ended.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    fn start(dir: &Path, role: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        Self { child: Self::command(&program, dir, role).spawn().unwrap() }
    }

    /// What it says when it is ready; empty if it ended without a word.
    fn says(&mut self) -> String {
        let lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        let mut said = lines.map_while(Result::ok).filter_map(|l| Some(l.split_once("SAY ")?.1.to_owned()));
        said.next().unwrap_or_default()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "the other processes of the other tests"]
fn as_another_process() {
    let Ok(role) = std::env::var("LEASE_ROLE") else { return };
    let dir = PathBuf::from(std::env::var_os("LEASE_DIR").unwrap());
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let words: Vec<&str> = role.split_whitespace().collect();
    match words[..] {
        ["hold", mib] => {
            // Modes must not depend on it.
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
            let share = Want::Share(mib.parse::<u64>().unwrap() * MIB);
            let held = leases(&dir).try_take(Wish::one(share), None, "trial");
            println!("SAY {}", told(&held));
            forever();
        }
        ["wait"] => {
            let mut place = None;
            leases(&dir).line_up(Wish::one(Want::Whole), &mut place, "waiter").unwrap();
            println!("SAY waits");
            forever();
        }
        ["hold-with-child"] => {
            let _lease = take(&leases(&dir), 0).unwrap();
            let mut child = Command::new("sleep").arg("60").spawn().unwrap();
            println!("SAY {}", child.id());
            child.wait().unwrap();
        }
        ["hammer", name] => hammer(&dir, name.parse().unwrap()),
        _ => panic!("{role}"),
    }
}

fn told(held: &std::io::Result<Result<Lease, phasegraph::exec::Busy>>) -> String {
    match held {
        Ok(Ok(_)) => "held".to_owned(),
        Ok(Err(busy)) => format!("busy: {busy}"),
        Err(error) => format!("error: {error}"),
    }
}

fn forever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Takes and gives back as fast as it can, and logs each while it has the lease: so what the log says is
/// held at any line is held at that moment, or less than that.
fn hammer(dir: &Path, name: u64) {
    let leases = leases(dir);
    let mut log = OpenOptions::new().append(true).open(dir.join("log")).unwrap();
    let mut random = name.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    loop {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Sometimes all of it, mostly a share that leaves room for a few others.
        let mib = if random.is_multiple_of(16) { 0 } else { 1 + random % (TOTAL / 2) };
        let Ok(lease) = take(&leases, mib) else {
            std::thread::yield_now();
            continue;
        };
        let held = lease.bytes().map_or(TOTAL, |bytes| bytes / MIB);
        log.write_all(format!("{name} + {held}\n").as_bytes()).unwrap();
        std::thread::sleep(Duration::from_micros(random % 2000));
        log.write_all(format!("{name} - {held}\n").as_bytes()).unwrap();
        drop(lease);
    }
}

#[test]
fn a_killed_holder_holds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut holder = Other::start(dir.path(), "hold 40");
    assert_eq!(holder.says(), "held");
    let leases = leases(dir.path());
    let told = take(&leases, 0).unwrap_err();
    let who = format!("GPU 0 is held by process {} on here, task trial (40 MiB)", holder.child.id());
    assert_eq!(told, who);
    assert!(take(&leases, 25).is_err());
    let beside = take(&leases, 24).unwrap();
    holder.kill();
    drop(beside);
    let _all = take(&leases, 0).unwrap();
}

#[test]
fn who_waits_is_waited_for_and_a_killed_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let leases = leases(dir.path());
    let sharer = take(&leases, 8).unwrap();
    let mut waiter = Other::start(dir.path(), "wait");
    assert_eq!(waiter.says(), "waits");
    let told = take(&leases, 8).unwrap_err();
    let who = format!("GPU 0 is waited for by process {} on here, task waiter", waiter.child.id());
    assert!(told.contains(&who), "{told}");
    waiter.kill();
    let beside = take(&leases, 8).unwrap();
    drop((sharer, beside));
}

#[test]
fn what_a_holder_started_does_not_inherit_its_lease() {
    let dir = tempfile::tempdir().unwrap();
    let mut holder = Other::start(dir.path(), "hold-with-child");
    let orphan: i32 = holder.says().parse().unwrap();
    let leases = leases(dir.path());
    assert!(take(&leases, 0).is_err());
    holder.kill();
    // The kernel lets a parent go on before it has closed the parent's files in the child: a moment may pass.
    let begin = Instant::now();
    let mut lease = take(&leases, 0);
    while lease.is_err() && begin.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(1));
        lease = take(&leases, 0);
    }
    let orphan = nix::unistd::Pid::from_raw(orphan);
    nix::sys::signal::kill(orphan, nix::sys::signal::Signal::SIGKILL).unwrap();
    drop(lease.unwrap());
}

/// A child between fork and exec has all files of its parent open.
#[test]
fn a_dropped_lease_is_free_at_once_though_children_are_being_started() {
    let dir = tempfile::tempdir().unwrap();
    let leases = leases(dir.path());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = Command::new("true").status();
            }
        });
        let begin = Instant::now();
        let mut refused = None;
        while begin.elapsed() < Duration::from_secs(2) && refused.is_none() {
            refused = take(&leases, 0).err();
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(refused, None);
    });
}

#[test]
fn processes_never_hold_more_than_there_is_and_the_killed_hold_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = OpenOptions::new().create(true).append(true).open(dir.path().join("log")).unwrap();
    let mut others: Vec<(u64, Other)> = Vec::new();
    let mut next = 1;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(6) {
        if others.len() == 6 {
            // From here on what it holds is not counted: it may be gone before the next line.
            let (name, mut other) = others.remove((next % 6) as usize);
            log.write_all(format!("{name} ! 0\n").as_bytes()).unwrap();
            other.kill();
        }
        others.push((next, Other::start(dir.path(), &format!("hammer {next}"))));
        next += 1;
        std::thread::sleep(Duration::from_millis(53));
    }
    for (name, mut other) in others {
        log.write_all(format!("{name} ! 0\n").as_bytes()).unwrap();
        other.kill();
    }
    drop(take(&leases(dir.path()), 0).expect("everything is free when everyone is dead"));

    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let mut held: BTreeMap<&str, u64> = BTreeMap::new();
    let mut dead: Vec<&str> = Vec::new();
    let (mut taken, mut most, mut together) = (0, 0, 0);
    for (at, line) in log.lines().enumerate() {
        let [name, what, mib] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        match what {
            "!" => {
                dead.push(name);
                held.remove(name);
            }
            _ if dead.contains(&name) => {}
            "+" => {
                assert_eq!(held.insert(name, mib.parse().unwrap()), None);
                taken += 1;
            }
            _ => assert!(held.remove(name).is_some()),
        }
        let sum = held.values().sum();
        assert!(sum <= TOTAL, "line {}: {held:?}", at + 1);
        most = most.max(sum);
        together = together.max(held.len());
    }
    println!("{taken} leases by {next} processes, at most {together} and {most} MiB at a time");
    assert!(taken > 100 && together >= 3 && most > TOTAL / 2, "nothing was tried: {taken} {together} {most}");
}

/// Root alone can be two users.
#[test]
fn users_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    if std::fs::metadata(dir.path()).unwrap().uid() != 0 {
        return;
    }
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o1777)).unwrap();
    // The build folder may be closed to others. Not copied by this process: a child that another test is
    // starting at that moment would have the copy open for writing, and it could not be run.
    let program = dir.path().join("program");
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap();
    assert!(copied.success());
    let start = |user: u32, role: &str| {
        let mut command = Other::command(&program, &dir.path().join("leases"), role);
        Other { child: command.uid(user).gid(user).current_dir("/").spawn().unwrap() }
    };
    let mut first = start(65_534, "hold 40");
    assert_eq!(first.says(), "held", "makes the folder and the file");
    let mut second = start(65_533, "hold 24");
    assert_eq!(second.says(), "held");
    let mut third = start(65_532, "hold 1");
    let told = third.says();
    for (other, mib) in [(&first, 40), (&second, 24)] {
        let name = format!("process {} on here, task trial ({mib} MiB)", other.child.id());
        assert!(told.starts_with("busy: ") && told.contains(&name), "{told}");
    }
    first.kill();
    let mut fourth = start(65_532, "hold 40");
    assert_eq!(fourth.says(), "held");
}
