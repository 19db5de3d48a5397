"""The results as Markdown."""

import os
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path

from correctness import Finding
from graph import Graph
from hashing import FILES
from speed import Results, Series, What
from tools import Tool

REFERENCE = "ninja"
BOTH: tuple[What, What] = ("wall", "cpu")


@dataclass
class Findings:
    matrix: dict[str, dict[str, Finding]] = field(default_factory=dict)
    speed: Results = field(default_factory=dict)
    hashing: Results = field(default_factory=dict)


def markdown(findings: Findings, tools: list[Tool]) -> dict[str, str]:
    """Measure → its tables, for those that were made."""
    tables = {
        "correctness": matrix(findings.matrix) if findings.matrix else "",
        "hashing": hashed(findings.hashing),
        "speed": ratios(findings.speed, tools)
        + "".join(measured(name, found) for name, found in findings.speed.items()),
    }
    return {measure: text for measure, text in tables.items() if text}


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def seconds(value: float) -> str:
    if value < 0.1:
        return f"{1000 * value:.1f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def ratio(value: float, reference: float | None) -> str:
    if not reference:
        return "–"
    times = value / reference
    return f"{times:.2f}×" if times < 10 else f"{times:.0f}×"


def provenance(tools: list[Tool], date: str, label: str, command: str, load: float) -> str:
    """What was measured where. The load tells whether the machine had nothing else to do."""
    versions = ", ".join(
        f"{tool.name} {tool.version}".strip() for tool in tools if tool.name not in ("sh", "native")
    )
    machine = f"{os.cpu_count()} cores, {processor()}, Linux {platform.release().split('-')[0]}"
    lines = [
        f"Measured {date} with {versions} on {machine}, load {load:.1f} at the beginning:",
        "",
        "```console",
        command,
        "```",
        "",
    ]
    if label:
        lines = [f"**{label}**", "", *lines]
    return "\n".join(lines) + "\n"


def processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found.group(1).strip() if found else platform.machine()


def ratios(results: Results, tools: list[Tool]) -> str:
    """All measures at a glance: processor time and wall time over Ninja's."""
    head = ["CPU (wall) ÷ Ninja's", *(tool.name for tool in tools)]
    rows = []
    for (measure, shape), found in results.items():
        reference = found.get(REFERENCE)
        if reference is None or not reference.runs:
            continue
        rows.append([f"{measure}, {shape}", *(cell(found.get(tool.name), reference) for tool in tools)])
    return "### At a glance\n\n" + table(head, rows) if rows else ""


def cell(series: Series | None, reference: Series) -> str:
    if series is None:
        return "–"
    if not series.runs:
        return "failed"
    cpu, wall = (ratio(series.median(what), reference.median(what)) for what in reversed(BOTH))
    return f"{cpu} ({wall})"


def measured(name: tuple[str, str], found: dict[str, Series]) -> str:
    measure, shape = name
    reference = found.get(REFERENCE)
    cold = measure == "cold"
    head = [
        "tool",
        "wall median",
        "min",
        "CPU median",
        "min",
        "÷ Ninja's CPU",
        "(wall)",
        "peak memory",
        "runs",
    ]
    if cold:
        head[7:7] = ["CPU per task above spawning it", "(wall)"]
    rows = []
    for tool, series in found.items():
        if not series.runs:
            rows.append([tool, series.fault, *[""] * (len(head) - 2)])
            continue
        row = [tool]
        for what in BOTH:
            row += [seconds(series.median(what)), seconds(series.least(what))]
        for what in reversed(BOTH):
            row.append(
                ratio(series.median(what), reference.median(what) if reference and reference.runs else None)
            )
        if cold:
            row += [overhead(series, found.get("sh"), shape, what) for what in reversed(BOTH)]
        row += [
            f"{series.median('rss_mb'):.1f} MB",
            f"{len(series.runs)}{f', then {series.fault}' if series.fault else ''}",
        ]
        rows.append(row)
    return f"### {measure}, {shape}\n\n" + table(head, rows)


def overhead(series: Series, floor: Series | None, shape: str, what: What) -> str:
    """Per task, over a shell loop that starts the same commands."""
    if floor is None or not floor.runs or series is floor:
        return "–"
    return f"{1000 * (series.median(what) - floor.median(what)) / len(Graph(shape)):.2f} ms"


def hashed(results: Results) -> str:
    text = ""
    for (measure, shape), found in results.items():
        gibibytes = FILES * int(re.findall(r"\d+", shape)[1]) / 1024
        reference = found.get("dvc")
        rows = []
        for tool, series in found.items():
            if not series.runs:
                rows.append([tool, series.fault, "", "", "", ""])
                continue
            cpu, wall = series.median("cpu"), series.median("wall")
            faster = f"{reference.median('cpu') / cpu:.2f}×" if reference and reference.runs else "–"
            rate = f"{gibibytes / cpu:.2f} GiB" if "no-op" not in measure else "–"
            memory = f"{series.median('rss_mb'):.1f} MB"
            rows.append([tool, seconds(wall), seconds(cpu), rate, faster, memory, str(len(series.runs))])
        head = ["tool", "wall", "CPU", "per core-second", "DVC's CPU ÷ this", "peak memory", "runs"]
        text += f"### {measure}, {shape}\n\n" + table(head, rows)
    return text


def matrix(found: dict[str, dict[str, Finding]]) -> str:
    tools = list(next(iter(found.values())))
    rows = []
    for case, by_tool in found.items():
        cells = [f"{'✓' if by_tool[tool].good else '✗'} {by_tool[tool].text}" for tool in tools]
        rows.append([case, *cells])
    return "### Correctness\n\n" + table(["case", *tools], rows)


def write_section(document: Path, measure: str, section: str) -> None:
    """Puts the results of a measure between its marks in a document, in place of the old ones."""
    begin, end = f"<!-- begin:{measure} -->", f"<!-- end:{measure} -->"
    text = document.read_text()
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise SystemExit(f"{document} has no {begin} … {end}")
    document.write_text(f"{before}{begin}\n\n{section.strip()}\n\n{end}{after}")
