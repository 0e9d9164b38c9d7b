import hashlib
import io
import json

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from imclass.data.reused_memory import ReusedMemory
from imclass.errors import ImageError
from imclass.images import MAX_PIXELS, decode, dimensions
from imclass.images.decode import decode_with_header
from imclass.images.header import read_header


def test_golden_images(scalar_images, golden) -> None:
    records = json.loads((golden / "recordio/scalar.expected.json").read_text())["records"]
    for data, record in zip(scalar_images, records, strict=True):
        if not data:
            with pytest.raises(ImageError, match="empty"):
                decode(data)
            continue
        pixels = decode(data)
        assert pixels.shape == (record["height"], record["width"], 3)
        assert dimensions(data) == (record["width"], record["height"])
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == record["decoded_rgb_sha256"], record


def test_grey_is_what_opencv_gives(scalar_images) -> None:
    for data in filter(None, scalar_images):
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(decode(data, 1)[..., 0], expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_exif_orientation(jpeg, smooth, orientation: int, channels: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(smooth(3, 24, 40))
    as_stored = Image.fromarray(decode(jpeg(image), channels).squeeze())
    as_stored.getexif()[0x0112] = orientation
    as_shown = np.asarray(ImageOps.exif_transpose(as_stored))
    data = jpeg(image, exif=exif.tobytes())
    pixels = decode(data, channels)
    assert pixels.flags.c_contiguous
    assert dimensions(data) == (pixels.shape[1], pixels.shape[0])
    np.testing.assert_array_equal(pixels.squeeze(), as_shown)


@pytest.mark.parametrize("transform", [0, 2])
def test_cmyk_and_ycck(jpeg, smooth, transform: int) -> None:
    data = jpeg(Image.fromarray(smooth(4, 40, 48)).convert("CMYK"))
    adobe = data.index(b"Adobe")
    data = data[: adobe + 11] + bytes([transform]) + data[adobe + 12 :]  # the byte that tells YCCK from CMYK
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.abs(decode(data).astype(int) - expected).max() <= 1
    grey = cv2.cvtColor(decode(data), cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(decode(data, 1)[..., 0], grey)


@pytest.mark.parametrize("mode", ["RGB", "P", "L", "LA", "RGBA", "1"])
def test_png_modes(png, smooth, mode: str) -> None:
    image = Image.fromarray(smooth(5, 20, 30)).convert(mode)
    np.testing.assert_array_equal(decode(png(image)), np.asarray(image.convert("RGB")))
    assert decode(png(image), 1).shape == (20, 30, 1)


def test_16_bit_png_keeps_its_upper_byte(png) -> None:
    levels = np.arange(0, 65536, 64, dtype=np.uint16).reshape(16, 64)
    np.testing.assert_array_equal(decode(png(levels), 1)[..., 0], levels >> 8)


def test_at_least_scales_by_halves(jpeg, smooth) -> None:
    data = jpeg(smooth(6, 241, 320))
    sizes = {
        (31, 40): (31, 40),
        (31, 41): (61, 80),
        (121, 160): (121, 160),
        (122, 10): (241, 320),
        (500, 500): (241, 320),
    }
    for at_least, size in sizes.items():
        assert decode(data, at_least=at_least).shape == (*size, 3)
        assert decode(data, 1, at_least=at_least).shape == (*size, 1)


def test_at_least_is_meant_as_displayed(jpeg, smooth) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg(smooth(7, 100, 200), exif=exif.tobytes())
    assert decode(data).shape == (200, 100, 3)
    assert decode(data, at_least=(100, 50)).shape == (100, 50, 3)
    assert decode(data, at_least=(50, 100)).shape == (200, 100, 3)


def test_at_least_leaves_png_alone(png, smooth) -> None:
    assert decode(png(smooth(8, 64, 64)), at_least=(8, 8)).shape == (64, 64, 3)


@pytest.mark.parametrize("progressive", [False, True])
def test_truncated_jpeg_anywhere(jpeg, smooth, progressive: bool) -> None:
    data = jpeg(smooth(9, 64, 80), progressive=progressive)
    for length in range(0, len(data), 7):
        with pytest.raises(ImageError):
            decode(data[:length])
    with pytest.raises(ImageError, match="Premature end of JPEG file"):
        decode(data[:-2])


def test_jpeg_that_ends_early_with_an_end_marker(jpeg, smooth) -> None:
    data = jpeg(smooth(9, 64, 80))
    with pytest.raises(ImageError, match="premature end"):
        decode(data[: len(data) * 2 // 3] + b"\xff\xd9")


def test_stray_bytes_are_tolerated(jpeg, smooth) -> None:
    data = jpeg(smooth(10, 64, 80))
    scan = data.index(b"\xff\xda")
    stray = data[:scan] + b"\x01\x02\x03" + data[scan:]
    with pytest.raises(ValueError, match="extraneous bytes"):
        simplejpeg.decode_jpeg(stray, strict=False)
    for channels in (1, 3):
        np.testing.assert_array_equal(decode(stray, channels), decode(data, channels))
    before_the_end = data[:-2] + b"\x01\x02\x03" + data[-2:]
    np.testing.assert_array_equal(decode(before_the_end), decode(data))
    with pytest.raises(ImageError):
        decode(stray[:-200])


def test_bytes_after_the_end_are_tolerated(jpeg, png, smooth) -> None:
    for data in (jpeg(smooth(11, 32, 32)), png(smooth(11, 32, 32))):
        np.testing.assert_array_equal(decode(data + b"\xff\x00junk"), decode(data))


def test_rare_chroma_subsampling(jpeg) -> None:
    data = jpeg(Image.new("RGB", (64, 64), (200, 60, 30)), subsampling="4:1:1")
    frame = data.index(b"\xff\xc0")
    rare = data[: frame + 11] + b"\x42" + data[frame + 12 :]  # 4x2 blocks of brightness to one of colour
    with pytest.raises(ValueError, match="subsampling"):
        simplejpeg.decode_jpeg(rare)
    assert decode(rare).shape == (64, 64, 3)


def test_truncated_and_damaged_png(png, smooth, capfd) -> None:
    data = png(smooth(12, 40, 40))
    for length in (8, 20, 33, 100, len(data) - 1):
        with pytest.raises(ImageError, match="truncated"):
            decode(data[:length])
    middle = data.index(b"IDAT") + 20
    with pytest.raises(ImageError, match="damaged"):
        decode(data[:middle] + bytes(40) + data[middle + 40 :])


def test_huge_images_are_refused_before_decoding(png, smooth) -> None:
    data = bytearray(png(smooth(13, 8, 8)))
    data[16:24] = (MAX_PIXELS + 1).to_bytes(4, "big") + (1).to_bytes(4, "big")
    with pytest.raises(ImageError, match="more than"):
        decode(bytes(data))


def test_flipped_bytes_never_give_anything_but_pixels_or_an_image_error(jpeg, png, smooth, capfd) -> None:
    generator = np.random.default_rng(14)
    outcomes = {"pixels": 0, "refused": 0}
    for data in (jpeg(smooth(14, 24, 24)), jpeg(smooth(14, 24, 24), progressive=True), png(smooth(14, 24, 24))):
        for _ in range(150):
            damaged = bytearray(data)
            for place in generator.integers(2, len(data), 3):
                damaged[place] = generator.integers(256)
            try:
                pixels = decode(bytes(damaged))
            except ImageError:
                outcomes["refused"] += 1
            else:
                outcomes["pixels"] += 1
                assert pixels.dtype == np.uint8
    assert min(outcomes.values()) > 20


def test_other_channel_counts_are_our_mistake(png, smooth) -> None:
    with pytest.raises(ValueError, match="channels"):
        decode(png(smooth(15, 8, 8)), 4)


def unusual(name: str, jpeg, png, pixels: np.ndarray) -> bytes:
    """JPEGs that leave the usual way through the decoder, and a PNG."""
    usual = jpeg(pixels)
    scan = usual.index(b"\xff\xda")
    return {
        "usual": usual,
        "grey": jpeg(Image.fromarray(pixels).convert("L")),
        "cmyk": jpeg(Image.fromarray(pixels).convert("CMYK")),
        "turned": jpeg(pixels, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
        "stray bytes": usual[:scan] + b"\0\0" + usual[scan:],
        "png": png(pixels),
    }[name]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("at_least", [None, (20, 20)])
@pytest.mark.parametrize("name", ["usual", "grey", "cmyk", "turned", "stray bytes", "png"])
def test_a_view_decoded_into_memory_gives_the_same(
    jpeg, png, smooth, name: str, at_least: tuple[int, int] | None, channels: int
) -> None:
    data = unusual(name, jpeg, png, smooth(3, 90, 130))
    header, memory = read_header(data), ReusedMemory()
    memory.array((90 * 130 * 4,))[:] = 99
    pixels = decode_with_header(memoryview(data), header, channels, at_least=at_least, memory=memory)
    np.testing.assert_array_equal(pixels, decode(data, channels, at_least=at_least))
    assert pixels.flags.c_contiguous
    assert np.may_share_memory(pixels, memory.array((1,)).base) == (name in ("usual", "grey"))


def test_a_damaged_view_is_an_image_error(jpeg, png, smooth) -> None:
    for data in (jpeg(smooth(3, 90, 130)), png(smooth(3, 90, 130))):
        cut = memoryview(data[: len(data) // 2])
        with pytest.raises(ImageError, match=r"decoded|truncated"):
            decode_with_header(cut, read_header(cut), memory=ReusedMemory())
