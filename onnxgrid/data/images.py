"""The loader of image files. Values are in [0, 1]: 8-bit ones divided by 255, 16-bit ones by 65535.

Channels are blue, green, red, as run configurations written for OpenCV expect. Transparency is dropped, palettes are
expanded. Pillow decodes 16-bit *colour* files to 8 bits.
"""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from onnxgrid.data.files import find_files
from onnxgrid.errors import DataError

__all__ = ["ImageFiles"]

JPEG_SUFFIXES = frozenset({".jp2", ".jpe", ".jpeg", ".jpg"})
NETPBM_SUFFIXES = frozenset({".pbm", ".pgm", ".pnm", ".ppm"})
SUFFIXES = JPEG_SUFFIXES | NETPBM_SUFFIXES | {".bmp", ".dib", ".gif", ".png", ".tif", ".tiff", ".webp"}
MAX_HEADERS_AT_OPENING = 20_000
"""Reading a header takes about 50 us: up to here all sizes are compared before the first epoch, in about a second."""

GRAY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"CMYK", "HSV", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr"})
SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
SIXTEEN_BIT_FORMATS = frozenset({"PNG", "PPM"})
"""Formats whose 32-bit mode I, in Pillow, holds values up to 65535."""

WHITE, WHITE_IN_16_BITS = np.float32(255), np.float32(65535)
RED_SHARE, GREEN_SHARE = np.float32(0.299), np.float32(0.587)
"""Grayscale is 0.299 R + 0.587 G + 0.114 B."""

PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for a broken file, format by format."""

Pixels = npt.NDArray[np.float32]


class ImageFiles:
    """The image files under a directory, each (C, H, W) float32 with C 1 (grayscale) or 3 (BGR)."""

    def __init__(self, root: Path, *, grayscale: bool) -> None:
        """Find the files and compare the sizes that their headers tell.

        Raises:
            DataError: if there is none, one is broken, or two differ in size.
        """
        found = find_files(root, SUFFIXES, what="images")
        self.names = tuple(found)
        self.files, self._grayscale = tuple(found.values()), grayscale
        self._size = _header_size(self.files[0])
        for index, path in enumerate(self.files[:MAX_HEADERS_AT_OPENING]):
            self._check_size(index, _header_size(path))

    @property
    def shape(self) -> tuple[int, ...]:
        width, height = self._size
        return 1 if self._grayscale else 3, height, width

    def place(self, index: int) -> str:
        return str(self.files[index])

    def read(self, index: int) -> Pixels:
        path = self.files[index]
        try:
            with Image.open(path) as image:
                self._check_size(index, image.size)
                pixels = _values(image, path)
        except PILLOW_ERRORS as error:
            raise _broken(path, error) from error
        return _one_channel(pixels) if self._grayscale else _three_channels(pixels)

    def _check_size(self, index: int, size: tuple[int, int]) -> None:
        if size != self._size:
            raise DataError(
                f"this image is {_words(size)}, but {self.files[0]} is {_words(self._size)}",
                place=self.place(index),
                fix="Give images of one size: one batch is one array.",
            )


def _words(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} (width x height)"


def _header_size(path: Path) -> tuple[int, int]:
    """Width and height, without decoding the pixels."""
    try:
        with Image.open(path) as image:
            return image.size
    except PILLOW_ERRORS as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> DataError:
    reason = "not an image that Pillow knows" if isinstance(error, UnidentifiedImageError) else str(error)
    return DataError(f"cannot be read: {reason}", place=str(path), fix="Mend the file, or take it away.")


def _values(image: Image.Image, path: Path) -> Pixels:
    """Pixels in [0, 1]: (H, W), or (H, W, 3) red, green, blue."""
    image.info.pop("transparency", None)  # else Pillow warns that it will drop it
    if image.mode in GRAY_MODES:
        return np.asarray(image.convert("L"), dtype=np.float32) / WHITE
    if image.mode in COLOUR_MODES:
        return np.asarray(image.convert("RGB"), dtype=np.float32) / WHITE
    if image.mode in SIXTEEN_BIT_MODES or (image.mode == "I" and image.format in SIXTEEN_BIT_FORMATS):
        return np.asarray(image, dtype=np.float32) / WHITE_IN_16_BITS
    raise DataError(
        f"its pixels are of Pillow's mode {image.mode}, whose range is not known",
        place=str(path),
        fix="Save it with 8 or 16 bits a channel, or as a NumPy array.",
    )


def _one_channel(pixels: Pixels) -> Pixels:
    """(1, H, W)."""
    if pixels.ndim == 2:
        return pixels[np.newaxis]
    red, green, blue = np.moveaxis(pixels, 2, 0)
    # In this form a gray pixel keeps its value to the last bit, which masks rely on.
    gray: Pixels = blue + RED_SHARE * (red - blue) + GREEN_SHARE * (green - blue)
    return gray[np.newaxis]


def _three_channels(pixels: Pixels) -> Pixels:
    """(3, H, W), blue, green, red."""
    if pixels.ndim == 2:
        return np.repeat(pixels[np.newaxis], 3, axis=0)
    return np.ascontiguousarray(np.moveaxis(pixels[:, :, ::-1], 2, 0))
