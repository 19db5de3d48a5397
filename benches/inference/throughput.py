#!/usr/bin/env python3
"""Groups per second of `infer`, which reads patterns from disk and writes patches to disk chunk by chunk, against
Python's onnxruntime with the whole scan in memory, at its best batch size: same model, same threads, taken in turns.

  throughput.py target/release/phasegraph [--images 600] [--threads 2] [--repeat 3]

Needs Python's `onnxruntime` (of the version that phasegraph uses) and `numpy`. Exits with 1 if the ratio is below
what is asked (--least, 0.97).
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "memory"))
import worker  # noqa: E402

BATCHES = (1, 2, 4, 8, 16, 32, 64)


def groups(data: Path, channels: int) -> np.ndarray:
    """The scan as the network sees it, (groups, channels, N, N): neighbours as `infer` finds them, or nearly."""
    with np.load(data) as npz:
        patterns, x, y = npz["diffraction"], npz["xcoords"], npz["ycoords"]
    n = patterns.shape[-1]
    factor = np.sqrt((n / 2) ** 2 / np.mean(np.sum(patterns.astype(np.float64) ** 2, axis=(1, 2))))
    distance = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    members = np.argsort(distance, axis=1)[:, :channels]
    return patterns[members] * np.float32(factor)


def session(model: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def python(network: ort.InferenceSession, scan: np.ndarray, batch: int) -> float:
    start = time.perf_counter()
    for at in range(0, len(scan), batch):
        network.run(None, {"diffraction": scan[at : at + batch]})
    return len(scan) / (time.perf_counter() - start)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--chunks", default="auto")
    parser.add_argument("--least", type=float, default=0.97)
    asked = parser.parse_args()
    program = str(asked.program.resolve())
    library = worker.runtime(program)
    chunks = [int(c) if c.isdigit() else c for c in asked.chunks.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        run = [program, "run", str(HERE.parent / "memory" / "networks.yaml"), "--dir", folder, "-q"]
        run += ["--set", f"simulate.positions.count={asked.images}", "--set", "network=wide"]
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
        results = Path(folder) / "results" / "networks"
        data, model = next(results.glob("simulate/*.npz")), next(results.glob("train/**/model.onnx"))
        scan = groups(data, 4)
        network = session(model, asked.threads)
        python(network, scan[:16], 16)
        speeds = {batch: python(network, scan[: max(128, batch)], batch) for batch in BATCHES}
        best = max(speeds, key=speeds.get)
        facts = worker.infer(program, library, data, model, 8, asked.threads)["facts"]
        theirs, ours = [], {chunk: [] for chunk in chunks}
        for _ in range(asked.repeat):
            theirs.append(python(network, scan, best))
            for chunk in chunks:
                told = worker.infer(program, library, data, model, chunk, asked.threads, facts)
                if told["end"] != "finished":
                    sys.exit(f"inference failed: {told['error']}")
                ours[chunk].append(len(scan) / told["measures"]["inference_s"])
    print(f"{asked.images} groups, {asked.threads} threads, onnxruntime {ort.__version__}, groups per second")
    print("Python, by batch: " + ", ".join(f"{batch}: {speed:.2f}" for batch, speed in speeds.items()))
    reference = statistics.median(theirs)
    print(f"Python, batch {best}, all in memory: {reference:.2f} ({', '.join(f'{s:.2f}' for s in theirs)})")
    ratios = []
    for chunk in chunks:
        ratios.append(statistics.median(ours[chunk]) / reference)
        spread = ", ".join(f"{s:.2f}" for s in ours[chunk])
        print(f"phasegraph, chunk {chunk}: {statistics.median(ours[chunk]):.2f} ({spread}), ratio {ratios[-1]:.3f}")
    return int(max(ratios) < asked.least)


if __name__ == "__main__":
    sys.exit(main())
