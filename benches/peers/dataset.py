#!/usr/bin/env python3
"""Seeded synthetic ptychography dataset in PtychoPINN's npz contract.
usage: dataset.py OUT.npz [--n 1000] [--N 64] [--step 5] [--dose 1e6] [--seed 0] [--subpixel]
Object: skimage.data.camera -> amplitude 0.6..1.0 ; skimage.data.moon -> phase -0.8..0.8 rad, 512x512 (gaussian sigma 1).
Probe : disk pupil radius 0.22 N (in frequency px), quadratic defocus phase 8 rad at pupil edge -> ifft.
Dose  : mean over positions of sum(intensity) == dose photons per pattern (PtychoPINN `nphotons`), then Poisson.
diff3d is sqrt(counts), float32, DC at centre (fftshifted). positions are patch centres (x=col,y=row): patch=obj[y-N/2:y+N/2,...].
"""
import argparse, numpy as np
from skimage import data as skd, filters, transform
def make_object(size=512):
    a = skd.camera().astype(float) / 255; p = skd.moon().astype(float) / 255
    a = filters.gaussian(transform.resize(a, (size, size)), 1); p = filters.gaussian(transform.resize(p, (size, size)), 1)
    n = lambda x: (x - x.min()) / (x.max() - x.min())
    return ((0.6 + 0.4 * n(a)) * np.exp(1j * (1.6 * n(p) - 0.8))).astype(np.complex64)
def make_probe(N=64, radius=0.22, defocus=8.0):
    f = np.fft.fftfreq(N); fy, fx = np.meshgrid(f, f, indexing='ij'); r = np.hypot(fy, fx)
    pupil = 1 / (1 + np.exp((r - radius) * N * 2.0)) * np.exp(1j * defocus * (r / radius) ** 2)
    p = np.fft.fftshift(np.fft.ifft2(pupil)); return (p / np.sqrt((np.abs(p) ** 2).sum())).astype(np.complex64)
def make_positions(n, step, size, N, rng, subpixel=False):
    g = int(np.ceil(np.sqrt(n))); c0 = size / 2 - (g - 1) * step / 2
    yy, xx = np.meshgrid(np.arange(g), np.arange(g), indexing='ij')
    pos = np.stack([yy.ravel(), xx.ravel()], 1)[:n] * step + c0 + rng.uniform(-step / 2, step / 2, (n, 2))
    if not subpixel: pos = np.round(pos)
    assert pos.min() >= N / 2 and pos.max() <= size - N / 2, 'object too small'
    return pos
def simulate(obj, probe, pos, dose, rng, chunk=500):
    N = probe.shape[0]; h = N // 2; n = len(pos); ip = np.round(pos).astype(int); fr = pos - ip
    f = np.fft.fftfreq(N); pf = np.fft.fft2(probe)
    out = np.empty((n, N, N), np.float32); sub = np.abs(fr).max() > 0
    for s in range(0, n, chunk):
        e = min(n, s + chunk)
        patch = np.stack([obj[y - h:y + h, x - h:x + h] for y, x in ip[s:e]])
        pr = probe if not sub else np.fft.ifft2(pf * np.exp(-2j * np.pi * (fr[s:e, 0, None, None] * f[:, None] + fr[s:e, 1, None, None] * f[None])))
        F = np.fft.fft2(patch * pr) / N
        out[s:e] = np.fft.fftshift(np.abs(F) ** 2, axes=(-2, -1))
    scale = dose / out.sum((1, 2)).mean()
    counts = rng.poisson(out.astype(np.float64) * scale).astype(np.float32)
    return counts, scale
if __name__ == '__main__':
    ap = argparse.ArgumentParser(); ap.add_argument('out'); ap.add_argument('--n', type=int, default=1000); ap.add_argument('--N', type=int, default=64)
    ap.add_argument('--step', type=float, default=5); ap.add_argument('--dose', type=float, default=1e6); ap.add_argument('--seed', type=int, default=0); ap.add_argument('--subpixel', action='store_true')
    a = ap.parse_args(); rng = np.random.default_rng(a.seed)
    obj, probe = make_object(), make_probe(a.N); pos = make_positions(a.n, a.step, 512, a.N, rng, a.subpixel)
    counts, scale = simulate(obj, probe, pos, a.dose, rng)
    true_probe = (probe * np.sqrt(scale)).astype(np.complex64)
    guess = make_probe(a.N, 0.22, 6.4); guess = (guess * np.sqrt(scale)).astype(np.complex64)  # 20 % wrong defocus
    np.savez(a.out, diff3d=np.sqrt(counts), xcoords=pos[:, 1], ycoords=pos[:, 0], xcoords_start=pos[:, 1], ycoords_start=pos[:, 0], scan_index=np.zeros(a.n, int),
             probeGuess=guess, probeTrue=true_probe, objectGuess=obj)
    fw = np.sqrt((np.abs(true_probe) ** 2 > (np.abs(true_probe) ** 2).max() / 2).sum() * 4 / np.pi)
    print(a.out, counts.shape, 'mean photons', counts.sum((1, 2)).mean(), 'max count', counts.max(), 'probe FWHM-equivalent diameter px %.1f' % fw)
