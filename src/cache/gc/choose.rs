//! Which manifests and objects go. No disk is looked at here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::Policy;
use super::inventory::Inventory;
use crate::io::digest::Digest;

/// What goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) manifests: BTreeSet<Digest>,
    pub(super) objects: BTreeSet<Digest>,
    /// Bytes by which the rest is more than was asked for.
    pub(super) too_much: u64,
}

/// Manifests that must stay: the roots, and all that they were made from.
fn reachable(inventory: &Inventory) -> BTreeSet<Digest> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<Digest> = inventory.roots.iter().copied().collect();
    while let Some(next) = open.pop() {
        if seen.insert(next) {
            open.extend(inventory.manifests.get(&next).into_iter().flat_map(|record| &record.sources));
        }
    }
    seen
}

/// Chooses, under a policy, among what nobody needs.
pub(super) fn choose(inventory: &Inventory, policy: &Policy, now: SystemTime) -> Choice {
    let needed = reachable(inventory);
    // How many manifests that stay name an object; one that is needed anyway can never come down to none.
    let mut names: BTreeMap<Digest, usize> = BTreeMap::new();
    for output in inventory.manifests.values().flat_map(|record| &record.outputs) {
        *names.entry(*output).or_default() += 1;
    }
    inventory.indexed.iter().for_each(|digest| *names.entry(*digest).or_default() += 1);
    let old_enough = |written: SystemTime| match policy.older_than {
        Some(age) => now.duration_since(written).is_ok_and(|since| since > age),
        None => true,
    };
    let manifests = inventory.manifests.iter().filter(|(name, _)| !needed.contains(name));
    let manifests = manifests.map(|(name, record)| (record.kept.written, true, *name));
    // Objects that a crash has left: nothing names them.
    let orphans = inventory.objects.iter().filter(|(digest, _)| !names.contains_key(digest));
    let orphans = orphans.map(|(digest, kept)| (kept.written, false, *digest));
    let mut candidates: Vec<_> =
        manifests.chain(orphans).filter(|(written, ..)| old_enough(*written)).collect();
    candidates.sort_unstable();

    let mut size: u64 = inventory.left(&BTreeSet::new(), &BTreeSet::new()).sum();
    let mut choice = Choice::default();
    for (_, is_manifest, name) in candidates {
        if policy.max_size.is_some_and(|limit| size <= limit) {
            break;
        }
        let mut gone = Vec::new();
        if is_manifest {
            let record = &inventory.manifests[&name];
            size -= record.kept.size;
            choice.manifests.insert(name);
            for output in &record.outputs {
                let left = names.entry(*output).or_default();
                *left = left.saturating_sub(1);
                if *left == 0 {
                    gone.push(*output);
                }
            }
        } else {
            gone.push(name);
        }
        for digest in gone {
            // A manifest may name an object that was lost before, or one object twice.
            if let Some(kept) = inventory.objects.get(&digest)
                && choice.objects.insert(digest)
            {
                size -= kept.size;
            }
        }
    }
    choice.too_much = policy.max_size.map_or(0, |limit| size.saturating_sub(limit));
    choice
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::super::shelf::Kept;
    use super::super::inventory::Record;
    use super::*;

    fn name(kind: &str, n: usize) -> Digest {
        Digest::of(format!("{kind} {n}").as_bytes())
    }

    fn kept(size: u64, age: u64) -> Kept {
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age);
        Kept { path: "x".into(), size, links: 1, written }
    }

    /// (outputs, sources, age) of each manifest; sources are earlier ones.
    type Shape = Vec<(Vec<usize>, Vec<usize>, u64)>;

    fn inventory(shape: &Shape, objects: &[(u64, u64)], roots: &BTreeSet<usize>) -> Inventory {
        let record = |n: usize, (outputs, sources, age): &(Vec<usize>, Vec<usize>, u64)| Record {
            kept: kept(10, *age),
            outputs: outputs.iter().map(|o| name("object", o % objects.len())).collect(),
            sources: sources.iter().filter(|_| n > 0).map(|s| name("manifest", s % n.max(1))).collect(),
            what: String::new(),
        };
        let manifests = shape.iter().enumerate().map(|(n, one)| (name("manifest", n), record(n, one)));
        let sized = objects.iter().enumerate();
        Inventory {
            manifests: manifests.collect(),
            objects: sized.map(|(n, (size, age))| (name("object", n), kept(*size, *age))).collect(),
            roots: roots.iter().map(|n| name("manifest", n % shape.len().max(1))).collect(),
            indexed: BTreeSet::new(),
            histories: Vec::new(),
            leftovers: Vec::new(),
            guarded: Vec::new(),
        }
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1000)
    }

    proptest! {
        /// Whatever the store, the policy and the roots: nothing needed goes, nothing that stays is left
        /// without an output, nothing useless stays, and what goes is the oldest.
        #[test]
        fn only_what_nobody_needs_goes(
            shape in proptest::collection::vec(
                (proptest::collection::vec(0..12usize, 0..3), proptest::collection::vec(0..12usize, 0..3), 0..900u64),
                1..12,
            ),
            objects in proptest::collection::vec((1..100u64, 0..900u64), 12),
            roots in proptest::collection::btree_set(0..12usize, 0..4),
            older_than in proptest::option::of(0..900u64),
            max_size in proptest::option::of(0..900u64),
        ) {
            let inventory = inventory(&shape, &objects, &roots);
            let policy = Policy { older_than: older_than.map(Duration::from_secs), max_size, ..Policy::default() };
            let choice = choose(&inventory, &policy, now());
            let needed = reachable(&inventory);
            prop_assert!(choice.manifests.is_disjoint(&needed));
            let stays = |name: &&Digest| !choice.manifests.contains(*name);
            let named: BTreeSet<Digest> =
                inventory.manifests.keys().filter(stays).flat_map(|n| &inventory.manifests[n].outputs).copied().collect();
            prop_assert!(choice.objects.is_disjoint(&named), "a manifest that stays has lost an output");
            let old = |written: SystemTime| older_than.is_none_or(|age| now().duration_since(written).unwrap() > Duration::from_secs(age));
            let left: u64 = inventory.left(&choice.manifests, &choice.objects).sum();
            let free: Vec<(&Digest, SystemTime)> = inventory
                .manifests.iter().filter(|(n, r)| !needed.contains(n) && old(r.kept.written)).map(|(n, r)| (n, r.kept.written)).collect();
            for (name, written) in &free {
                if choice.manifests.contains(name) {
                    // Nothing older stayed instead.
                    prop_assert!(free.iter().all(|(n, w)| choice.manifests.contains(n) || (w, n) > (written, name)));
                } else {
                    prop_assert!(max_size.is_some_and(|limit| left <= limit), "it could have gone");
                }
            }
            if max_size.is_none() {
                let useless = inventory.objects.iter().filter(|(d, _)| !named.contains(d) && !choice.objects.contains(d));
                for (_, kept) in useless {
                    prop_assert!(!old(kept.written), "an object that nothing names stays");
                }
                prop_assert_eq!(choice.too_much, 0);
            } else if let Some(limit) = max_size {
                prop_assert_eq!(choice.too_much, left.saturating_sub(limit));
            }
        }
    }

    #[test]
    fn sources_of_what_is_needed_stay_and_so_does_what_the_index_names() {
        // 0 → 1 → 2; 3 is nobody's; object 3 is in no manifest that can be read.
        let shape: Shape = vec![
            (vec![0], vec![], 500),
            (vec![1], vec![0], 400),
            (vec![2], vec![1], 300),
            (vec![1, 4], vec![0], 200),
        ];
        let objects = [(5, 1); 5];
        let mut inventory = inventory(&shape, &objects, &BTreeSet::from([2]));
        inventory.indexed.insert(name("object", 3));
        let choice = choose(&inventory, &Policy::default(), now());
        assert_eq!(choice.manifests, BTreeSet::from([name("manifest", 3)]));
        assert_eq!(choice.objects, BTreeSet::from([name("object", 4)]));
        let young = Policy { older_than: Some(Duration::from_secs(250)), ..Policy::default() };
        assert_eq!(choose(&inventory, &young, now()), Choice::default());
        let tight = Policy { max_size: Some(10), ..Policy::default() };
        // 4 manifests of 10, 5 objects of 5; one of each goes.
        assert_eq!(choose(&inventory, &tight, now()).too_much, 65 - 15 - 10);
    }
}
