"""How long tools take, run in turn: one round has one run of each tool, so that whatever else the machine
does meanwhile hits all of them alike."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal, TypeVar

from graph import FIFTY, LEAF, Graph
from measure import Measured
from project import Fault, Project, Workplace
from tools import Tool, loud, progress

#: Shapes at which tools are run from nothing, and those at which sources are edited.
COLD = ("m100", "m1000")
EDITED = ("m1000", "m10000")


What = Literal["wall", "cpu", "rss_mb"]


@dataclass
class Series:
    """The runs of one tool, or why there are none."""

    runs: list[Measured] = field(default_factory=list)
    fault: str = ""

    def values(self, what: What) -> list[float]:
        return [asdict(run)[what] for run in self.runs]

    def median(self, what: What) -> float:
        return median(self.values(what))

    def least(self, what: What) -> float:
        return min(self.values(what))


#: Measure and shape → tool → its runs.
Results = dict[tuple[str, str], dict[str, Series]]


@dataclass(frozen=True)
class Settings:
    work: Path
    env: dict[str, str]
    repeat: int
    #: Seconds after which a tool that has run at least once is not repeated, and those after which it is
    #: killed.
    patience: float
    timeout: float


Place = TypeVar("Place", bound=Workplace)


def rounds(
    projects: list[Place], settings: Settings, title: str, step: Callable[[Place], Measured]
) -> dict[str, Series]:
    found = {project.tool.name: Series() for project in projects}
    for number in range(settings.repeat):
        for project in projects:
            series = found[project.tool.name]
            spent = sum(run.wall for run in series.runs)
            if series.fault or spent > settings.patience:
                continue
            progress(f"{title}: round {number + 1}, {project.tool.name}")
            try:
                series.runs.append(step(project))
            except Fault as fault:
                series.fault = str(fault)
                loud(f"{title}: {project.tool.name}: {fault}")
    progress(f"{title}: done", ended=True)
    return found


def measure_shape(shape: str, tools: list[Tool], settings: Settings, results: Results) -> None:
    """Adds all measures of a shape to the results."""
    graph = Graph(shape)
    ready = {path.stem for path in (settings.work / shape).glob("*.ready")}
    if ready:
        tools = [tool for tool in tools if tool.name in ready]
    else:
        shutil.rmtree(settings.work / shape, ignore_errors=True)
    projects = set_up(graph, tools, settings)
    cold = [project for project in projects if shape in COLD and project.tool.takes_cold(shape)]
    if cold:
        results["cold", shape] = rounds(cold, settings, f"cold {shape}", Project.cold)
    faults = {name: series.fault for name, series in results.get(("cold", shape), {}).items()}
    unbuilt = [project for project in projects if project not in cold and not project.prepared]
    faults |= {project.tool.name: build(project) for project in unbuilt}
    lost = {name: Series(fault=fault) for name, fault in faults.items() if fault}
    ready = [project for project in projects if project.tool.name not in ("sh", *lost)]

    results["no-op", shape] = lost | rounds(ready, settings, f"no-op {shape}", Project.noop)
    dry = [project for project in ready if project.tool.dry]
    results["dry run", shape] = rounds(dry, settings, f"dry run {shape}", Project.dry)
    if shape in EDITED:
        for name, path, reaches in (("1 changed leaf", LEAF, 1), ("50-task edit", FIFTY, 50)):
            step = partial(Project.edit, path=path, reaches=reaches)
            results[name, shape] = rounds(ready, settings, f"{name} {shape}", step)
    if not any(series.fault for found in results.values() for series in found.values()):
        shutil.rmtree(settings.work / shape)


def prepare(shape: str, tools: list[Tool], settings: Settings) -> None:
    """Brings a shape up to date, so that the next run has only to measure it, with these tools. Small ones begin
    from nothing then."""
    if shape in COLD:
        return
    waiting = [tool for tool in tools if not (settings.work / shape / f"{tool.name}.ready").exists()]
    for project in set_up(Graph(shape), waiting, settings):
        if not build(project):
            project.ready.touch()


def set_up(graph: Graph, tools: list[Tool], settings: Settings) -> list[Project]:
    # The floor knows no state: it can only run everything.
    takers = [
        tool for tool in tools if tool.takes(graph.shape) and (tool.name != "sh" or graph.shape in COLD)
    ]
    folder = settings.work / graph.shape
    return [Project(tool, graph, folder / tool.name, settings.env, settings.timeout) for tool in takers]


def build(project: Project) -> str:
    """Runs everything once, unmeasured, where only what follows is measured. Returns what went wrong."""
    name, shape = project.tool.name, project.graph.shape
    progress(f"set-up {shape}: {name}")
    try:
        project.build()
    except Fault as fault:
        loud(f"set-up {shape}: {name}: {fault}")
        return f"set-up: {fault}"
    return ""
