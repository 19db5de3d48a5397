//! Which GPUs there are, without CUDA: what `nvidia-smi` says, and what `CUDA_VISIBLE_DEVICES` leaves of it.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::lease::Gpu;
use crate::os;

const QUERY: [&str; 2] = ["--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"];
/// More than any machine's GPUs take.
const MOST_OUTPUT: u64 = 1 << 16;

/// A GPU as its driver knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledGpu {
    /// `GPU-…`, the same in every container and after every restart.
    pub uuid: String,
    /// Its memory in bytes; `None` where the driver does not say, as on chips that share the host's.
    pub memory: Option<u64>,
}

/// The machine's GPUs by the driver's index. `program` is `nvidia-smi` or its path. Empty if it cannot be
/// run, fails, or has not answered within `limit`: it hangs when a driver does.
pub fn installed_gpus(program: &Path, limit: Duration) -> BTreeMap<u32, InstalledGpu> {
    ask(program, limit).map(|text| parse(&text)).unwrap_or_default()
}

/// What the program prints, if it succeeds in time.
fn ask(program: &Path, limit: Duration) -> Option<String> {
    let mut command = Command::new(program);
    command.args(QUERY).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A group of its own, so that a wrapper script ends with what it started.
    let mut child = command.process_group(0).spawn().ok()?;
    let group = child.id();
    let (sender, answer) = mpsc::channel();
    // In a thread, which may be left behind: a program that hangs in the driver cannot even be killed, and
    // waiting for it would hang as well.
    let listen = move || {
        let mut text = String::new();
        let read = child.stdout.take().map(|out| out.take(MOST_OUTPUT).read_to_string(&mut text));
        let ended = child.wait();
        let good = matches!((read, ended), (Some(Ok(_)), Ok(status)) if status.success());
        let _ = sender.send(good.then_some(text));
    };
    let started = std::thread::Builder::new().name("nvidia-smi".to_owned()).spawn(listen);
    let answer = started.ok().and_then(|_| answer.recv_timeout(limit).ok());
    if answer.is_none() {
        // The thread has not reaped it, or only this moment: the number is hardly anyone else's yet.
        os::kill_group(group);
    }
    answer.flatten()
}

/// Lines such as `0, GPU-5d0f…, 81559`; others are passed over.
fn parse(text: &str) -> BTreeMap<u32, InstalledGpu> {
    let line = |line: &str| {
        let mut fields = line.split(',').map(str::trim);
        let (index, uuid, memory) = (fields.next()?.parse().ok()?, fields.next()?, fields.next()?);
        let memory = memory.parse::<u64>().ok().and_then(|mib| mib.checked_mul(1 << 20));
        Some((index, InstalledGpu { uuid: uuid.to_owned(), memory: memory.filter(|bytes| *bytes > 0) }))
    };
    text.lines().filter_map(line).collect()
}

/// The GPUs that CUDA shows to this process and those it starts, numbered as it numbers them: all that are
/// installed, or those in `mask`, the value of `CUDA_VISIBLE_DEVICES`.
///
/// The `id` of a GPU is the driver's index as far as that can be known, since CUDA's number means another
/// GPU in every process that has another mask. What a mask names and nobody knows (parts of a GPU, or any
/// GPU when `installed` is empty) is called what the mask calls it.
///
/// CUDA numbers GPUs by speed unless `CUDA_DEVICE_ORDER=PCI_BUS_ID` is set; on machines whose GPUs are not
/// all alike, processes that lease them should set it.
pub fn visible_gpus(installed: &BTreeMap<u32, InstalledGpu>, mask: Option<&str>) -> Vec<Gpu> {
    let gpu = |(index, gpu): (&u32, &InstalledGpu)| (index.to_string(), gpu.memory);
    let named: Vec<(String, Option<u64>)> = match mask {
        None => installed.iter().map(gpu).collect(),
        Some(mask) => {
            let entries = mask.split(',').map(str::trim);
            // To CUDA, the first entry that names nothing ends the list.
            entries.map_while(|entry| find(installed, entry)).collect()
        }
    };
    (0..).zip(named).map(|(index, (id, memory))| Gpu { index, id, memory }).collect()
}

/// What an entry of a mask names: a number, the beginning of a UUID, a part of a GPU.
fn find(installed: &BTreeMap<u32, InstalledGpu>, entry: &str) -> Option<(String, Option<u64>)> {
    let unknown = || Some((entry.to_owned(), None));
    if let Ok(index) = entry.parse::<u32>() {
        return match installed.get(&index) {
            Some(gpu) => Some((index.to_string(), gpu.memory)),
            None if installed.is_empty() => Some((index.to_string(), None)),
            None => None,
        };
    }
    if entry.starts_with("MIG-") || (entry.starts_with("GPU-") && installed.is_empty()) {
        return unknown();
    }
    let mut found = installed.iter().filter(|(_, gpu)| entry.len() > 4 && gpu.uuid.starts_with(entry));
    match (found.next(), found.next()) {
        (Some((index, gpu)), None) => Some((index.to_string(), gpu.memory)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::Instant;

    const GIB: u64 = 1 << 30;

    fn fake(script: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nvidia-smi");
        // Not written by this process: a child that another test is starting at that moment would have it
        // open for writing, and it could not be run.
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
        let written = Command::new("sh").args(["-c", write]).arg(&path).arg(script).status().unwrap();
        assert!(written.success());
        (dir, path)
    }

    fn asked(script: &str) -> BTreeMap<u32, InstalledGpu> {
        let (_dir, program) = fake(script);
        installed_gpus(&program, Duration::from_secs(20))
    }

    fn two() -> BTreeMap<u32, InstalledGpu> {
        parse("0, GPU-aaaa-1, 8192\n1, GPU-aabb-2, 16384\n")
    }

    #[test]
    fn what_the_program_says_is_read() {
        let found = asked(
            r#"[ "$*" = "--query-gpu=index,uuid,memory.total --format=csv,noheader,nounits" ] || exit 2
            echo '0, GPU-a, 81559'; echo 'a warning, of some kind'; echo; echo '3, GPU-b, [N/A]'; echo '4, GPU-c'"#,
        );
        let gpu = |uuid: &str, memory| InstalledGpu { uuid: uuid.to_owned(), memory };
        let told = [(0, gpu("GPU-a", Some(81_559 << 20))), (3, gpu("GPU-b", None))];
        assert_eq!(found, told.into());
    }

    #[test]
    fn a_program_that_fails_is_as_good_as_none() {
        assert!(asked("echo '0, GPU-a, 81559'; exit 9").is_empty());
        assert!(asked("echo '0, GPU-a, 81559'; kill -9 $$").is_empty());
        assert!(asked("printf '\\377\\376'").is_empty());
        assert!(asked("yes '0, GPU-a, 1' | head -c 1000000").len() <= 1);
        assert!(installed_gpus(Path::new("/nowhere/nvidia-smi"), Duration::from_secs(1)).is_empty());
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let (dir, program) = fake(r#"(sleep 1; touch "$0.late") & echo '0, GPU-a, 81559'; sleep 60"#);
        let begin = Instant::now();
        assert!(installed_gpus(&program, Duration::from_millis(200)).is_empty());
        assert!(begin.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(1500));
        assert!(!dir.path().join("nvidia-smi.late").exists(), "what it started outlived it");
    }

    #[test]
    fn a_mask_renumbers_gpus_but_their_ids_stay() {
        let seen = |mask: Option<&str>| -> Vec<(u32, String, Option<u64>)> {
            visible_gpus(&two(), mask).into_iter().map(|g| (g.index, g.id, g.memory)).collect()
        };
        let gpu = |index, id: &str, gib: u64| (index, id.to_owned(), Some(gib * GIB));
        assert_eq!(seen(None), [gpu(0, "0", 8), gpu(1, "1", 16)]);
        assert_eq!(seen(Some("1,0")), [gpu(0, "1", 16), gpu(1, "0", 8)]);
        assert_eq!(seen(Some(" GPU-aabb ")), [gpu(0, "1", 16)]);
        // Not unique, none, not there: the list ends before them.
        for none in ["GPU-aa", "", "-1", "7", "GPU-", "x"] {
            assert_eq!(seen(Some(none)), [], "{none}");
            assert_eq!(seen(Some(&format!("0,{none},1"))), [gpu(0, "0", 8)], "{none}");
        }
        assert_eq!(seen(Some("MIG-1/2")), [(0, "MIG-1/2".to_owned(), None)]);
    }

    #[test]
    fn without_the_program_a_mask_still_tells_gpus_apart() {
        let seen = visible_gpus(&BTreeMap::new(), Some("3,GPU-a,-1"));
        let gpu = |index, id: &str| Gpu { index, id: id.to_owned(), memory: None };
        assert_eq!(seen, [gpu(0, "3"), gpu(1, "GPU-a")]);
        assert_eq!(visible_gpus(&BTreeMap::new(), None), []);
    }
}
