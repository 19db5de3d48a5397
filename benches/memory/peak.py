#!/usr/bin/env python3
"""Holds the forecast of `infer`'s peak memory against what the process took (VmHWM), each run in a process of
its own: three networks, five chunk sizes.

  peak.py target/release/phasegraph [--images 200] [--chunks 1,4,16,32,64] [--tolerance 0.05]

The first run of a network knows nothing and probes; the others are given what it learnt, as the engine does it.
Exits with 1 if a forecast is off by more than the tolerance.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import worker

HERE = Path(__file__).parent
MIB = 1 << 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--chunks", default="1,4,16,32,64")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tolerance", type=float, default=0.05)
    asked = parser.parse_args()
    program = str(asked.program.resolve())
    library = worker.runtime(program)
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        run = [program, "run", str(HERE / "networks.yaml"), "--dir", folder, "-q"]
        subprocess.run([*run, "--set", f"simulate.positions.count={asked.images}"], check=True)
        results = Path(folder) / "results" / "networks"
        data = results / "simulate" / "data.npz"
        data = data if data.exists() else next(results.glob("simulate/**/*.npz"))
        print("| network | chunk | facts | predicted, MiB | measured, MiB | off |\n|---|---|---|---|---|---|")
        for model in sorted(results.glob("train/**/model.onnx")):
            facts = {}
            for chunk in [int(c) for c in asked.chunks.split(",")]:
                for known in ([{}, None] if not facts else [None]):
                    told = worker.infer(program, library, data, model, chunk, asked.threads, facts if known is None else {})
                    facts |= told["facts"]
                    if told["end"] != "finished":
                        sys.exit(f"{model}: {told['error']}")
                    off = told["predicted"] / told["peak"] - 1
                    worst = max(worst, abs(off))
                    name = model.parent.name.removeprefix("network=")
                    source = "probed" if told["facts"] else "recalled"
                    print(f"| {name} | {told['chunk']} | {source} | {told['predicted'] / MIB:.1f} | "
                          f"{told['peak'] / MIB:.1f} | {100 * off:+.1f} % |", flush=True)
    print(f"\nworst: {100 * worst:.1f} %")
    return int(worst > asked.tolerance)


if __name__ == "__main__":
    sys.exit(main())
