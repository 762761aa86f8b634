"""The demo's data: scikit-learn's handwritten digits (1797 images of 8x8 pixels), written as image files at 16x16 and
32x32.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SIZES = (16, 32)
BRIGHTEST = 16
"""The largest pixel value in the data set."""
NOISE = 0.25
"""Standard deviation of the noise that the denoising task adds, as a fraction of full brightness; the same at every
size.
"""
TEST_EVERY = 5
"""Every fifth image is a test image: 360 of 1797."""


def write_digits(folder: Path) -> int:
    """Write the class folders `digits_SIZE/SPLIT/CLASS/` and the pairs `noisy_SIZE/SPLIT/`, `clean_SIZE/SPLIT/`;
    return the number of images.
    """
    digits = load_digits()
    for size in SIZES:
        rng = np.random.default_rng(size)
        for index, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            split = "test" if index % TEST_EVERY == 0 else "train"
            small = Image.fromarray(np.uint8(pixels * (255 / BRIGHTEST)))
            clean = small.resize((size, size), Image.Resampling.BICUBIC)
            noise = rng.normal(0, NOISE * 255, (size, size))
            noisy = Image.fromarray(np.uint8(np.clip(np.asarray(clean) + noise, 0, 255)))
            name = f"{index:04d}.png"
            for image, place in (
                (clean, f"digits_{size}/{split}/{label}"),
                (clean, f"clean_{size}/{split}"),
                (noisy, f"noisy_{size}/{split}"),
            ):
                (folder / place).mkdir(parents=True, exist_ok=True)
                image.save(folder / place / name)
    return len(digits.images)
