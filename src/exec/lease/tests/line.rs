//! Who waits is served: before those who come later, and without anybody waiting for each other.

use super::*;

const WHOLE: Wish = Wish { gpus: 1, each: Want::Whole };
const PAIR: Wish = Wish { gpus: 2, each: Want::Whole };

/// One process: its view of the GPUs, what it wants, what it has.
struct Process {
    leases: Leases,
    name: String,
    wish: Wish,
    place: Option<Place>,
    lease: Option<Lease>,
}

impl Process {
    /// With GPUs of 8 GiB, in the order in which this process sees them.
    fn new(dir: &Path, name: &str, wish: Wish, seen: &[u32]) -> Self {
        let gpu = |(index, id): (u32, &u32)| Gpu { index, id: id.to_string(), memory: Some(8 * GIB) };
        let leases = Leases::open(dir, (0..).zip(seen).map(gpu).collect(), "here").unwrap();
        Self { leases, name: name.to_owned(), wish, place: None, lease: None }
    }

    /// Takes what it wants or waits in line for it, as a run does.
    fn look(&mut self) -> Result<(), String> {
        match self.leases.try_take(self.wish, self.place.as_ref(), &self.name).unwrap() {
            Ok(lease) => {
                self.place = None;
                self.lease = Some(lease);
                Ok(())
            }
            Err(busy) => {
                self.leases.line_up(self.wish, &mut self.place, &self.name).unwrap();
                Err(busy.to_string())
            }
        }
    }

    fn ids(&self) -> Vec<String> {
        self.lease.iter().flat_map(Lease::ids).map(str::to_owned).collect()
    }
}

#[test]
fn several_gpus_are_taken_all_or_none() {
    let machine = Machine::new(&[Some(GIB), Some(GIB), Some(GIB)]);
    let take = |gpus, each| machine.leases.try_take(Wish { gpus, each }, None, "a").unwrap();
    let two = take(2, Want::Whole).unwrap();
    assert_eq!((indices(&two), two.to_string()), (vec![0, 1], "cuda:0,1".to_owned()));
    let told = take(2, Want::Whole).unwrap_err().to_string();
    assert!(told.contains("GPU 0 is held by") && told.contains("GPU 1 is held by"), "{told}");
    let one = take(1, Want::Whole).expect("what was refused took nothing");
    assert_eq!(indices(&one), [2]);
    drop((one, two));
    let shares = [take(2, Want::Share(600 * MIB)).unwrap(), take(1, Want::Share(600 * MIB)).unwrap()];
    assert_eq!(shares.each_ref().map(indices), [vec![0, 1], vec![2]]);
    assert!(take(2, Want::Share(600 * MIB)).is_err());
    assert_eq!(indices(&take(3, Want::Share(400 * MIB)).unwrap()), [0, 1, 2]);
    let error = machine.leases.try_take(Wish { gpus: 4, each: Want::Whole }, None, "a").unwrap_err();
    assert_eq!(error.to_string(), "it asks for 4 GPUs at a time, and there are 3");
}

#[test]
fn a_gpu_that_is_named_twice_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let twice = Leases::open(dir.path(), vec![Gpu::numbered(1), Gpu::numbered(1)], "here").unwrap();
    assert!(twice.try_take(PAIR, None, "a").is_err());
}

#[test]
fn nobody_joins_those_who_share_while_one_waits_for_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let share = Wish::one(Want::Share(2 * GIB));
    let process = |name: &str, wish| Process::new(dir.path(), name, wish, &[0]);
    let (mut first, mut second) = (process("first", share), process("second", share));
    first.look().unwrap();
    let mut whole = process("whole", WHOLE);
    let told = whole.look().unwrap_err();
    assert!(told.contains("held by") && told.contains("task first (2048 MiB)"), "{told}");
    let told = second.look().unwrap_err();
    assert!(told.contains("GPU 0 is waited for by process") && told.contains("task whole"), "{told}");
    first.lease = None;
    assert!(second.look().is_err(), "it is still not its turn");
    whole.look().unwrap();
    whole.lease = None;
    second.look().unwrap();
    // A place is lost with its owner.
    let mut whole = process("whole", WHOLE);
    assert!(whole.look().is_err() && process("third", share).look().is_err());
    drop(whole);
    process("third", share).look().unwrap();
}

#[test]
fn first_come_first_served() {
    let dir = tempfile::tempdir().unwrap();
    let mut holder = Process::new(dir.path(), "holder", WHOLE, &[0]);
    holder.look().unwrap();
    let mut line: Vec<Process> =
        (0..4).map(|i| Process::new(dir.path(), &i.to_string(), WHOLE, &[0])).collect();
    line.iter_mut().for_each(|process| assert!(process.look().is_err()));
    // One gives up.
    drop(line.remove(1));
    while !line.is_empty() {
        holder.lease = None;
        // The last looks first.
        let last = line.len() - 1;
        for behind in (1..=last).rev() {
            assert!(line[behind].look().is_err());
        }
        line[0].look().unwrap();
        holder = line.remove(0);
    }
    assert_eq!(holder.name, "3");
}

#[test]
fn who_waits_for_two_gpus_gets_them_from_those_who_take_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let process = |name: &str, wish| Process::new(dir.path(), name, wish, &[0, 1]);
    let (mut a, mut b) = (process("a", WHOLE), process("b", WHOLE));
    a.look().unwrap();
    b.look().unwrap();
    let mut pair = process("pair", PAIR);
    assert!(pair.look().is_err());
    a.lease = None;
    assert!(pair.look().is_err() && a.look().is_err());
    b.lease = None;
    assert!(a.look().is_err() && b.look().is_err());
    pair.look().unwrap();
    assert_eq!(pair.ids(), ["0", "1"]);
}

#[test]
fn two_who_want_both_gpus_in_different_orders_never_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut holders = [0, 1].map(|gpu| Process::new(dir.path(), "holder", WHOLE, &[gpu]));
    holders.iter_mut().for_each(|holder| holder.look().unwrap());
    let mut a = Process::new(dir.path(), "a", PAIR, &[0, 1]);
    let mut b = Process::new(dir.path(), "b", PAIR, &[1, 0]);
    for _ in 0..2 {
        assert!(a.look().is_err() && b.look().is_err());
    }
    drop(holders);
    assert!(b.look().is_err());
    a.look().unwrap();
    assert!(b.look().is_err());
    a.lease = None;
    b.look().unwrap();
    assert_eq!(b.ids(), ["1", "0"]);
}

#[derive(Debug, Clone)]
struct Actor {
    wish: (u32, Option<u64>),
    order: Vec<u32>,
}

fn actor() -> impl Strategy<Value = Actor> {
    let wish = (1_u32..=3, prop::option::of(1_u64..=8));
    (wish, Just(vec![0, 1, 2]).prop_shuffle()).prop_map(|(wish, order)| Actor { wish, order })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whoever waits is served, whatever the others do and in whatever order they look: when each gives back
    /// what it has, and looks, all have had what they wanted after as many rounds as there are of them.
    #[test]
    fn everyone_is_served_and_no_gpu_is_given_twice(
        actors in prop::collection::vec(actor(), 2..6),
        steps in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut processes: Vec<Process> = actors.iter().enumerate().map(|(i, actor)| {
            let each = actor.wish.1.map_or(Want::Whole, |gib| Want::Share(gib * GIB));
            Process::new(dir.path(), &i.to_string(), Wish { gpus: actor.wish.0, each }, &actor.order)
        }).collect();
        for (which, end) in steps {
            let process = &mut processes[which.index(actors.len())];
            match (process.lease.is_some(), end) {
                (true, true) => process.lease = None,
                (true, false) => {}
                (false, _) => drop(process.look()),
            }
            for gpu in ["0", "1", "2"] {
                let held = processes.iter().filter(|p| p.ids().iter().any(|id| id == gpu));
                let bytes = held.map(|p| p.lease.as_ref().and_then(Lease::bytes).unwrap_or(8 * GIB));
                prop_assert!(bytes.sum::<u64>() <= 8 * GIB);
            }
        }
        let mut waiting: BTreeSet<usize> = (0..actors.len()).filter(|i| processes[*i].lease.is_none()).collect();
        for _ in 0..actors.len() {
            processes.iter_mut().for_each(|process| process.lease = None);
            let unserved: Vec<usize> = waiting.iter().rev().copied().collect();
            for which in unserved {
                // Twice: whoever gets on in one line joins the next.
                if processes[which].look().is_ok() || processes[which].look().is_ok() {
                    waiting.remove(&which);
                }
            }
        }
        prop_assert!(waiting.is_empty(), "{waiting:?} of {actors:?}");
    }
}
