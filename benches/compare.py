#!/usr/bin/env python3
"""Native stages beside the packages one would use instead: CPU seconds on one thread, and how many times less.

  compare.py                                    builds, installs peers into the cache folder, measures
  compare.py --write docs/benchmarks.md         and puts the table into the document
  compare.py --measures simulate,rpie_1000      some measures; --without ptychi leaves out the slow install

Peers and we take turns, so that whatever else the machine does hits both; of several rounds the fastest counts. Needs
Linux and Python 3.11. pty-chi needs torch, whose wheel is large; it is made to work without a GPU's libraries.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
NUMERICS = ["numpy==2.4.6", "scipy==1.17.1", "scikit-image==0.26.0", "scikit-learn==1.9.1"]
#: Without what they ask for: torch's GPU libraries, and pty-chi's plotting.
ALONE = ["torch==2.15.0", "torchvision==0.29.2", "ptychi==2.2.0"]
TORCH = ["sympy", "typing_extensions", "filelock", "fsspec", "jinja2", "networkx", "pydantic", "pandas", "tqdm", "h5py",
         "matplotlib"]

#: Measure: what it is, goals (peer, ratio), and its limit: measures and how many times each.
WORK = {
    "simulate": ("simulate 5000 patterns 64², Poisson at 10⁶ photons", {"numpy": 4}, {"fft": 2.5, "poisson": 1}),
    "group": ("four nearest of each of 5216 positions", {"numpy": 10}, {}),
    "overlap_metrics": ("overlap metrics 1–3 of 5216 positions", {"numpy": 10}, {}),
    "stitch_whole_pixels": ("stitch 20 864 patches 64², whole pixels", {"numpy": 10}, {"read_patches": 1}),
    "stitch_bilinear": ("stitch 20 864 patches 64², bilinear", {"numpy": 10}, {"read_patches": 1}),
    "ssim": ("SSIM of 1024²", {"numpy": None}, {}),
    "ms_ssim": ("MS-SSIM of 1024², σ = 1", {"numpy": None}, {}),
    "ring_correlation": ("ring correlation of 1024²", {"numpy": None}, {"fft_1024": 2}),
    "registration": ("registration of 1024² to 1/50 px", {"numpy": None}, {"fft_1024": 3}),
    "images": ("SSIM + MS-SSIM + FRC + registration of 1024²", {"numpy": 4}, {"fft_1024": 5}),
    "lsqml_1000": ("LSQML epoch, 1000 patterns 64², batch 100", {"ptychi": 10, "numpy": 2.5}, {"fft": 1}),
    "lsqml_5000": ("LSQML epoch, 5000 patterns 64², batch 100", {"ptychi": 10, "numpy": 2.5}, {"fft": 5}),
    "dm_1000": ("difference map epoch, 1000 patterns 64²", {"ptychi": None, "numpy": None}, {"fft": 1}),
    "rpie_1000": ("rPIE epoch, 1000 patterns 64², batch 1", {"ptychi": 50, "numpy": None}, {"fft": 1}),
    "epie_1000": ("ePIE epoch, 1000 patterns 64², batch 1", {"ptychi": 50, "numpy": None}, {"fft": 1}),
}
SUM = ("ssim", "ms_ssim", "ring_correlation", "registration")
LIMITS = ("fft", "fft_1024", "read_patches", "poisson")
NAMES = {"numpy": "NumPy, SciPy, scikit-image", "ptychi": "pty-chi"}


def arguments():
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "phasegraph-bench-peers"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=cache, help="folder for peers and data (default: %(default)s)")
    parser.add_argument("--measures", help=f"some of {','.join(WORK)}")
    parser.add_argument("--without", choices=["ptychi"], help="leave out a peer")
    parser.add_argument("--rounds", type=int, default=2, help="rounds, of which the fastest counts (default: 2)")
    parser.add_argument("--write", type=Path, help="document whose table is replaced")
    options = parser.parse_args()
    wanted = options.measures.split(",") if options.measures else list(WORK)
    if unknown := [m for m in wanted if m not in WORK]:
        parser.error(f"no measure {', '.join(unknown)}: expected some of {', '.join(WORK)}")
    options.measures = wanted
    return options


def run(command, **more):
    return subprocess.run([str(c) for c in command], check=True, text=True, **more)


def peers(folder, with_ptychi):
    """The Python that has the peers; installs what is not there."""
    python = folder / "venv/bin/python"
    if not python.exists():
        venv.create(folder / "venv", with_pip=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = folder / "installed.json"
    there = json.loads(done.read_text()) if done.exists() else []
    if NUMERICS != there[: len(NUMERICS)]:
        run([*pip, *NUMERICS])
        there = list(NUMERICS)
    if with_ptychi and ALONE != there[len(NUMERICS) :]:
        run([*pip, *TORCH])
        run([*pip, "--no-deps", *ALONE])
        where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
        site = run([python, "-c", where], capture_output=True).stdout.strip()
        run([python, HERE / "peers/torch_cpu_stubs.py", site], stdout=subprocess.DEVNULL)
        there += ALONE
    done.write_text(json.dumps(there))
    return python


def build():
    """The benchmark programs: `stages` and `native`."""
    command = ["cargo", "bench", "--bench", "stages", "--bench", "native", "--no-run", "--locked"]
    lines = run([*command, "--message-format=json"], cwd=ROOT, stdout=subprocess.PIPE).stdout.splitlines()
    messages = [json.loads(line) for line in lines]
    return {m["target"]["name"]: m["executable"] for m in messages if m.get("executable")}


def figures(command):
    """CPU seconds by measure, out of a program's JSON lines."""
    lines = run(command, stdout=subprocess.PIPE).stdout.splitlines()
    return {line["measure"]: line["cpu_s"] for line in map(json.loads, lines)}


def native_epochs(program, data, plan):
    found = {}
    for algorithm, batch, epochs in plan:
        more = [f"batch={batch}", f"epochs={epochs + 1}", "threads=1", "subpixel=nearest"]
        line = json.loads(run([program, "reconstruct", data, algorithm, *more], stdout=subprocess.PIPE).stdout)
        found[f"{algorithm}_{line['patterns']}"] = line["cpu_s_per_epoch_min"]
    return found


def keep_best(best, found):
    for measure, seconds in found.items():
        best[measure] = min(seconds, best.get(measure, seconds))


def measure(options, python, programs):
    """{who: {measure: CPU seconds}}."""
    best = {who: {} for who in ("phasegraph", "numpy", "ptychi")}
    wanted = set(options.measures)
    if "images" in wanted:
        wanted |= set(SUM)
    epochs = {m for m in wanted if m.rsplit("_", 1)[-1] in ("1000", "5000")}
    plain = sorted(wanted - epochs - {"images"})
    for _ in range(options.rounds):
        keep_best(best["phasegraph"], figures([programs["stages"], *plain, *LIMITS]))
        if plain:
            keep_best(best["numpy"], figures([python, HERE / "peers/numerics.py", *plain]))
        for count in ("1000", "5000"):
            algorithms = [m.rsplit("_", 1)[0] for m in WORK if m in epochs and m.endswith(count)]
            if not algorithms:
                continue
            data = options.cache / f"scan-{count}.npz"
            if not data.exists():
                run([python, HERE / "peers/dataset.py", data, "--n", count], stdout=subprocess.DEVNULL)
            plan = [(a, 1 if a in ("rpie", "epie") else 100, 3 if count == "1000" else 2) for a in algorithms]
            keep_best(best["phasegraph"], native_epochs(programs["native"], data, plan))
            words = [":".join(map(str, p)) for p in plan]
            for package in ("numpy", "ptychi"):
                if package != options.without:
                    script = HERE / "peers/reconstruct.py"
                    keep_best(best[package], figures([python, script, package, data, *words]))
    if "images" in options.measures:
        for who in ("phasegraph", "numpy"):
            best[who]["images"] = sum(best[who][m] for m in SUM)
    return best


def seconds(value):
    if value is None:
        return "–"
    return f"{value * 1e3:.2f} ms" if value < 0.1 else f"{value:.3f} s"


def table(options, best):
    head = ["work", "phasegraph", "peer", "its CPU time", "ratio", "goal", "limit", "× limit"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    missed = []
    own = best["phasegraph"]
    for name in options.measures:
        what, goals, limit = WORK[name]
        floor = sum(own[part] * times for part, times in limit.items()) if limit else None
        for i, (peer, goal) in enumerate(goals.items()):
            theirs = best[peer].get(name)
            if theirs is None:
                continue
            ratio = theirs / own[name]
            if goal and ratio < goal:
                missed.append(name)
            lines.append("| " + " | ".join([
                what if i == 0 else "", seconds(own[name]) if i == 0 else "", NAMES[peer], seconds(theirs),
                f"{ratio:.1f}×", f"{goal}×" if goal else "–", seconds(floor) if i == 0 else "",
                f"{own[name] / floor:.2f}" if floor and i == 0 else "",
            ]) + " |")
    return "\n".join(lines), missed


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    options = arguments()
    options.cache.mkdir(parents=True, exist_ok=True)
    python = peers(options.cache, options.without != "ptychi")
    best = measure(options, python, build())
    text, missed = table(options, best)
    versions = ", ".join(p.replace("==", " ") for p in NUMERICS + ([] if options.without else ALONE))
    command = " ".join(["benches/compare.py", *sys.argv[1:]])
    today = datetime.date.today().isoformat()
    intro = (f"Measured {today} on {processor()}, one thread, with {versions}, Python {platform.python_version()}, "
             f"{run(['rustc', '--version'], stdout=subprocess.PIPE).stdout.strip()}:")
    block = f"{intro}\n\n```console\n{command}\n```\n\n{text}\n"
    (options.cache / "results.json").write_text(json.dumps(best, indent=1))
    print(block)
    if options.write:
        document = options.write.read_text()
        before, rest = document.split("<!-- begin:stages -->", 1)
        after = rest.split("<!-- end:stages -->", 1)[1]
        options.write.write_text(f"{before}<!-- begin:stages -->\n\n{block}\n<!-- end:stages -->{after}")
    if missed:
        print("goals missed:", ", ".join(dict.fromkeys(missed)))


if __name__ == "__main__":
    main()
