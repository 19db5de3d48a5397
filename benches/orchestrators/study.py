"""The graph written as a phasegraph study: axes and references instead of a list of edges."""

import random
import struct

from graph import LEAF, Graph, Task

#: Phase → stage. The last task of G reads a file in place of its D, so it is a stage of its own.
STAGES = {"C": "prepare", "D": "overlap", "E": "train", "F": "reconstruct", "G": "score"}
LAST_STAGE = "score-last"


def dose(number: int) -> str:
    """A text, because a number would be shown in its shortest form: 1000 as 1e3."""
    return f"c_{number}"


def axes(graph: Graph) -> str:
    """The space. E and what follows exist only where `view` is the one that the split belongs to."""
    doses = [dose(i) for i in range(graph.counts["C"])]
    before_last = ", ".join(doses[:-1])
    return f"""\
axes:
  dose: [{", ".join(doses)}]
  view: [0, 1, 2, 3]
  split: [0, 1, 2, 3, 4]
  model: [0, 1, 2, 3]
  truth: [view, file]        # what a score compares with: a file for the last score, its view for all others
exclude:
  - {{split: [0, 1], view: [1, 2, 3]}}
  - {{split: 2, view: [0, 2, 3]}}
  - {{split: 3, view: [0, 1, 3]}}
  - {{split: 4, view: [0, 1, 2]}}
  - {{truth: file, dose: [{before_last}]}}
  - {{truth: file, split: [0, 1, 2, 3]}}
  - {{truth: file, model: [0, 1, 2]}}
  - {{truth: view, dose: {doses[-1]}, split: 4, model: 3}}
"""


def study(graph: Graph) -> str:
    """The study of `command` stages that run the same shell commands as the peers."""
    one = """\
    outputs: {out: out}
    params: {argv: [sh, -c, 'cat "$0" > "$1"', "{input.a}", "{output.out}"]}
"""
    two = """\
    outputs: {out: out}
    params: {argv: [sh, -c, 'cat "$0" "$1" > "$2"', "{input.a}", "{input.b}", "{output.out}"]}
"""
    return f"""\
version: 1
study: {graph.shape}
{axes(graph)}\
stages:
  prepare:
    phase: C
    kind: command
    over: [dose]
    inputs: {{a: {{file: "src/{{axis.dose}}"}}}}
{one}\
  overlap:
    phase: D
    kind: command
    over: [dose, view]
    inputs: {{a: prepare.out}}
{one}\
  train:
    phase: E
    kind: command
    over: [dose, view, split]
    inputs: {{a: overlap.out}}
{one}\
  reconstruct:
    phase: F
    kind: command
    over: [dose, view, split, model]
    inputs: {{a: train.out, b: {{file: "src/m_{{axis.model}}"}}}}
{two}\
  score:
    phase: G
    kind: command
    over: [dose, view, split, model, truth]
    only: {{truth: view}}
    inputs: {{a: reconstruct.out, b: overlap.out}}
{two}\
  {LAST_STAGE}:
    phase: G
    kind: command
    over: [dose, view, split, model, truth]
    only: {{truth: file}}
    inputs: {{a: reconstruct.out, b: {{file: {LEAF}}}}}
{two}"""


def native_study(graph: Graph) -> str:
    """The same tasks and edges from native kinds that do next to nothing: objects of 16 × 16 pixels, four
    patterns of 8 × 8. `simulate` is the kind that takes two files, an object and a probe."""
    simulated = """\
    params:
      phase_from: amplitude
      positions: {kind: raster, step_px: 4, shape: [2, 2]}
      patch_px: 8
      photons: 1e4
"""
    return f"""\
version: 1
study: {graph.shape}-native
{axes(graph)}\
stages:
  prepare:
    phase: C
    kind: simulate
    over: [dose]
    inputs: {{object: {{file: "src/{{axis.dose}}"}}}}
{simulated}\
  overlap:
    phase: D
    kind: thin
    over: [dose, view]
    inputs: {{data: prepare.data}}
    params: {{fraction: 0.9}}
  train:
    phase: E
    kind: thin
    over: [dose, view, split]
    inputs: {{data: overlap.data}}
    params: {{fraction: 0.9}}
  reconstruct:
    phase: F
    kind: simulate
    over: [dose, view, split, model]
    inputs: {{object: train.data, probe: {{file: "src/m_{{axis.model}}"}}}}
{simulated}\
  score:
    phase: G
    kind: simulate
    over: [dose, view, split, model, truth]
    only: {{truth: view}}
    inputs: {{object: reconstruct.data, probe: overlap.data}}
{simulated}\
  {LAST_STAGE}:
    phase: G
    kind: simulate
    over: [dose, view, split, model, truth]
    only: {{truth: file}}
    inputs: {{object: reconstruct.data, probe: {{file: {LEAF}}}}}
{simulated}"""


def result(graph: Graph, task: Task, native: bool = False) -> str:
    """Where the study's results folder shows a task's output, relative to the study file."""
    last = task.number == graph.counts["G"] - 1 and task.phase == "G"
    point = {axis: str(value) for axis, value in graph.point(task).items()}
    point["dose"] = dose(graph.point(task)["dose"])
    if task.phase == "G":
        point["truth"] = "file" if last else "view"
    folder = ",".join(f"{axis}={value}" for axis, value in point.items())
    stage = LAST_STAGE if last else STAGES[task.phase]
    name, file = (f"{graph.shape}-native", "dataset.npz") if native else (graph.shape, "out")
    return f"phasegraph-out/results/{name}/{stage}/{folder}/{file}"


def native_source(path: str, version: int) -> bytes:
    """An NPY file for the native study: an object of 16 × 16 or a probe of 8 × 8, complex, other for every
    file and version."""
    side = 16 if path.startswith("src/c_") else 8
    draw = random.Random(f"{path} v{version}")
    values = [draw.uniform(0.5, 1.5) for _ in range(2 * side * side)]
    header = f"{{'descr': '<c8', 'fortran_order': False, 'shape': ({side}, {side}), }}".ljust(117) + "\n"
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    return head + struct.pack(f"<{len(values)}f", *values)
