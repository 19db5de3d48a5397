//! From a staging folder into the store and the results folder. Order: objects, manifest, links, history;
//! the finished event follows, so a crash in between costs recomputation at most.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cache::{History, Layout, Manifest, Store, StoreError};
use crate::events::OutputRecord;
use crate::plan::Task;
use crate::worker::Produced;

/// Publishes what a worker produced; returns the records of its outputs.
pub(super) fn publish(
    task: &Task,
    staging: &Path,
    produced: &BTreeMap<String, Produced>,
    mut manifest: Manifest,
    store: &mut Store,
    layout: &Layout,
    history: &mut History,
) -> Result<Manifest, StoreError> {
    for (name, output) in produced {
        let Some(file) = task.outputs.get(name) else { continue };
        store.take(&staging.join(file), &output.digest)?;
        let record = OutputRecord { file: file.clone(), digest: output.digest, size: output.size };
        manifest.outputs.insert(name.clone(), record);
    }
    store.commit(&manifest)?;
    show(task, &manifest, store, layout, history)?;
    Ok(manifest)
}

/// Makes the outputs of a finished or cached task visible, and remembers its fingerprint.
pub(super) fn show(
    task: &Task,
    manifest: &Manifest,
    store: &Store,
    layout: &Layout,
    history: &mut History,
) -> Result<(), StoreError> {
    store.show(&layout.results().join(&task.folder), manifest.outputs.values())?;
    let file = layout.history();
    history.record(&task.id, manifest.fingerprint.digest()).map_err(StoreError::io("write", &file))
}
