"""What an image file becomes, against values worked out by hand, and how broken ones are told."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onnxgrid.data.images import ImageFiles
from onnxgrid.errors import DataError

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def picture(pixels, mode="RGB", size=(3, 2)):
    """An image of width x height from its pixels, row by row."""
    image = Image.new(mode, size)
    image.putdata(pixels)
    return image


def palette_picture():
    image = Image.new("P", (3, 2))
    image.putpalette([0, 0, 0, *RED, *GREEN, *BLUE])
    image.putdata([1, 2, 3, 0, 0, 0])
    image.info["transparency"] = b"\x00\x80\xff\xff"
    return image


def sixteen_bit_picture():
    return Image.fromarray(np.array([[0, 65535, 257], [1, 2, 3]], dtype=np.uint16))


COLOURS = [RED, GREEN, BLUE, (0, 0, 0), (0, 0, 0), (0, 0, 0)]
BGR = [[[0, 0, 1], [0, 0, 0]], [[0, 1, 0], [0, 0, 0]], [[1, 0, 0], [0, 0, 0]]]
LUMA = [[[0.299, 0.587, 0.114], [0, 0, 0]]]
GRAYS = [0, 255, 51, 102, 0, 0]
GRAY = [[0, 1, 0.2], [0.4, 0, 0]]
SIXTEEN = [[0, 1, 257 / 65535], [1 / 65535, 2 / 65535, 3 / 65535]]

DECODED = {  # the fact under test -> the picture, whether grayscale is asked for, the values
    "channels are blue, green, red": (picture(COLOURS), False, BGR),
    "gray is the luma of colours": (picture(COLOURS), True, LUMA),
    "alpha is dropped": (picture([(*colour, 9) for colour in COLOURS], "RGBA"), False, BGR),
    "a palette is expanded, its transparency dropped": (palette_picture(), False, BGR),
    "a gray file has one channel": (picture(GRAYS, "L"), True, [GRAY]),
    "a gray file is repeated for three channels": (picture(GRAYS, "L"), False, [GRAY] * 3),
    "gray with alpha": (picture([(gray, 7) for gray in GRAYS], "LA"), True, [GRAY]),
    "one bit": (picture([0, 255, 0, 0, 255, 255], "1"), True, [[[0, 1, 0], [0, 1, 1]]]),
    "sixteen bits": (sixteen_bit_picture(), True, [SIXTEEN]),
}


@pytest.mark.parametrize(("image", "grayscale", "values"), DECODED.values(), ids=DECODED)
def test_a_png_is_decoded(tmp_path, image, grayscale, values):
    image.save(tmp_path / "a.png")
    images = ImageFiles(tmp_path, grayscale=grayscale)
    decoded = images.read(0)
    assert decoded.dtype == np.float32
    assert decoded.shape == images.shape
    np.testing.assert_allclose(decoded, values, rtol=1e-6, atol=1e-7)


def test_a_gray_pixel_of_a_colour_file_keeps_its_exact_value(tmp_path):
    picture([(value,) * 3 for value in (0, 1, 77, 128, 254, 255)]).save(tmp_path / "a.png")
    expected = np.array([[[0, 1, 77], [128, 254, 255]]], dtype=np.float32) / np.float32(255)
    np.testing.assert_array_equal(ImageFiles(tmp_path, grayscale=True).read(0), expected)


@pytest.mark.parametrize("suffix", ["bmp", "gif", "jpg", "pgm", "tif", "webp"])
def test_other_formats_are_read(tmp_path, suffix):
    Image.new("L", (16, 8), 255).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(ImageFiles(tmp_path, grayscale=True).read(0), np.ones((1, 8, 16)))


def test_a_sixteen_bit_pgm_is_divided_by_65535(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 65535\n" + bytes([255, 255, 1, 1]))
    np.testing.assert_allclose(ImageFiles(tmp_path, grayscale=True).read(0), [[[1, 257 / 65535]]])


def test_files_are_found_in_folders_and_sorted_by_the_bytes_of_their_path(tmp_path):
    names = ["b/1.png", "B/2.png", "a.png", "b-1.png", "b/10.PNG", "\u00e4.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (2, 2)).save(tmp_path / name)
    found = ImageFiles(tmp_path, grayscale=True).names
    assert found == ("B/2.png", "a.png", "b-1.png", "b/1.png", "b/10.PNG", "\u00e4.png")


def test_links_to_folders_are_followed_and_loops_are_not(tmp_path):
    (tmp_path / "far").mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "far" / "a.png")
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "root" / "sub" / "up").symlink_to(tmp_path / "root")
    assert ImageFiles(tmp_path / "root", grayscale=True).names == ("link/a.png",)


def test_other_files_are_skipped_with_one_warning(tmp_path, caplog):
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    for name in ("notes.txt", "Thumbs.db"):
        (tmp_path / name).touch()
    assert ImageFiles(tmp_path, grayscale=True).names == ("a.png",)
    assert caplog.messages == [f"{tmp_path}: skipping 2 files that are no images, such as Thumbs.db"]


KINDS = ".bmp, .dib, .gif, .jp2, .jpe, .jpeg, .jpg, .pbm, .pgm, .png, .pnm, .ppm, .tif, .tiff, .webp"


def test_an_empty_directory_is_told(tmp_path):
    with pytest.raises(DataError) as caught:
        ImageFiles(tmp_path, grayscale=True)
    assert str(caught.value) == f"{tmp_path}: the directory holds no images\n  Give files of these kinds: {KINDS}."


def test_a_single_file_that_is_no_image_is_told(tmp_path):
    path = tmp_path / "a.txt"
    path.touch()
    with pytest.raises(DataError) as caught:
        ImageFiles(path, grayscale=True)
    assert str(caught.value) == f"{path}: this file is none of the images\n  Give files of these kinds: {KINDS}."


def test_images_of_two_sizes_are_told_with_both(tmp_path):
    Image.new("L", (2, 3)).save(tmp_path / "a.png")
    Image.new("L", (3, 2)).save(tmp_path / "b.png")
    with pytest.raises(DataError) as caught:
        ImageFiles(tmp_path, grayscale=True)
    assert str(caught.value) == (
        f"{tmp_path}/b.png: this image is 3 x 2 (width x height), but {tmp_path}/a.png is 2 x 3 (width x height)\n"
        "  Give images of one size: one batch is one array."
    )


def test_an_image_that_changed_its_size_since_is_told_when_read(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("L", (2, 3)).save(tmp_path / name)
    images = ImageFiles(tmp_path, grayscale=True)
    Image.new("L", (9, 9)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match="this image is 9 x 9"):
        images.read(1)


def test_a_file_that_is_no_image_is_told(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError) as caught:
        ImageFiles(tmp_path, grayscale=True)
    assert str(caught.value) == (
        f"{tmp_path}/a.png: cannot be read: not an image that Pillow knows\n  Mend the file, or take it away."
    )


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "tif"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
def test_a_truncated_file_is_a_data_error_that_names_it(tmp_path, suffix, share):
    path: Path = tmp_path / f"a.{suffix}"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError) as caught:
        ImageFiles(tmp_path, grayscale=False).read(0)
    assert caught.value.place == str(path)


def test_pixels_of_unknown_range_are_refused(tmp_path):
    Image.new("F", (2, 2)).save(tmp_path / "a.tif")
    with pytest.raises(DataError) as caught:
        ImageFiles(tmp_path, grayscale=True).read(0)
    assert str(caught.value) == (
        f"{tmp_path}/a.tif: its pixels are of Pillow's mode F, whose range is not known\n"
        "  Save it with 8 or 16 bits a channel, or as a NumPy array."
    )
