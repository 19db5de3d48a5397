"""A chain of two tasks for the correctness matrix, in a folder of its own for each tool and case.

Each task drops comment lines from its input, writes the rest line by line, and notes in a file outside all
tools' sight that it ran. While a file `slow` exists, it takes a second or more to do so.
"""

import subprocess
import time
from pathlib import Path

from measure import kill_tree
from tools import Tool

LINES = 20
TASKS = ("first", "second")

#: NAME INPUT OUTPUT; appends piece by piece, as many programs do.
SCRIPT = """\
base=$(dirname "$0")
echo "$1" >> "$base/ran"
: > "$3"
grep -v '^#' "$2" | while read -r line; do
  echo "$line" >> "$3"
  if [ -e "$base/slow" ]; then sleep 0.05; fi
done
"""


def definitions(script: Path) -> dict[str, dict[str, str]]:
    """Tool → files."""

    def command(name: str, source: str) -> str:
        return f"sh {script} {name} {source} out/{name}"

    chain = [("first", "src/in"), ("second", "out/first")]
    make = "".join(f"out/{name}: {source}\n\t@{command(name, source)}\n" for name, source in chain)
    ninja = "".join(f"build out/{name}: {name} {source}\n" for name, source in chain)
    rules = "".join(f"rule {name}\n  command = {command(name, '$in')}\n" for name, _ in chain)
    doit = "".join(
        f"    yield {{'name': '{name}', 'file_dep': ['{source}'], 'targets': ['out/{name}'],"
        f" 'actions': ['{command(name, source)}']}}\n"
        for name, source in chain
    )
    smk = "".join(
        f"rule {name}:\n    input: '{source}'\n    output: 'out/{name}'\n"
        f"    shell: '{command(name, source)}'\n"
        for name, source in reversed(chain)
    )
    dvc = "".join(
        f"  {name}:\n    cmd: {command(name, source)}\n    deps: [{source}]\n    outs: [out/{name}]\n"
        for name, source in chain
    )
    stage = """\
  {name}:
    phase: C
    kind: command
    inputs: {{a: {source}}}
    outputs: {{out: out}}
    params: {{argv: [sh, {script}, {name}, "{{input.a}}", "{{output.out}}"]}}
"""
    study = stage.format(name="first", source="{file: src/in}", script=script)
    study += stage.format(name="second", source="first.out", script=script)
    return {
        "phasegraph": {"study.yaml": f"version: 1\nstudy: chain\nstages:\n{study}"},
        "make": {"Makefile": f"all: out/second\n{make}"},
        "ninja": {"build.ninja": rules + ninja},
        "n2": {"build.ninja": rules + ninja},
        "doit": {"dodo.py": f"DOIT_CONFIG = {{'verbosity': 0}}\n\n\ndef task_chain():\n{doit}"},
        "snakemake": {"Snakefile": smk},
        "dvc": {"dvc.yaml": f"stages:\n{dvc}"},
    }


class Chain:
    def __init__(self, tool: Tool, folder: Path, env: dict[str, str]) -> None:
        self.tool, self.folder, self.env = tool, folder / "project", env
        # Beside the project: no tool may see it change.
        self.script = folder / "task.sh"
        self.source = self.folder / "src" / "in"
        for part in ("src", "out"):
            (self.folder / part).mkdir(parents=True)
        self.script.write_text(SCRIPT)
        for path, text in definitions(self.script)[tool.name].items():
            (self.folder / path).write_text(text)
        self.write("# a comment\n" + self.body("line"))
        if tool.init:
            subprocess.run(tool.init, cwd=self.folder, env=env, check=True)

    @staticmethod
    def body(word: str) -> str:
        return "".join(f"{word} {i}\n" for i in range(LINES))

    def write(self, text: str) -> None:
        self.source.write_text(text)

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.tool.run,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self) -> int:
        """Exit code."""
        return self.start().wait(timeout=120)

    @property
    def ran(self) -> list[str]:
        """The tasks that have run since this was last forgotten, in order."""
        noted = self.script.with_name("ran")
        return noted.read_text().split() if noted.exists() else []

    def forget(self) -> None:
        self.script.with_name("ran").unlink(missing_ok=True)

    def slow(self, yes: bool) -> None:
        flag = self.script.with_name("slow")
        flag.touch() if yes else flag.unlink(missing_ok=True)

    def wait_for(self, task: str, process: subprocess.Popen[bytes]) -> None:
        """Until the task is well under way."""
        due = time.monotonic() + 60
        while task not in self.ran:
            if process.poll() is not None or time.monotonic() > due:
                raise RuntimeError(f"{self.tool.name} did not come to {task}")
            time.sleep(0.01)
        time.sleep(0.4)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        kill_tree(process.pid)
        process.wait()

    @property
    def right(self) -> bool:
        """Whether both outputs are what the source now says."""
        wanted = [line for line in self.source.read_text().splitlines() if not line.startswith("#")]
        return all(self.output(task) == wanted for task in TASKS)

    def output(self, task: str) -> list[str]:
        if self.tool.name == "phasegraph":
            path = self.folder / "phasegraph-out" / "results" / "chain" / task / "out"
        else:
            path = self.folder / "out" / task
        return path.read_text(errors="replace").splitlines() if path.exists() else []
