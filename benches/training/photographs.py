"""Objects from photographs, for trainings to learn from and to be tested on: photographs.py FOLDER

Writes train.npy (332×332, a mosaic of seven photographs) and test.npy (256×256, an eighth) as complex64, amplitude and
phase from the same picture: amplitude 0.6 to 1, phase −0.8 to 0.8 rad. Needs `numpy` and `scikit-image`, whose own
pictures are used.
"""

import sys
from pathlib import Path

import numpy as np
from skimage import color, data, filters, transform


def picture(name, side):
    image = getattr(data, name)()
    image = color.rgb2gray(image[..., :3]) if image.ndim == 3 else image / 255
    edge = min(image.shape)
    top, left = (image.shape[0] - edge) // 2, (image.shape[1] - edge) // 2
    image = transform.resize(image[top:top + edge, left:left + edge], (side, side), anti_aliasing=True)
    image = filters.gaussian(image, 1.0)
    return (image - image.min()) / (image.max() - image.min())


def field(image):
    return ((0.6 + 0.4 * image) * np.exp(1j * 1.6 * (image - 0.5))).astype(np.complex64)


def main():
    folder = Path(sys.argv[1])
    names = ["astronaut", "coins", "chelsea", "coffee", "rocket", "page", "brick"]
    names = [n for n in names if hasattr(data, n)]
    tiles = []
    for i, name in enumerate((names * 2)[:9]):
        tile = picture(name, 111)
        tiles.append(np.rot90(tile) if i >= len(names) else tile)
    mosaic = np.block([tiles[3 * r:3 * r + 3] for r in range(3)])
    np.save(folder / "train.npy", field(mosaic[:332, :332]))
    np.save(folder / "test.npy", field(picture("camera", 256)))


if __name__ == "__main__":
    main()
