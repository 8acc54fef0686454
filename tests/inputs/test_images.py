"""Every kind of file that a user may bring is read as a person would see it, or refused in one sentence."""

from __future__ import annotations

import base64
import io
import os
import re
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stcg_nb.errors import InputError
from stcg_nb.inputs.images import data_uri, read_image, thumbnail, to_png
from stcg_nb.scenes.pictures import make_scene

# Four corners of four colours on an oblong: each of the eight orientations looks different.
RED, GREEN, BLUE, GREY = (250, 10, 10), (10, 200, 10), (10, 10, 220), (120, 120, 120)


@pytest.fixture
def corners() -> np.ndarray:
    image = np.zeros((16, 24, 3), np.uint8)
    image[:8, :12], image[:8, 12:], image[8:, :12], image[8:, 12:] = RED, GREEN, BLUE, GREY
    return image


def sentence(call) -> str:
    """The message of the InputError that a call raises; it must be one short line."""
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) < 300
    return text


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is this large and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def bmp_header(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)


@pytest.mark.parametrize("extension", ["png", "bmp", "tiff", "webp", "ppm"])
def test_lossless_files_come_back_exactly(tmp_path, corners, extension):
    path = tmp_path / f"a.{extension}"
    Image.fromarray(corners).save(path, **({"lossless": True} if extension == "webp" else {}))
    for source in (path, str(path)):
        image = read_image(source)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        assert image.flags.writeable
        np.testing.assert_array_equal(image, corners)


def test_the_result_is_a_copy(corners):
    read_image(corners)[:] = 7
    assert tuple(corners[0, 0]) == RED


# EXIF says how the stored picture must be turned; by hand: what is stored for the upright picture u.
STORED = {
    1: lambda u: u,
    2: lambda u: u[:, ::-1],
    3: lambda u: u[::-1, ::-1],
    4: lambda u: u[::-1],
    5: lambda u: u.transpose(1, 0, 2),
    6: lambda u: np.rot90(u, 1),
    7: lambda u: np.rot90(u, 2).transpose(1, 0, 2),
    8: lambda u: np.rot90(u, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("extension", ["jpg", "png", "tiff", "webp"])
def test_exif_orientation(tmp_path, corners, orientation, extension):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{extension}"
    stored = np.ascontiguousarray(STORED[orientation](corners))
    Image.fromarray(stored).save(path, exif=exif, **({"lossless": True} if extension == "webp" else {"quality": 95}))
    image = read_image(path)
    assert image.shape == corners.shape
    for y, x in ((3, 4), (3, 19), (12, 4), (12, 19)):  # mid-corner, away from JPEG's seams
        np.testing.assert_allclose(image[y, x].astype(int), corners[y, x], atol=30)


def test_cmyk_jpeg(tmp_path, corners):
    path = tmp_path / "a.jpg"
    Image.fromarray(corners).convert("CMYK").save(path, quality=95)
    assert Image.open(path).mode == "CMYK"
    np.testing.assert_allclose(read_image(path)[3, 4].astype(int), RED, atol=30)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(tmp_path, mode):
    image = Image.new(mode, (10, 10), (0, 0, 0, 0) if mode == "RGBA" else (0, 0))
    image.paste((0, 0, 0, 255) if mode == "RGBA" else (0, 255), (0, 0, 5, 10))
    image.putpixel((9, 9), (0, 0, 0, 51) if mode == "RGBA" else (0, 51))
    path = tmp_path / "a.png"
    image.save(path)
    read = read_image(path)
    assert (read[:, :5] == 0).all()
    assert (read[:9, 5:] == 255).all()
    assert tuple(read[9, 9]) == (204, 204, 204)  # 255 * (1 - 51 / 255)


@pytest.mark.parametrize("extension", ["png", "gif"])
def test_palette_with_a_transparent_colour(tmp_path, extension):
    image = Image.new("P", (10, 10), 0)
    image.putpalette([0, 0, 0, *RED])
    image.paste(1, (0, 0, 5, 10))
    path = tmp_path / f"a.{extension}"
    image.save(path, transparency=0)
    read = read_image(path)
    assert (read[:, :5] == RED).all()
    assert (read[:, 5:] == 255).all()


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_and_two_tone(tmp_path, mode):
    image = Image.new(mode, (9, 8), 0)
    image.putpixel((2, 3), 255)
    path = tmp_path / "a.png"
    image.save(path)
    read = read_image(path)
    assert read.shape == (8, 9, 3)
    assert tuple(read[3, 2]) == (255, 255, 255)
    assert read.sum() == 3 * 255


@pytest.mark.parametrize("extension", ["png", "tiff"])
def test_16_bits_are_scaled_not_clipped(tmp_path, extension):
    levels = np.tile(np.arange(256, dtype=np.uint16) * 257, (8, 1))
    path = tmp_path / f"a.{extension}"
    Image.fromarray(levels).save(path)
    assert Image.open(path).mode.startswith("I")
    np.testing.assert_array_equal(read_image(path)[0, :, 1], np.arange(256))
    np.testing.assert_array_equal(read_image(levels)[0, :, 2], np.arange(256))


@pytest.mark.parametrize("top", [1, 255])
def test_32_bit_float_tiff(tmp_path, top):
    path = tmp_path / "a.tiff"
    Image.fromarray(np.tile(np.linspace(0, top, 256, dtype=np.float32), (8, 1))).save(path)
    assert Image.open(path).mode == "F"
    np.testing.assert_array_equal(read_image(path)[0, :, 0], np.arange(256))


@pytest.mark.parametrize("values", [(0, np.nan), (0, np.inf), (-1, 1), (0, 1000)])
def test_float_tiff_that_is_no_picture(tmp_path, values):
    path = tmp_path / "a.tiff"
    Image.fromarray(np.full((8, 8), values[1], np.float32) * (np.arange(8) > 0) + np.float32(values[0])).save(path)
    assert "valid are" in sentence(lambda: read_image(path))


def animation(path: Path) -> Path:
    frames = [Image.new("RGB", (12, 9), color) for color in (RED, GREEN, BLUE)]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    return path


@pytest.mark.parametrize("extension", ["gif", "webp", "png", "tiff"])
def test_of_an_animation_the_first_frame_with_a_warning(tmp_path, extension):
    path = animation(tmp_path / f"a.{extension}")
    with pytest.warns(UserWarning, match="3 frames") as caught:
        image = read_image(path)
    assert (image == RED).all()
    assert caught[0].filename == __file__  # it points at the caller's line


def test_a_pil_animation_stays_where_it_is(tmp_path):
    with Image.open(animation(tmp_path / "a.gif")) as image:
        image.seek(2)
        with pytest.warns(UserWarning, match="3 frames"):
            read = read_image(image)
        assert image.tell() == 2
    assert (read == BLUE).all()


def test_a_pil_image_that_is_cut_off(tmp_path, corners):
    data = to_png(make_scene(1).image)
    with Image.open(io.BytesIO(data[: len(data) // 2])) as image:
        assert "damaged or cut off" in sentence(lambda: read_image(image))


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tiff", "bmp"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated_files(tmp_path, extension, kept):
    path = tmp_path / f"a.{extension}"
    Image.fromarray(make_scene(2).image).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    assert repr(str(path)) in sentence(lambda: read_image(path))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_bytes_never_raise_anything_else(tmp_path_factory, kind, changes):
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(make_scene(3, size=64).image).save(out, format=kind, **({} if kind == "BMP" else {"exif": exif}))
    data = bytearray(out.getvalue())
    for where, value in changes:
        data[int(where**3 * (len(data) - 1))] = value  # the header more often than the rest
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = read_image(path)
    except InputError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"this is a text", "no image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image"),
        (b"\x89PNG\r\n\x1a\n", "no image"),
        (png_header(60_000, 60_000), "megapixels"),  # Pillow refuses
        (png_header(10_000, 10_000), "10000 x 10000"),  # Pillow only warns
        (png_header(7_072, 7_072), "50 megapixels"),  # Pillow says nothing
        (bmp_header(30_000, 30_000), "megapixels"),
        (png_header(1, 1), "at least 8 x 8"),
        (png_header(7, 100), "7 x 100"),
    ],
)
@pytest.mark.filterwarnings("error")  # the sentence is all that a user sees
def test_files_that_are_refused(tmp_path, data, said):
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert said in sentence(lambda: read_image(path))


def test_a_bomb_is_refused_from_its_header(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(png_header(10_000, 10_000))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    sentence(lambda: read_image(path))


def test_places_without_an_image(tmp_path):
    assert "folder" in sentence(lambda: read_image(tmp_path))
    assert "no image at" in sentence(lambda: read_image(tmp_path / "missing.png"))
    assert "no image at" in sentence(lambda: read_image("https://example.org/a.png"))
    assert "cannot be read" in sentence(lambda: read_image("a\0b"))
    long = "x" * 5000
    with pytest.raises(InputError, match="cannot be read"):
        read_image(long)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert "pipe" in sentence(lambda: read_image(tmp_path / "pipe"))  # and does not wait for a writer


def test_a_path_with_html_and_quotes(tmp_path, corners):
    path = tmp_path / '<b>"it\'s"&amp; 🚗.png'
    Image.fromarray(corners).save(path)
    np.testing.assert_array_equal(read_image(path), corners)


@pytest.mark.parametrize("source", [None, 3, b"a.png", ["a.png"]])
def test_other_types(source):
    assert type(source).__name__ in sentence(lambda: read_image(source))


def test_arrays():
    grey = np.linspace(0, 1, 64).reshape(8, 8)
    expected = (grey * 255).round().astype(np.uint8)
    for array in (grey, grey[..., None], grey.astype(np.float32), np.stack([grey] * 3, -1), expected):
        read = read_image(array)
        assert read.shape == (8, 8, 3)
        np.testing.assert_array_equal(read, np.stack([expected] * 3, -1))
    clear = np.zeros((8, 8, 4))
    clear[0, 0, 3] = 1
    read = read_image(clear)
    assert read[0, 0].max() == 0
    assert read.sum() == 255 * 3 * 63
    assert read_image(np.zeros((8, 8, 3), np.uint8)[:, ::-1]).flags.c_contiguous


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((8, 8, 3), np.nan), "outside"),
        (np.full((8, 8, 3), 1.5), "outside"),
        (np.full((8, 8, 3), -0.1), "outside"),
        (np.zeros((8, 8, 2)), "shape"),
        (np.zeros((3, 8, 8)), "shape"),
        (np.zeros((1, 8, 8, 3)), "shape"),
        (np.zeros(8), "shape"),
        (np.zeros((0, 0, 3)), "0 x 0"),
        (np.zeros((1, 1, 3), np.uint8), "1 x 1"),
        (np.zeros((8, 8, 3), np.int64), "int64"),
        (np.zeros((8, 8, 3), bool), "bool"),
        (np.array([["a"] * 8] * 8), "<U1"),
        (np.broadcast_to(np.uint8(0), (8000, 8000, 3)), "megapixels"),
    ],
)
def test_arrays_that_are_refused(array, said):
    assert said in sentence(lambda: read_image(array))


@given(st.integers(8, 90), st.integers(8, 90), st.integers(1, 100))
@settings(max_examples=50, deadline=None)
def test_thumbnail(height, width, side):
    image = np.full((height, width, 3), 77, np.uint8)
    small = thumbnail(image, side)
    assert max(small.shape[:2]) == min(side, max(height, width))
    for out, whole in zip(small.shape[:2], (height, width), strict=True):
        assert abs(out - whole * min(1, side / max(height, width))) <= 1
    assert (small == 77).all()


def test_thumbnail_averages():
    image = np.zeros((20, 20, 3), np.uint8)
    image[::2] = 200
    assert (thumbnail(image, 10) == 100).all()


def test_png_and_data_uri_hold_the_image():
    image = make_scene(4).image
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(to_png(image)))), image)
    found = re.fullmatch(r"data:image/png;base64,([A-Za-z0-9+/=]+)", data_uri(image))
    assert found
    assert base64.b64decode(found[1]) == to_png(image)
