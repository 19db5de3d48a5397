#!/usr/bin/env python3
"""What NumPy, SciPy, scikit-image and scikit-learn need for the work of phasegraph's native stages.

    numerics.py [MEASURE …]         CPU seconds on one thread, the fastest of five, one JSON line each

Each measure is written as a user who knows these packages would: vectorised, SciPy's transforms in single precision
where the result is. `benches/stages.rs` does the same work on data of the same size under the same names.
"""

import json
import os
import sys
import time

for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from skimage.metrics import structural_similarity
from skimage.registration import phase_cross_correlation
from sklearn.neighbors import NearestNeighbors

RANDOM = np.random.default_rng(0)
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def simulate():
    """5000 patterns of 64², of an object of 512², at 10⁶ photons each."""
    r, c = np.mgrid[:512, :512].astype(np.float32)
    amplitude = 0.8 + 0.2 * np.sin(0.11 * r) * np.cos(0.07 * c)
    scene = (amplitude * np.exp(0.8j * np.sin(0.05 * (r + 2 * c)))).astype(np.complex64)
    d = ((np.mgrid[:64, :64] - 32) ** 2).sum(0)
    probe = (np.exp(-d / 150) * np.exp(0.02j * d)).astype(np.complex64)
    rows, cols = np.round(32 + RANDOM.random((2, 5000)) * 448).astype(int)

    def work():
        out = np.empty((5000, 64, 64), np.float32)
        for s in range(0, 5000, 500):
            exits = np.stack([scene[y - 32 : y + 32, x - 32 : x + 32] for y, x in zip(rows[s : s + 500], cols[s : s + 500])])
            far = scipy.fft.fft2(exits * probe, workers=1, overwrite_x=True)
            out[s : s + 500] = scipy.fft.fftshift(far.real**2 + far.imag**2, axes=(1, 2))
        scale = 1e6 / out.sum((1, 2), dtype=float).mean()
        return np.sqrt(RANDOM.poisson(out * scale)).astype(np.float32)

    return work


def positions():
    return RANDOM.random((5216, 2)) * 400


def group():
    """Four nearest of each of 5216 positions: the faster of SciPy's and scikit-learn's trees is SciPy's."""
    points = positions()
    return lambda: cKDTree(points).query(points, k=4)[1]


def group_sklearn():
    points = positions()
    return lambda: NearestNeighbors(n_neighbors=4, algorithm="kd_tree").fit(points).kneighbors(points)[1]


def overlap(d, diameter=38.4):
    d = np.minimum(d, diameter)
    lens = np.arccos(d / diameter) * diameter**2 / 2 - d / 2 * np.sqrt(diameter**2 - d**2)
    return lens / (np.pi * diameter**2 / 4)


def overlap_metrics():
    """Overlap metrics 1 to 3 of 5216 positions in groups of four."""
    points = positions()
    groups = cKDTree(points).query(points, k=4)[1]

    def work():
        members = points[groups]
        apart = np.linalg.norm(members[:, :, None] - members[:, None], axis=-1)
        first = overlap(apart[:, ~np.eye(4, dtype=bool)]).mean()
        second = overlap(cKDTree(np.unique(points, axis=0)).query(points, k=7)[0][:, 1:]).mean()
        tree = cKDTree(members.mean(1))
        near = tree.sparse_distance_matrix(tree, 38.4, output_type="coo_matrix")
        own = near.row != near.col
        count = np.bincount(near.row[own], minlength=len(points))
        sums = np.bincount(near.row[own], overlap(near.data[own]), len(points))
        return first, second, (sums / np.maximum(count, 1)).mean()

    return work


def patches():
    n = np.arange(20_864 * 64 * 64)
    values = np.empty((20_864, 64, 64), np.complex64)
    values.real = (n % 97).reshape(values.shape)
    values.imag = (n % 89).reshape(values.shape)
    line = 1 - np.cos(2 * np.pi * np.arange(64) / 64)
    return values, (np.outer(line, line) + 0.01).astype(np.float32), 40 + RANDOM.random((20_864, 2)) * 400


def stitch_whole_pixels():
    """20 864 patches of 64² with one weight each pixel, onto a field of 480²."""
    values, weights, at = patches()
    corners = np.round(at).astype(int) - 32

    def work():
        total, norm = np.zeros((520, 520), np.complex64), np.zeros((520, 520), np.float32)
        for patch, (r, c) in zip(values, corners):
            total[r : r + 64, c : c + 64] += patch * weights
            norm[r : r + 64, c : c + 64] += weights
        return total / np.maximum(norm, 1e-9)

    return work


def stitch_bilinear():
    values, weights, at = patches()
    first = np.floor(at - 32)
    corners, parts = first.astype(int), (at - 32 - first).astype(np.float32)

    def work():
        total, norm = np.zeros((520, 520), np.complex64), np.zeros((520, 520), np.float32)
        for patch, (r, c), (y, x) in zip(values, corners, parts):
            heavy = patch * weights
            for i, j, share in ((0, 0, (1 - y) * (1 - x)), (0, 1, (1 - y) * x), (1, 0, y * (1 - x)), (1, 1, y * x)):
                total[r + i : r + i + 64, c + j : c + j + 64] += heavy * share
                norm[r + i : r + i + 64, c + j : c + j + 64] += weights * share
        return total / np.maximum(norm, 1e-9)

    return work


def images():
    r, c = np.mgrid[:1024, :1024]
    texture = ((r * r * 7 + c * 13 + r * c) % 31) / 310
    truth = 0.5 + 0.3 * np.sin(0.11 * r) * np.cos(0.07 * c) + texture
    return truth, truth + 0.3 * texture.T


def ssim():
    t, p = images()
    return lambda: structural_similarity(t, p, data_range=np.ptp(t))


def ms_ssim():
    """The reference study's multi-scale SSIM out of scikit-image's SSIM."""
    truth, prediction = images()

    def work():
        t, p = gaussian_filter(truth, 1), gaussian_filter(prediction, 1)
        span, product = max(np.ptp(t), np.ptp(p)), 1.0
        for level, weight in enumerate(WEIGHTS):
            if level:
                t, p = t[::2, ::2], p[::2, ::2]
            product *= structural_similarity(t, p, data_range=span) ** weight
        return product

    return work


def ring_correlation():
    t, p = images()

    def work():
        f, g = scipy.fft.fft2(t, workers=1), scipy.fft.fft2(p, workers=1)
        k = scipy.fft.fftfreq(1024) * 1024
        ring = np.round(np.hypot(k[:, None], k)).astype(int).ravel()
        cross = (f * g.conj()).ravel()
        total = lambda w: np.bincount(ring, w)
        top = np.hypot(total(cross.real), total(cross.imag))
        return top / np.sqrt(total((f.real**2 + f.imag**2).ravel()) * total((g.real**2 + g.imag**2).ravel()))

    return work


def registration():
    t, p = images()
    return lambda: phase_cross_correlation(t, p, upsample_factor=50)


MEASURES = (simulate, group, group_sklearn, overlap_metrics, stitch_whole_pixels, stitch_bilinear, ssim, ms_ssim,
            ring_correlation, registration)

for measure in MEASURES:
    if len(sys.argv) == 1 or measure.__name__ in sys.argv[1:]:
        work, times = measure(), []
        for _ in range(5):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        print(json.dumps({"measure": measure.__name__, "cpu_s": min(times)}), flush=True)
