#!/usr/bin/env python3
"""CPU seconds an epoch of iterative reconstruction on one thread, by pty-chi or by plain NumPy.

    reconstruct.py ptychi|numpy DATA.npz ALGORITHM:BATCH:EPOCHS …       one JSON line each

The object starts from ones, the probe from the file's guess, positions are whole pixels. The first epoch is not counted.
"""

import json
import os
import sys
import time

for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import numpy as np


def epochs_of_ptychi(data, algorithm, batch):
    import logging

    import ptychi.api as api
    import torch
    from ptychi.api.task import PtychographyTask

    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    names = {"lsqml": api.LSQMLOptions, "epie": api.EPIEOptions, "rpie": api.RPIEOptions, "dm": api.DMOptions}
    options = names[algorithm]()
    y, x, side = data["ycoords"], data["xcoords"], data["diff3d"].shape[-1]
    middle = np.round([(v.max() + v.min()) / 2 for v in (y, x)])
    at = np.stack([y - middle[0], x - middle[1]], 1).astype(np.float32)
    extent = 2 * (int(np.ceil(np.abs(at).max())) + side // 2 + 10)
    options.data_options.data = data["diff3d"].astype(np.float32) ** 2
    options.data_options.fft_shift = True
    options.object_options.initial_guess = np.ones((1, extent, extent), np.complex64)
    options.object_options.pixel_size_m = 1e-8
    options.object_options.optimizable = True
    # Its transform has no norm.
    options.probe_options.initial_guess = (data["probeGuess"][None, None] / side).astype(np.complex64)
    options.probe_options.optimizable = True
    options.probe_position_options.position_x_px = at[:, 1]
    options.probe_position_options.position_y_px = at[:, 0]
    options.probe_position_options.optimizable = False
    how = options.reconstructor_options
    how.num_epochs, how.default_device, how.random_seed = 100, api.Devices.CPU, 0
    if algorithm == "dm":
        how.chunk_length = batch
    else:
        how.batch_size, how.batching_mode = batch, "random"
    if algorithm in ("epie", "rpie"):
        options.object_options.alpha = options.probe_options.alpha = 0.5
    task = PtychographyTask(options)
    return lambda: task.run(1)


def epochs_of_numpy(data, algorithm, batch):
    import numpy_engines as engines

    counts = np.fft.ifftshift(data["diff3d"].astype(np.float32) ** 2, axes=(1, 2))
    side, y, x = counts.shape[-1], data["ycoords"].astype(int), data["xcoords"].astype(int)
    top, left = (v.min() - side // 2 - 8 for v in (y, x))
    corners = np.stack([y - side // 2 - top, x - side // 2 - left], 1)
    shape = corners.max(0) + side + 8
    box = (y.min() - top, y.max() - top + 1, x.min() - left, x.max() - left + 1)
    state = engines.make(np.ones(shape), (data["probeGuess"] / side)[None], corners, counts, box)
    random = np.random.default_rng(0)

    def epoch():
        batches = np.array_split(random.permutation(len(counts)), max(1, len(counts) // batch))
        if algorithm == "dm":
            engines.dm_epoch(state)
        elif algorithm == "lsqml":
            engines.lsqml_epoch(state, batches, "random")
        else:
            engines.pie_epoch(state, batches, algorithm, 0.5, 0.5, 1.0)

    return epoch


package, data = sys.argv[1], dict(np.load(sys.argv[2]))
for wanted in sys.argv[3:]:
    algorithm, batch, epochs = wanted.split(":")
    epoch = {"ptychi": epochs_of_ptychi, "numpy": epochs_of_numpy}[package](data, algorithm, int(batch))
    times = []
    for _ in range(int(epochs) + 1):
        start = time.process_time()
        epoch()
        times.append(time.process_time() - start)
    print(json.dumps({"measure": f"{algorithm}_{len(data['diff3d'])}", "cpu_s": min(times[1:])}), flush=True)
