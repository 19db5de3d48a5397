#!/usr/bin/env python3
"""Writes the benchmark's graph for one tool into a folder.

  generate.py TOOL SHAPE FOLDER    TOOL: phasegraph, native, sh, make, ninja, n2, doit, snakemake, dvc, redun
                                   SHAPE: m100, m1000, m10000, m100000 (number of tasks)
  generate.py --check PHASEGRAPH   runs m100 with phasegraph, the shell loop, and make and ninja where they
                                   are installed, and compares every output, byte for byte

`native` is the same graph for phasegraph, from native stage kinds instead of commands.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import study
from formats import WRITERS, Files
from graph import SHAPES, Graph, Task, source_text

TOOLS = ("phasegraph", "native", *WRITERS)


def files(tool: str, graph: Graph) -> Files:
    """The files that describe the graph to the tool."""
    if tool == "phasegraph":
        return {"study.yaml": study.study(graph)}
    if tool == "native":
        return {"study.yaml": study.native_study(graph)}
    return WRITERS[tool](graph)


def source(tool: str, path: str, version: int = 1) -> bytes:
    return study.native_source(path, version) if tool == "native" else source_text(path, version)


def output(tool: str, graph: Graph, task: Task) -> str:
    """Where the tool leaves the task's output, relative to the folder."""
    if tool in ("phasegraph", "native"):
        return study.result(graph, task, native=tool == "native")
    return task.output


def write(tool: str, graph: Graph, folder: Path) -> None:
    for part in ("src", "out"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for path, text in files(tool, graph).items():
        (folder / path).write_text(text)
    for path in graph.sources:
        (folder / path).write_bytes(source(tool, path))


def check(phasegraph: Path) -> None:
    """Whether the study means the same graph as the peers' files do."""
    commands = {
        "phasegraph": [str(phasegraph), "run", "study.yaml", "--quiet"],
        "sh": ["sh", "run.sh"],
        "make": ["make", "-s"],
        "ninja": ["ninja", "--quiet"],
    }
    graph = Graph("m100")
    expected = graph.expected({})
    with tempfile.TemporaryDirectory() as top:
        for tool, argv in commands.items():
            if shutil.which(argv[0]) is None:
                print(f"{tool}: not installed, not checked")
                continue
            folder = Path(top) / tool
            write(tool, graph, folder)
            subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            for task in graph.tasks:
                if (folder / output(tool, graph, task)).read_bytes() != expected[task.name]:
                    sys.exit(f"{tool}: {task.name} is not what it should be")
            print(f"{tool}: {len(graph)} outputs as expected")
        results = Path(top) / "phasegraph" / "phasegraph-out" / "results"
        # No task beside those of the graph.
        found = sum("out" in names for _, _, names in os.walk(results))
        if found != len(graph):
            sys.exit(f"phasegraph: {found} results instead of {len(graph)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tool", nargs="?", choices=TOOLS)
    parser.add_argument("shape", nargs="?", choices=SHAPES)
    parser.add_argument("folder", nargs="?", type=Path, help="must not exist")
    parser.add_argument("--check", type=Path, metavar="PHASEGRAPH", help="path of the program")
    args = parser.parse_args()
    if args.check:
        check(args.check.resolve())
    elif args.folder:
        write(args.tool, Graph(args.shape), args.folder)
    else:
        parser.error("expected TOOL SHAPE FOLDER, or --check")


if __name__ == "__main__":
    main()
