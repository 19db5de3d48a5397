"""The correctness matrix: what each tool makes of touched, edited, half-written and contested files. Every
cell is what a real run did."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chain import TASKS, Chain, definitions
from measure import adopt_orphans, reap_orphans
from tools import Tool, progress


@dataclass(frozen=True)
class Finding:
    good: bool
    text: str


def touched(chain: Chain) -> Finding:
    os.utime(chain.source)
    chain.run()
    return Finding(not chain.ran, f"reran {len(chain.ran)} of {len(TASKS)}" if chain.ran else "reran nothing")


def edited_in_secret(chain: Chain) -> Finding:
    """Other bytes, with size and time of the old ones: a copy that keeps times, a restored backup."""
    before = os.stat(chain.source)
    chain.write(chain.source.read_text().replace("line", "LINE"))
    os.utime(chain.source, ns=(before.st_atime_ns, before.st_mtime_ns))
    chain.run()
    return Finding(chain.right, "noticed" if chain.right else "**missed: old result kept**")


def cut_off(chain: Chain) -> Finding:
    """An edit that does not change what the first task writes."""
    chain.write(chain.source.read_text().replace("# a comment", "# another comment"))
    chain.run()
    good = chain.right and chain.ran == ["first"]
    return Finding(good, "stops there" if good else f"reran {len(chain.ran)} of {len(TASKS)}")


def killed(chain: Chain) -> Finding:
    """SIGKILL to the tool and all its children while the second task writes, then the same command again."""
    chain.write(chain.body("new"))
    chain.slow(True)
    process = chain.start()
    chain.wait_for("second", process)
    chain.kill(process)
    chain.slow(False)
    chain.forget()
    code = chain.run()
    if chain.right:
        extra = [task for task in chain.ran if task != "second"]
        return Finding(
            not extra, "right; reran the finished task, too" if extra else "right; reran only the lost task"
        )
    if code == 0:
        return Finding(False, "**accepts the half-written file**, exit code 0")
    return Finding(False, f"refuses to run, exit code {code}")


def contested(chain: Chain) -> Finding:
    """The same command again while the first run is at work."""
    chain.write(chain.body("new"))
    chain.slow(True)
    first = chain.start()
    chain.wait_for("first", first)
    second = chain.start()
    code = second.wait(timeout=120)
    misled = first.poll() is None and code == 0 and not chain.right
    codes = (first.wait(timeout=120), code)
    twice = len(chain.ran) > len(TASKS)
    if chain.right and not twice:
        how = "refused" if codes[1] else "waits, nothing runs twice"
        return Finding(codes[0] == 0, f"{how} (exit codes {codes[0]} and {codes[1]})")
    state = "**outputs corrupt**"
    if chain.right:
        state = "**the second takes a half-written file for done**" if misled else "right in the end"
    return Finding(False, f"both run; {state} (exit codes {codes[0]} and {codes[1]})")


CASES: dict[str, Callable[[Chain], Finding]] = {
    "after `touch`, same bytes": touched,
    "edit with same size and mtime": edited_in_secret,
    "identical output downstream (early cutoff)": cut_off,
    "SIGKILL with half-written output, then a plain rerun": killed,
    "a second run beside the first": contested,
}


def measure_correctness(tools: list[Tool], work: Path, env: dict[str, str]) -> dict[str, dict[str, Finding]]:
    """Case → tool → what happened."""
    adopt_orphans()
    folder = work / "correctness"
    shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, dict[str, Finding]] = {}
    for number, (name, case) in enumerate(CASES.items()):
        for tool in tools:
            if tool.name not in definitions(Path()):
                continue
            progress(f"{name}: {tool.name}")
            chain = Chain(tool, folder / f"{number}-{tool.name}", env)
            if chain.run() != 0 or not chain.right or chain.ran != list(TASKS):
                raise RuntimeError(f"{tool.name} cannot run the chain in {chain.folder}")
            chain.forget()
            found.setdefault(name, {})[tool.name] = case(chain)
            # What outlives its killed parent must not disturb the next case.
            list(reap_orphans())
    progress("correctness: done", ended=True)
    return found
