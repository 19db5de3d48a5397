#!/usr/bin/env python3
"""Make the HDF5 files of this folder with h5py, from a part of the experimental Siemens star.

    scripts/fetch-siemens-star && tests/hdf5/make.py pipelines/data/siemens-star-small.npz tests/hdf5

Needs h5py and NumPy (made with h5py 3.16.0 on HDF5 2.0.0, NumPy 2.4.6). The part: every 172nd pattern but the last, its
central 64 × 64 pixels, the middle of the probe in coarse steps (which pack well); what matters is that all files hold the same numbers.
"""

import pathlib
import sys

import h5py
import numpy as np

source, folder = sys.argv[1], pathlib.Path(sys.argv[2])
star = np.load(source)
middle = slice(32, 96)
centred = np.fft.fftshift(star["data"][0, :516:172], axes=(1, 2))[:, middle, middle]
data = np.fft.ifftshift(centred, axes=(1, 2))[None]
scan = star["scan"][:, :516:172]
probe = star["probe"][..., middle, middle]
step = np.abs(probe).max() / 64
probe = ((probe.real / step).round() + 1j * (probe.imag / step).round()).astype("c8") * np.float32(step)
packed = {"compression": "gzip", "shuffle": True}
m, side = centred.shape[:2]

# The same arrays under the same names: NPZ, and HDF5 in three ways.
np.savez_compressed(folder / "star.npz", data=data, scan=scan, probe=probe)
with h5py.File(folder / "star-gzip.h5", "w") as f:
    f.create_dataset("data", data=data, **packed)
    f.create_dataset("scan", data=scan)
    f.create_dataset("probe", data=probe, **packed)
with h5py.File(folder / "star-lzf-v114.h5", "w", libver=("v114", "v114")) as f:
    f.create_dataset("data", data=data, compression="lzf", chunks=(1, 2, side, side), fletcher32=True)
    f.create_dataset("scan", data=scan.astype(">f8"))
    f.create_dataset("probe", data=probe.astype("c16"), compression="lzf", shuffle=True)
with h5py.File(folder / "star-grown.h5", "w") as f:
    grown = f.create_dataset("data", (1, 0, side, side), "u2", maxshape=(1, None, side, side), compression="gzip")
    for i in range(m):
        grown.resize(i + 1, axis=1)
        grown[:, i] = data[:, i]
    f.create_dataset("scan", data=scan)
    f.create_dataset("probe", data=probe, **packed)

# Coherent X-ray Imaging: metres, counts with the zero frequency in the middle, soft links.
pixel = 10e-9
energy, distance = 8.8e3 * 1.602176634e-19, 2.0
detector_pixel = 6.62607015e-34 * 299792458.0 / energy * distance / (side * pixel)
# Columns and rows of patch centres, in metres, around the middle.
xy = (scan[0, :, ::-1].astype("f8") - 10.0) * pixel
with h5py.File(folder / "scan.cxi", "w") as f:
    f["cxi_version"] = 160
    entry = f.create_group("entry_1")
    detector = entry.create_group("instrument_1/detector_1")
    frames = detector.create_dataset("data", data=centred, chunks=(2, side, side), **packed)
    frames.attrs["axes"] = "translation:y:x"
    detector["distance"] = distance
    detector["x_pixel_size"] = detector_pixel
    detector["y_pixel_size"] = detector_pixel
    mask = np.zeros((side, side), "u4")
    mask[0, 0], mask[1, 2], mask[3, 3] = 1, 4, 0x800
    detector.create_dataset("mask", data=mask, **packed)
    source_1 = entry.create_group("instrument_1/source_1")
    source_1["energy"] = energy
    source_1.create_dataset("illumination", data=probe[0, 0, 0], **packed)
    entry["sample_1/geometry_1/translation"] = np.concatenate([xy, np.zeros((m, 1))], axis=1)
    entry["sample_1/name"] = "Siemens star"
    entry["data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    entry["data_1/translation"] = h5py.SoftLink("/entry_1/sample_1/geometry_1/translation")

# ptychodus: diffraction and product apart; one position twice, one pattern without a position.
with h5py.File(folder / "ptychodus-diffraction.h5", "w") as f:
    f.create_dataset("entry/data/data", data=centred.astype("u2"), **packed)
with h5py.File(folder / "ptychodus-product.h5", "w") as f:
    f.attrs["name"], f.attrs["comments"] = "star", ""
    f.attrs["detector_object_distance_m"] = distance
    f.attrs["probe_energy_eV"] = 8800.0
    indexes = np.array([0, *range(m - 1)])
    nudge = np.zeros((m, 2))
    nudge[0], nudge[1] = 3e-9, -3e-9
    f["probe_position_indexes"] = indexes[::-1]
    f["probe_position_x_m"] = (xy[indexes] + nudge)[::-1, 0]
    f["probe_position_y_m"] = (xy[indexes] + nudge)[::-1, 1]
    modes = f.create_dataset("probe", data=np.stack([probe[0, 0, 0, 0], 0.5 * probe[0, 0, 0, 0]])[None], **packed)
    image = f.create_dataset("object", data=np.ones((1, 400, 450), "c8"), compression="gzip")
    for item in (modes, image):
        item.attrs["pixel_width_m"], item.attrs["pixel_height_m"] = pixel, pixel
    image.attrs["center_x_m"], image.attrs["center_y_m"] = 0.0, 0.0
    f["object_layer_spacing_m"] = np.empty(0)
    f["loss_epochs"], f["loss_values"] = np.arange(2), np.array([2.0, 1.0])

# What only readers of HDF5 2 know.
with h5py.File(folder / "latest.h5", "w", libver="latest") as f:
    f.create_dataset("data", data=np.zeros((2, 4)), chunks=(1, 4), **packed)

# Every type that is read, one that is not, and text.
numbers = np.arange(24).reshape(4, 6)
with h5py.File(folder / "types.h5", "w") as f:
    for name in ("u1", "i1", "u2", ">u2", "i4", ">i4", "u8", "i8", "f2", ">f2", "f4", ">f4", "f8", ">f8", "c8", ">c16"):
        f[f"numbers/{name}"] = numbers.astype(name)
    f["bool"] = numbers % 2 == 1
    f["scalar"] = 2.5
    f["text"], f["bytes"] = "Grüße", np.bytes_("fixed")
    f["record"] = np.zeros(3, [("x", "f4"), ("y", "f4"), ("z", "f4")])
    f["empty"] = h5py.Empty("f4")
    f["none"] = np.zeros((0, 4))
    f["soft"], f["external"] = h5py.SoftLink("/scalar"), h5py.ExternalLink("other.h5", "/x")
    f["scalar"].attrs["number"], f["scalar"].attrs["whole"] = 1.5, 7
    f["scalar"].attrs["words"], f.attrs["root"] = "none", np.float32(0.25)
    f.create_dataset("windows", data=np.repeat(np.arange(7000) % 251, 700).reshape(7000, 700), dtype="u1",
                     compression="gzip", chunks=(110, 700))
