"""Folders in which one tool runs, and what may be asked of it there."""

import os
import shutil
import time
from pathlib import Path

import generate
from graph import Graph
from measure import Measured, measure
from tools import Tool

HOUR = 3600


def age(path: Path) -> None:
    """As sources usually are: not from this very second."""
    then = time.time() - HOUR
    os.utime(path, (then, then))


class Fault(Exception):
    """A tool failed or left wrong outputs: its time means nothing."""


class Workplace:
    """A folder in which one tool runs, and whose outputs are in `out` unless the tool has its own place."""

    def __init__(self, tool: Tool, folder: Path, env: dict[str, str], timeout: float) -> None:
        self.tool, self.folder, self.env, self.timeout = tool, folder, env, timeout
        self.log = folder.with_name(folder.name + ".log")
        self.resets = 0
        #: Says that everything is up to date already, for one run of the comparison.
        self.ready = folder.with_name(folder.name + ".ready")
        self.prepared = self.ready.exists()
        self.ready.unlink(missing_ok=True)
        if self.prepared:
            return
        for old in (folder, *folder.parent.glob(f"{folder.name}.old.*")):
            shutil.rmtree(old, ignore_errors=True)
        (folder / "src").mkdir(parents=True)
        (folder / "out").mkdir()
        if tool.init:
            self.measure(tool.init)

    def measure(self, argv: tuple[str, ...]) -> Measured:
        found = measure(list(argv), self.folder, self.env, self.log, self.timeout)
        if found.timed_out:
            raise Fault(f"more than {self.timeout:.0f} s")
        if found.code != 0:
            raise Fault(f"exit code {found.code}, see {self.log}")
        return found

    def reset(self) -> None:
        """As if nothing had ever run. Old files are put away, not deleted: ext4 avoids the numbers of files
        deleted a moment ago, and looks long for others when the next run makes its own."""
        self.resets += 1
        away = self.folder.with_name(f"{self.folder.name}.old.{self.resets}")
        away.mkdir()
        for pattern in (*self.tool.state, "out"):
            for path in self.folder.glob(pattern):
                path.rename(away / path.name)
        (self.folder / "out").mkdir()


class Project(Workplace):
    """The graph, written for the tool."""

    def __init__(self, tool: Tool, graph: Graph, folder: Path, env: dict[str, str], timeout: float) -> None:
        super().__init__(tool, folder, env, timeout)
        self.graph = graph
        self.versions = dict.fromkeys(graph.sources, 1)
        if self.prepared:
            return
        generate.write(tool.name, graph, folder)
        for path in graph.sources:
            age(folder / path)

    def cold(self) -> Measured:
        self.reset()
        return self.checked(self.tool.run, ran=len(self.graph))

    def build(self) -> None:
        """Everything done, as fast as can be."""
        self.reset()
        self.checked(self.tool.build or self.tool.fast, ran=len(self.graph))

    def noop(self) -> Measured:
        return self.checked(self.tool.run, ran=0)

    def dry(self) -> Measured:
        assert self.tool.dry
        return self.checked(self.tool.dry, ran=0)

    def edit(self, path: str, reaches: int) -> Measured:
        """A source gets new content of the same size or longer; so many tasks depend on it."""
        self.versions[path] += 1
        content = generate.source(self.tool.name, path, self.versions[path])
        (self.folder / path).write_bytes(content)
        return self.checked(self.tool.run, ran=reaches)

    def checked(self, argv: tuple[str, ...], ran: int) -> Measured:
        """Measures, and demands that exactly so many outputs are new and that all are right."""
        before = self.stamps()
        # phasegraph waits for its writes to be on disk; they shall not queue behind those of other tools.
        os.sync()
        found = self.measure(argv)
        after = self.stamps()
        new = sum(before.get(name) != stamp for name, stamp in after.items())
        if new != ran:
            raise Fault(f"{new} outputs are new instead of {ran}")
        self.verify()
        return found

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Task → which file its output is, and when that was written."""
        found = {}
        for task in self.graph.tasks:
            try:
                meta = os.stat(self.folder / generate.output(self.tool.name, self.graph, task))
            except FileNotFoundError:
                continue
            found[task.name] = (meta.st_ino, meta.st_mtime_ns)
        return found

    def verify(self) -> None:
        """Whether every output holds what it must, also those that the tool did not touch. What native
        stages write is not known beforehand; only that it is there."""
        expected = self.graph.expected(self.versions)
        for task in self.graph.tasks:
            path = self.folder / generate.output(self.tool.name, self.graph, task)
            if not path.exists():
                raise Fault(f"WRONG OUTPUT: {task.name} is missing")
            if self.tool.name != "native" and path.read_bytes() != expected[task.name]:
                raise Fault(f"WRONG OUTPUT: {task.name}")
