#!/usr/bin/env python3
"""Write values.json: the references' metrics in double precision, to 1e-10 and better.

    tests/golden_f64/make.py        needs numpy, scipy, scikit-image, torch, pytorch_msssim

tests/golden holds what the references gave for single precision images, in which they also calculate; those values are
good to 1e-6 only. Here the same packages see the same images in f64, and images of other sizes made from formulas.
Made with NumPy 2.4.6, SciPy 1.17.1, scikit-image 0.26.0, torch 2.15.0, pytorch_msssim 1.0.0.
"""

import json
from pathlib import Path

import numpy as np
import torch
from pytorch_msssim import ms_ssim as standard
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.registration import phase_cross_correlation

HERE = Path(__file__).parent
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def formula(rows, cols):
    r, c = np.mgrid[:rows, :cols]
    truth = 0.5 + 0.3 * np.sin(0.11 * r + 0.05 * c) * np.cos(0.07 * c) + ((r * r * 7 + c * 13 + r * c) % 31) / 310
    return truth, truth + 0.08 * (((r * 5 + c * c * 3) % 17) / 17 - 0.5)


def uniform(t, p, span):
    return structural_similarity(t, p, data_range=span)


def study(t, p, sigma):
    """The reference study's multi-scale SSIM."""
    t, p = (gaussian_filter(a, sigma) if sigma else a for a in (t, p))
    span, product = max(np.ptp(t), np.ptp(p)), 1.0
    for level, weight in enumerate(WEIGHTS):
        if level:
            t, p = t[::2, ::2], p[::2, ::2]
            if min(t.shape) < 7:
                break
        s = uniform(t, p, span)
        product *= (1e-4 if s < 0 else s) ** weight
    return product


def rings(t, p):
    n = min(t.shape)
    cut = tuple(slice((s - n) // 2, (s - n) // 2 + n) for s in t.shape)
    f, g = np.fft.fft2(t[cut]), np.fft.fft2(p[cut])
    k = np.fft.fftfreq(n) * n
    ring = np.round(np.hypot(k[:, None], k[None])).astype(int).ravel()
    cross = f * g.conj()
    total = lambda w: np.bincount(ring, w.ravel())
    top = np.abs(total(cross.real) + 1j * total(cross.imag))
    return top / np.sqrt(total(np.abs(f) ** 2) * total(np.abs(g) ** 2))


def scores(t, p):
    span = t.max() - t.min()
    curve = rings(t, p)
    found = {
        "mae": np.abs(t - p).mean(),
        "mse": ((t - p) ** 2).mean(),
        "ms_ssim_0": study(t, p, 0),
        "ms_ssim_1": study(t, p, 1),
        "ssim": uniform(t, p, span),
        "frc": list(curve),
        "frc_smoothed_2": list(gaussian_filter1d(curve, 2)),
    }
    if (t != p).any():
        found["psnr"] = peak_signal_noise_ratio(t, p, data_range=span)
    if min(t.shape) >= 11:
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        found["ssim_gaussian"] = structural_similarity(t, p, data_range=span, **options)
    if min(t.shape) > 160:
        pair = (torch.from_numpy(np.ascontiguousarray(a))[None, None] for a in (t, p))
        # Its own window is rounded to single precision; given one in double, all of it is.
        window = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
        window = torch.from_numpy(window / window.sum())[None, None, None]
        found["ms_ssim_standard"] = float(standard(*pair, data_range=span, win=window))
    for name, kind in (("phase", "phase"), ("plain", None)):
        found[f"shift_{name}"] = list(phase_cross_correlation(t, p, upsample_factor=50, normalization=kind)[0])
    return {k: [float(x) for x in v] if isinstance(v, list) else float(v) for k, v in found.items()}


cases = {}
for name in ("random_uniform_128", "structured_noisy_128", "structured_blurred_128", "shift_int_128", "shift_sub_128",
             "identical_64", "tiny_7x7", "odd_101x101"):
    t, p = (np.load(HERE.parent / "golden" / f"{name}_{which}.npy").astype(float) for which in ("target", "pred"))
    cases[name] = scores(t, p)
formulas = [{"shape": shape, **scores(*formula(*shape))} for shape in ((161, 161), (176, 192), (203, 165), (30, 45), (40, 9))]
text = json.dumps({"golden": cases, "formula": formulas}, indent=0)
(HERE / "values.json").write_text(text + "\n")
