#!/usr/bin/env python3
"""Compares phasegraph with the orchestrators one would pick instead. One command repeats everything:

  compare.py                                     all measures; peers are installed into the cache folder
  compare.py --quick                             a first impression, in less than two minutes
  compare.py --write docs/benchmarks.md          and puts the tables into the document, each measure's in its place
  compare.py --measures speed --shapes m1000 --tools phasegraph,ninja,sh --repeat 9

phasegraph itself is not built: `cargo build --release` first.
"""

import argparse
import datetime
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import report
from correctness import measure_correctness
from graph import SHAPES
from hashing import measure_hashing
from report import Findings
from speed import Settings, measure_shape, prepare
from tools import Tool, available, catalogue, environment, install

ROOT = Path(__file__).resolve().parents[2]
MEASURES = ("speed", "hashing", "correctness")
TOOLS = ("phasegraph", "native", "sh", "make", "ninja", "n2", "doit", "snakemake", "dvc", "redun")
#: What `--quick` leaves: tools that end within seconds.
QUICK = ("phasegraph", "sh", "make", "ninja", "n2", "doit")
#: The correctness matrix runs in well under a minute with these.
MATRIX = ("phasegraph", "make", "ninja", "n2", "doit", "snakemake", "dvc")


def arguments() -> argparse.Namespace:
    def some(names: tuple[str, ...]) -> Callable[[str], list[str]]:
        def parse(text: str) -> list[str]:
            chosen = text.split(",")
            unknown = [name for name in chosen if name not in names]
            if unknown:
                raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected some of {','.join(names)}")
            return chosen

        return parse

    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "phasegraph-bench"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--phasegraph", type=Path, default=ROOT / "target/release/phasegraph", help="the program to measure")
    add(
        "--cache", type=Path, default=cache, help="folder for peers and working copies (default: %(default)s)"
    )
    add("--measures", type=some(MEASURES), default=list(MEASURES), help=",".join(MEASURES))
    add("--shapes", type=some(SHAPES), help="numbers of tasks (default: all; quick: m1000)")
    add("--tools", type=some(TOOLS), help=f"{','.join(TOOLS)} (default: all)")
    add("--timed", type=some(TOOLS), help="of these, those whose speed is measured (default: all)")
    add("--repeat", type=int, help="rounds, each with one run of every tool (default: 7; quick: 2)")
    add(
        "--patience",
        type=float,
        default=60,
        help="seconds of all runs of a tool, after which it is not repeated",
    )
    add(
        "--timeout", type=float, default=1800, help="seconds after which a run is killed and counts as failed"
    )
    add("--mebibytes", type=int, help="size of each of the four hashed files (default: 512; quick: 128)")
    add("--slow", action="store_true", help="run DVC from nothing at m1000, too: a quarter of an hour")
    add(
        "--prepare",
        action="store_true",
        help="only bring the larger shapes up to date, on a busy machine if need be: the next run measures them so",
    )
    add("--quick", action="store_true", help="small shapes, quick tools, few rounds")
    add("--write", type=Path, metavar="DOCUMENT", help="replace the tables between the marks of a document")
    add("--label", default="", help="a line above the tables, for example which build was measured")
    add("--date", default=datetime.date.today().isoformat())
    args = parser.parse_args()
    args.shapes = args.shapes or (["m1000"] if args.quick else list(SHAPES))
    args.tools = args.tools or list(QUICK if args.quick else TOOLS)
    args.repeat = args.repeat or (2 if args.quick else 7)
    args.mebibytes = args.mebibytes or (128 if args.quick else 512)
    return args


def run(args: argparse.Namespace) -> dict[str, str]:
    """Measures and returns measure → Markdown. What is known so far is always in the cache folder."""
    env = environment(args.cache)
    install(args.cache, args.tools)
    tools = available([t for t in catalogue(args.phasegraph.resolve()) if t.name in args.tools], env)
    if args.slow:
        tools = [replace(tool, largest_cold=tool.largest) for tool in tools]
    work = args.cache / "work"
    settings = Settings(work, env, args.repeat, args.patience, args.timeout)
    if args.prepare:
        for shape in args.shapes:
            prepare(shape, tools, settings)
        return {}
    findings = Findings()
    load = os.getloadavg()[0]
    sections: dict[str, str] = {}
    for part in parts(args, tools, settings, findings):
        part()
        head = report.provenance(tools, args.date, args.label, command(), load)
        sections = {measure: head + text for measure, text in report.markdown(findings, tools).items()}
        save(args.cache, findings, "\n".join(sections.values()))
    return sections


def parts(
    args: argparse.Namespace, tools: list[Tool], settings: Settings, findings: Findings
) -> Iterator[Callable[[], None]]:
    if "correctness" in args.measures:
        chosen = [tool for tool in tools if tool.name in MATRIX]
        yield lambda: findings.matrix.update(measure_correctness(chosen, settings.work, settings.env))
    if "hashing" in args.measures:
        yield lambda: findings.hashing.update(measure_hashing(tools, settings, args.mebibytes))
    if "speed" in args.measures:
        timed = [tool for tool in tools if not args.timed or tool.name in args.timed]
        for shape in args.shapes:
            yield partial(measure_shape, shape, timed, settings, findings.speed)


def command() -> str:
    """What was typed, without what differs from machine to machine."""
    parts = iter(sys.argv[1:])
    kept = ["benches/orchestrators/compare.py"]
    for part in parts:
        if part in ("--cache", "--phasegraph", "--label", "--date"):
            next(parts, None)
        else:
            kept.append(part)
    return shlex.join(kept)


def save(cache: Path, findings: Findings, text: str) -> None:
    """Every single run, for whoever wants to look closer, and the tables."""
    plain = {
        f"{measure} {shape}": {tool: asdict(series) for tool, series in found.items()}
        for (measure, shape), found in (findings.speed | findings.hashing).items()
    }
    (cache / "results.json").write_text(json.dumps(plain, indent=1))
    (cache / "results.md").write_text(text)


def main() -> None:
    args = arguments()
    if not args.phasegraph.is_file():
        sys.exit(f"{args.phasegraph} is not there: build it first, or say where it is with --phasegraph")
    args.cache.mkdir(parents=True, exist_ok=True)
    # Being told to end is like Ctrl-C: the tool that is being measured must end as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sections = run(args)
    if args.prepare:
        return
    print("\n".join(sections.values()))
    print(f"single runs: {args.cache / 'results.json'}", file=sys.stderr)
    if args.write:
        for measure, text in sections.items():
            report.write_section(args.write, measure, text)


if __name__ == "__main__":
    main()
