"""The tools: what to type, what they leave behind, and where they come from."""

import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass, field, replace
from pathlib import Path

from graph import SHAPES

#: The peers that pip has; make and n2 come from the system, if at all.
PINNED = {
    "ninja": "1.13.2",
    "doit": "0.37.0",
    "snakemake": "9.27.1",
    "dvc": "3.67.1",
    "redun": "0.44.1",
}


@dataclass(frozen=True)
class Tool:
    name: str
    #: One task at a time, and as many as there are cores.
    run: tuple[str, ...]
    fast: tuple[str, ...]
    #: Says what would run.
    dry: tuple[str, ...] | None
    #: What a reset removes, beside outputs.
    state: tuple[str, ...]
    #: Prepares an empty folder.
    init: tuple[str, ...] | None = None
    #: Makes everything up to date from nothing; `fast` unless there is a shorter way.
    build: tuple[str, ...] | None = None
    #: Larger shapes would take hours, or many minutes from nothing.
    largest: str = "m100000"
    largest_cold: str = "m100000"
    version: str = field(default="", compare=False)

    def at(self, program: str) -> "Tool":
        """The same tool, started by its path."""

        def with_path(argv: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return argv and (program, *argv[1:])

        run, fast = (program, *self.run[1:]), (program, *self.fast[1:])
        return replace(self, run=run, fast=fast, dry=with_path(self.dry), init=with_path(self.init))

    def takes(self, shape: str) -> bool:
        return SHAPES.index(shape) <= SHAPES.index(self.largest)

    def takes_cold(self, shape: str) -> bool:
        return SHAPES.index(shape) <= SHAPES.index(self.largest_cold)


def catalogue(phasegraph: Path) -> list[Tool]:
    program, cores = str(phasegraph), str(os.cpu_count())
    run = (program, "run", "study.yaml", "--quiet")
    plan = (program, "plan", "study.yaml")
    out = ("phasegraph-out",)
    smk = ("snakemake", "--quiet", "all", "--cores")
    return [
        Tool("phasegraph", (*run, "-j1"), run, plan, out),
        Tool("native", (*run, "-j1"), run, plan, out, largest="m10000"),
        Tool("sh", ("sh", "run.sh"), ("sh", "run.sh"), None, ()),
        Tool("make", ("make", "-s"), ("make", "-s", "-j", cores), ("make", "-n"), ()),
        Tool(
            "ninja",
            ("ninja", "--quiet", "-j1"),
            ("ninja", "--quiet", "-j", cores),
            ("ninja", "-n"),
            (".ninja_log", ".ninja_deps"),
        ),
        Tool("n2", ("n2", "-j1"), ("n2", "-j", cores), None, (".n2_db",)),
        Tool(
            "doit",
            ("doit",),
            ("doit", "-n", cores),
            ("doit", "list", "--all", "--status"),
            (".doit.db*",),
            largest="m10000",
        ),
        Tool("snakemake", (*smk, "1"), (*smk, cores), (*smk, "1", "-n"), (".snakemake",), largest="m1000"),
        Tool(
            "dvc",
            ("dvc", "repro", "-q"),
            ("dvc", "repro", "-q"),
            ("dvc", "repro", "-q", "--dry"),
            ("dvc.lock", ".dvc/cache", ".dvc/tmp", ".dvc-site"),
            ("dvc", "init", "-q", "--no-scm"),
            build=("sh", "-c", "sh run.sh && dvc commit -f -q"),
            largest="m1000",
            largest_cold="m100",
        ),
        Tool(
            "redun",
            ("redun", "run", "workflow.py", "main"),
            ("redun", "run", "workflow.py", "main"),
            None,
            (".redun",),
            largest="m1000",
        ),
    ]


def environment(cache: Path) -> dict[str, str]:
    """The same for all tools; none sees or changes the user's own settings."""
    home = cache / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{cache / 'venv' / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "DVC_NO_ANALYTICS": "1",
        # Relative: DVC's record of digests lies in the project, so that a reset finds it.
        "DVC_SITE_CACHE_DIR": ".dvc-site",
    }


def install(cache: Path, names: list[str]) -> None:
    """Puts the pinned peers into a virtual environment; one that cannot be had is left out, loudly."""
    folder = cache / "venv"
    stamp = folder / "installed"
    known = stamp.read_text().split() if stamp.exists() else []
    wanted = [f"{name}=={PINNED[name]}" for name in names if name in PINNED]
    missing = [package for package in wanted if package not in known]
    if not missing:
        return
    if not folder.exists():
        venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    for package in missing:
        progress(f"installing {package}", ended=True)
        if subprocess.run([*pip, package]).returncode == 0:
            known.append(package)
        else:
            loud(f"{package} cannot be installed: it is LEFT OUT of this comparison")
    stamp.write_text("\n".join(known))


def available(tools: list[Tool], env: dict[str, str]) -> list[Tool]:
    """The tools that answer, with their versions. They may be anywhere on the user's PATH, but what they
    start is looked up on a short one: a long one would cost each task a millisecond."""
    found = []
    for tool in tools:
        program = shutil.which(tool.run[0], path=f"{env['PATH']}:{os.environ.get('PATH', '')}")
        if program is None:
            loud(f"{tool.name} is not installed: it is LEFT OUT of this comparison")
            continue
        version = "" if tool.name == "sh" else version_of(program, env)
        found.append(replace(tool.at(program), version=version))
    return found


def version_of(program: str, env: dict[str, str]) -> str:
    said = subprocess.run([program, "--version"], env=env, capture_output=True, text=True, check=True)
    number = re.search(r"\d+(\.\d+)+", said.stdout)
    return number.group() if number else "?"


def progress(message: str, ended: bool = False) -> None:
    """One line that is written over, on a terminal; elsewhere only what has ended."""
    if sys.stderr.isatty():
        print(f"\r\033[K{message}", end="\n" if ended else "", file=sys.stderr, flush=True)
    elif ended:
        print(message, file=sys.stderr, flush=True)


def loud(message: str) -> None:
    print(f"\n*** {message} ***\n", file=sys.stderr, flush=True)
