use std::os::unix::fs::{MetadataExt, symlink};

use proptest::prelude::*;

use super::*;

mod line;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

struct Machine {
    dir: tempfile::TempDir,
    leases: Leases,
}

impl Machine {
    /// GPUs with this much memory each.
    fn new(memory: &[Option<u64>]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let gpus = (0..).zip(memory).map(|(i, memory)| Gpu { memory: *memory, ..Gpu::numbered(i) });
        let leases = Leases::open(&dir.path().join("leases"), gpus.collect(), "here").unwrap();
        Self { dir, leases }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("leases").join(name)
    }

    fn take(&self, want: Want, task: &str) -> Result<Lease, String> {
        self.leases.try_take(Wish::one(want), None, task).unwrap().map_err(|busy| busy.to_string())
    }
}

fn indices(lease: &Lease) -> Vec<u32> {
    lease.indices().collect()
}

#[test]
fn a_whole_gpu_is_for_one_and_others_are_told_for_whom() {
    let machine = Machine::new(&[Some(GIB)]);
    let first = machine.take(Want::Whole, "train@dose=1e4").unwrap();
    assert_eq!((indices(&first), first.bytes()), (vec![0], None));
    let told = format!("GPU 0 is held by process {} on here, task train@dose=1e4", std::process::id());
    assert_eq!(machine.take(Want::Whole, "b").unwrap_err(), told);
    assert_eq!(machine.take(Want::Share(1), "b").unwrap_err(), told);
    drop(first);
    let _ = machine.take(Want::Whole, "b").unwrap();
}

#[test]
fn shares_are_given_while_they_fit() {
    let machine = Machine::new(&[Some(8 * GIB)]);
    let first = machine.take(Want::Share(5 * GIB), "a").unwrap();
    let second = machine.take(Want::Share(2 * GIB), "b").unwrap();
    assert_eq!(second.bytes(), Some(2 * GIB));
    let told = machine.take(Want::Share(GIB + 1), "c").unwrap_err();
    assert!(
        told.contains("task a (5120 MiB); GPU 0 is held by") && told.contains("task b (2048 MiB)"),
        "{told}"
    );
    assert!(machine.take(Want::Whole, "c").is_err());
    let third = machine.take(Want::Share(GIB), "c").unwrap();
    assert!(machine.take(Want::Share(1), "d").is_err(), "full to the last byte");
    drop((first, second, third));
    let _ = machine.take(Want::Whole, "d").unwrap();
}

#[test]
fn what_is_free_need_not_be_in_one_piece() {
    let machine = Machine::new(&[Some(5 * GIB)]);
    let mut all: Vec<_> = (0..5).map(|i| machine.take(Want::Share(GIB), &i.to_string()).ok()).collect();
    all[1] = None;
    all[3] = None;
    let pieces = machine.take(Want::Share(2 * GIB), "in pieces").unwrap();
    let told = machine.take(Want::Share(1), "more").unwrap_err();
    assert_eq!(told.matches("in pieces").count(), 1, "one holder is told once: {told}");
    drop(pieces);
    let _ = machine.take(Want::Share(2 * GIB), "again").unwrap();
}

#[test]
fn sums_are_rounded_to_the_safe_side() {
    let machine = Machine::new(&[Some(2 * MIB + 5)]);
    let first = machine.take(Want::Share(1), "a").unwrap();
    assert_eq!(first.bytes(), Some(MIB));
    assert!(machine.take(Want::Share(MIB + 1), "b").is_err());
    let _second = machine.take(Want::Share(MIB), "b").unwrap();
    assert!(machine.take(Want::Share(1), "c").is_err());
}

#[test]
fn as_much_as_there_is_or_more_is_the_whole_gpu() {
    for (memory, want) in [
        (Some(GIB), Want::Share(GIB)),
        (Some(GIB), Want::Share(u64::MAX)),
        (Some(5), Want::Share(1)),
        (None, Want::Share(1)),
    ] {
        let machine = Machine::new(&[memory]);
        let lease = machine.take(want, "a").unwrap();
        assert_eq!(lease.bytes(), None, "{memory:?} {want:?}");
        assert!(machine.take(Want::Share(1), "b").is_err());
    }
}

/// The memory of a GPU may be known to one process and unknown to another.
#[test]
fn those_who_know_the_memory_and_those_who_do_not_respect_each_other() {
    let knows = Machine::new(&[Some(GIB)]);
    let dir = knows.dir.path().join("leases");
    let ignorant = Leases::open(&dir, vec![Gpu::numbered(0)], "there").unwrap();
    let share = knows.take(Want::Share(MIB), "a").unwrap();
    assert!(ignorant.try_take(Wish::one(Want::Share(MIB)), None, "b").unwrap().is_err());
    drop(share);
    let whole = ignorant.try_take(Wish::one(Want::Share(MIB)), None, "b").unwrap().unwrap();
    assert!(knows.take(Want::Share(MIB), "a").is_err());
    drop(whole);
    let _ = knows.take(Want::Share(MIB), "a").unwrap();
}

#[test]
fn any_gpu_is_the_first_that_has_it() {
    let machine = Machine::new(&[Some(2 * GIB), None, Some(4 * GIB)]);
    let share = machine.take(Want::Share(GIB), "a").unwrap();
    let whole = machine.take(Want::Whole, "b").unwrap();
    let large = machine.take(Want::Share(3 * GIB), "c").unwrap();
    assert_eq!([&share, &whole, &large].map(indices), [[0], [1], [2]]);
    let told = machine.take(Want::Share(GIB + 1), "d").unwrap_err();
    for part in ["GPU 0 is held by", "task b; GPU 2 is held by", "task c (3072 MiB)"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(indices(&machine.take(Want::Share(GIB), "d").unwrap()), [0]);
    let none = Leases::open(machine.dir.path(), vec![], "here").unwrap();
    let error = none.try_take(Wish::one(Want::Whole), None, "f").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn names_are_cut_and_cannot_steer_a_terminal() {
    let machine = Machine::new(&[Some(GIB)]);
    let _lease = machine.take(Want::Whole, &format!("\u{1b}[31m{}", "é".repeat(300))).unwrap();
    let told = machine.take(Want::Whole, "b").unwrap_err();
    assert!(told.contains("task [31mééé") && !told.contains('\u{1b}'), "{told}");
    assert!(told.len() < NAME + 30 && !told.contains('\u{fffd}'), "{told}");
}

#[test]
fn every_user_can_use_what_is_made() {
    let machine = Machine::new(&[Some(GIB)]);
    let _lease = machine.take(Want::Whole, "a").unwrap();
    let mode = |path: PathBuf| std::fs::symlink_metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(machine.path("")), 0o1777);
    assert_eq!(mode(machine.path("gpu0.lease")), 0o666);
    let names = |dir: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names(&machine.path("")), ["gpu0.lease"], "nothing is left behind");
    assert_eq!(names(machine.dir.path()), ["leases"]);
}

#[test]
fn a_folder_that_is_there_keeps_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
    let _ = Leases::open(dir.path(), vec![], "here").unwrap();
    assert_eq!(std::fs::metadata(dir.path()).unwrap().mode() & 0o7777, 0o750);
}

#[test]
fn links_and_other_things_in_place_of_a_file_are_refused_by_name() {
    let machine = Machine::new(&[Some(GIB)]);
    let victim = machine.dir.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    symlink(&victim, machine.path("gpu0.lease")).unwrap();
    let told = machine.leases.try_take(Wish::one(Want::Whole), None, "a").unwrap_err().to_string();
    assert!(told.contains("gpu0.lease"), "{told}");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    std::fs::remove_file(machine.path("gpu0.lease")).unwrap();
    std::fs::create_dir(machine.path("gpu0.lease")).unwrap();
    assert!(machine.leases.try_take(Wish::one(Want::Whole), None, "a").is_err());
}

#[test]
fn ids_become_names_of_files_in_the_folder() {
    assert_eq!(files::name("0"), "gpu0.lease");
    assert_eq!(files::name("MIG-a/../1"), "gpuMIG-a____1.lease");
}

/// What a program that tidies by age asks for, and does not get.
#[test]
fn the_folder_is_locked_while_someone_has_a_lease() {
    let machine = Machine::new(&[Some(GIB)]);
    let lease = machine.take(Want::Whole, "a").unwrap();
    let Machine { dir, leases } = machine;
    drop(leases);
    let tidier = File::open(dir.path().join("leases")).unwrap();
    assert!(tidier.try_lock().is_err());
    drop(lease);
    tidier.try_lock().unwrap();
}

#[test]
fn a_file_that_was_deleted_binds_nobody_and_is_made_again() {
    let machine = Machine::new(&[Some(GIB)]);
    drop(machine.take(Want::Whole, "a").unwrap());
    let path = machine.path("gpu0.lease");
    let old = files::open(&path).unwrap();
    assert!(files::is_still(&old, &path));
    std::fs::remove_file(&path).unwrap();
    assert!(!files::is_still(&old, &path));
    let _lease = machine.take(Want::Whole, "b").unwrap();
    assert!(!files::is_still(&old, &path));
    assert!(machine.take(Want::Whole, "c").is_err());
}

#[derive(Debug, Clone)]
enum Step {
    Take(Want),
    Drop(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..20).prop_map(|mib| Step::Take(Want::Share(mib * MIB))),
        1 => Just(Step::Take(Want::Whole)),
        3 => any::<prop::sample::Index>().prop_map(Step::Drop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Against a model that only adds: a share is given exactly if it fits, a whole GPU exactly if nobody
    /// has any of it.
    #[test]
    fn leases_are_given_exactly_when_they_fit(steps in prop::collection::vec(step(), 1..80)) {
        const TOTAL: u64 = 32 * MIB;
        let machine = Machine::new(&[Some(TOTAL)]);
        let mut held: Vec<Lease> = Vec::new();
        for step in steps {
            match step {
                Step::Take(want) => {
                    let used: u64 = held.iter().map(|lease| lease.bytes().unwrap_or(TOTAL)).sum();
                    let fits = match want {
                        Want::Whole => used == 0,
                        Want::Share(bytes) => used + bytes <= TOTAL,
                    };
                    let taken = machine.take(want, "a");
                    prop_assert_eq!(taken.is_ok(), fits, "{:?} beside {}", want, used);
                    held.extend(taken);
                }
                Step::Drop(which) => {
                    if !held.is_empty() {
                        let _ = held.swap_remove(which.index(held.len()));
                    }
                }
            }
        }
    }
}
