"""Inputs of 4 × 512 MiB: what it costs to know that they are what they were."""

import os
import shutil
import time
from pathlib import Path

from measure import Measured
from project import Fault, Workplace, age
from speed import Results, Settings, rounds
from tools import Tool, progress

FILES = 4
BLOCK = 1 << 20
#: These compare contents; the others compare times, and have nothing to hash.
HASHING = ("phasegraph", "dvc", "doit")


def definitions() -> dict[str, dict[str, str]]:
    """Tool → files. The one task is `wc -c`, which asks the file system and reads nothing."""
    names = [f"src/big_{i}" for i in range(FILES)]
    listed, deps = " ".join(names), "".join(f"    - {name}\n" for name in names)
    inputs = ", ".join(f"{{file: {name}}}" for name in names)
    return {
        "phasegraph": {
            "study.yaml": "version: 1\nstudy: big\nstages:\n  count:\n    phase: C\n    kind: command\n"
            f"    inputs: {{a: [{inputs}]}}\n    outputs: {{out: out}}\n"
            '    params: {argv: [sh, -c, \'wc -c "$@" > "$0"\', "{output.out}", "{input.a}"]}\n'
        },
        "dvc": {
            "dvc.yaml": f"stages:\n  count:\n    cmd: wc -c {listed} > out/n\n"
            f"    deps:\n{deps}    outs: [out/n]\n"
        },
        "doit": {
            "dodo.py": "DOIT_CONFIG = {'verbosity': 0}\n\n\ndef task_count():\n    return {'file_dep': "
            f"{names}, 'targets': ['out/n'], 'actions': ['wc -c {listed} > out/n']}}\n"
        },
    }


class Big(Workplace):
    """The same four files in every project, as hard links."""

    def __init__(self, tool: Tool, shared: list[Path], settings: Settings) -> None:
        super().__init__(tool, settings.work / "hashing" / tool.name, settings.env, settings.timeout)
        self.shared = shared
        for name, text in definitions()[tool.name].items():
            (self.folder / name).write_text(text)
        for path in shared:
            os.link(path, self.folder / "src" / path.name)

    @property
    def result(self) -> Path:
        shown = self.folder / "phasegraph-out" / "results" / "big" / "count" / "out"
        return shown if self.tool.name == "phasegraph" else self.folder / "out" / "n"

    def cold(self) -> Measured:
        self.reset()
        found = self.measure(self.tool.fast)
        self.check()
        return found

    def noop(self) -> Measured:
        return self.unchanged()

    def touched(self) -> Measured:
        for path in self.shared:
            os.utime(path)
        # phasegraph trusts no time stamp younger than two seconds: it would hash again on the next run.
        time.sleep(2.5)
        return self.unchanged()

    def unchanged(self) -> Measured:
        before = self.result.stat()
        found = self.measure(self.tool.fast)
        self.check()
        if self.result.stat().st_mtime_ns != before.st_mtime_ns:
            raise Fault("ran the task again")
        return found

    def check(self) -> None:
        if f"{sum(path.stat().st_size for path in self.shared)} total" not in self.result.read_text():
            raise Fault("WRONG OUTPUT")


def measure_hashing(tools: list[Tool], settings: Settings, mebibytes: int) -> Results:
    folder = settings.work / "hashing"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shared = [big_file(folder / f"big_{i}", mebibytes) for i in range(FILES)]
    projects = [Big(tool, shared, settings) for tool in tools if tool.name in HASHING]
    shape = f"{FILES} × {mebibytes} MiB"
    results: Results = {}
    steps = {
        "hash cold": Big.cold,
        "hash no-op": Big.noop,
        "hash after touch": Big.touched,
        "hash no-op after touch": Big.noop,
    }
    for name, step in steps.items():
        results[name, shape] = rounds(projects, settings, f"{name} {shape}", step)
    shutil.rmtree(folder)
    return results


def big_file(path: Path, mebibytes: int) -> Path:
    """Random bytes, each block with its number, so that no block repeats; left in the page cache."""
    progress(f"writing {path.name}")
    block = bytearray(os.urandom(BLOCK))
    with path.open("wb") as file:
        for number in range(mebibytes):
            block[:8] = number.to_bytes(8, "little")
            file.write(block)
    os.sync()
    age(path)
    return path
