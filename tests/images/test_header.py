import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imclass.errors import ImageError
from imclass.images import MAX_PIXELS, dimensions, header
from imclass.images.header import png_is_complete, read_header


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def frame(width: int, height: int, components: int = 3) -> bytes:
    return segment(0xC0, struct.pack(">BHHB", 8, height, width, components) + bytes(3 * components))


def exif(value: int, *, order: str = "<", kind: int = 3, directory: int = 8, entries: int = 1) -> bytes:
    start = b"II*\x00" if order == "<" else b"MM\x00*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, kind, 1, value, 0)
    tiff = start + struct.pack(f"{order}I", directory) + struct.pack(f"{order}H", entries) + entry
    return segment(0xE1, b"Exif\x00\x00" + tiff)


def jpeg_header(*segments: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segments) + segment(0xDA, bytes(10)) + b"\xff\xd9"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_in_both_byte_orders(order: str, orientation: int) -> None:
    data = jpeg_header(exif(orientation, order=order), frame(40, 30))
    assert read_header(data).orientation == orientation
    assert dimensions(data) == ((40, 30) if orientation < 5 else (30, 40))


@pytest.mark.parametrize(
    "damaged",
    [
        exif(0),
        exif(9),
        exif(6, kind=4),
        exif(6, directory=60_000),
        exif(6, directory=0xFFFFFFFF),
        segment(0xE1, b"Exif\x00\x00"),
        segment(0xE1, b"Exif\x00\x00XX*\x00\x08\x00\x00\x00"),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00<x/>"),
    ],
)
def test_damaged_exif_counts_as_none(damaged: bytes) -> None:
    assert read_header(jpeg_header(damaged, frame(40, 30))).orientation == 1


def test_a_header_like_an_earlier_one_is_read_alike() -> None:
    data = jpeg_header(exif(6), frame(40, 30))
    assert read_header(data) == read_header(data[:-2] + b"another picture\xff\xd9")
    assert read_header(data).orientation == 6


def test_no_more_than_some_headers_are_remembered(monkeypatch) -> None:
    known = header._KnownJpegs()
    monkeypatch.setattr(header, "_known_jpegs", known)
    monkeypatch.setattr(header, "_MOST_REMEMBERED", 3)
    for width in (40, 41, 42, 43, 40, 44, 42):
        assert dimensions(jpeg_header(frame(width, 30))) == (width, 30)
        assert 1 <= len(known._headers) <= 3


def test_long_headers_are_not_remembered(monkeypatch) -> None:
    known = header._KnownJpegs()
    monkeypatch.setattr(header, "_known_jpegs", known)
    for width in (40, 41):
        assert dimensions(jpeg_header(segment(0xFE, bytes(5000)), frame(width, 30))) == (width, 30)
    assert known._headers == {}


def test_headers_that_begin_alike_are_told_apart() -> None:
    plain = jpeg_header(frame(40, 30))
    for _ in range(2):
        assert read_header(plain).orientation == 1
        assert read_header(jpeg_header(frame(40, 30), exif(8))).orientation == 8
        assert dimensions(jpeg_header(frame(40, 31))) == (40, 31)


def test_a_cut_header_is_refused_after_a_whole_one() -> None:
    data = jpeg_header(exif(6), frame(40, 30))
    assert dimensions(data) == (30, 40)
    end = data.index(b"\xff\xda")
    for length in range(3, end + 4):
        with pytest.raises(ImageError):
            read_header(data[:length])
    assert dimensions(data[: end + 4]) == (30, 40)


def test_more_exif_entries_than_there_are_bytes() -> None:
    assert read_header(jpeg_header(exif(6, entries=65_535), frame(40, 30))).orientation == 6


def test_fill_bytes_stray_bytes_and_late_exif() -> None:
    data = jpeg_header(b"\xff\xff", segment(0xE0, b"JFIF"), b"stray", frame(40, 30), exif(6))
    assert dimensions(data) == (30, 40)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"", "empty"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "a WebP"),
        (b"GIF89a", "a GIF"),
        (b"BM\x00\x00", "a BMP"),
        (b"II*\x00", "a TIFF"),
        (b"\x00\x00\x00\x1cftypavif", "an AVIF, HEIC or MP4"),
        (b"\n <!DOCTYPE html><html>", "an HTML page"),
        (b"<svg xmlns='x'/>", "an SVG"),
        (b"<?xml version='1.0'?><Error/>", "XML"),
        (bytes(100), "zeros"),
        (b"version https://git-lfs", "starts with bytes 76 65"),
    ],
)
def test_other_formats_are_named(start: bytes, name: str) -> None:
    with pytest.raises(ImageError, match=name):
        dimensions(start)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (jpeg_header(frame(0, 30)), "size of 0x30"),
        (jpeg_header(), "no frame header"),
        (jpeg_header(segment(0xC0, b"\x08")), "too short"),
        (b"\xff\xd8\xff\xe0\x00", "truncated"),
        (b"\xff\xd8\xff\xe0\x00\x01xx", "segment of 1 bytes"),
        (b"\xff\xd8\xff\xe0\xff\xffxx", "segment of 65535 bytes"),
        (b"\xff\xd8" + b"\xff" * 50_000, "no frame header"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
    ],
)
def test_broken_headers(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        dimensions(data)


def test_too_many_pixels_are_refused() -> None:
    assert dimensions(jpeg_header(frame(10_000, MAX_PIXELS // 10_000))) == (10_000, 10_000)
    with pytest.raises(ImageError, match="more than the 100,000,000"):
        dimensions(jpeg_header(frame(10_001, 10_000)))


def test_png(png, smooth) -> None:
    data = png(smooth(1, 30, 40))
    assert dimensions(data) == (40, 30)
    assert png_is_complete(data)
    assert png_is_complete(data + b"more")
    assert not any(png_is_complete(data[:length]) for length in range(len(data)))


def test_pillow_agrees(jpeg, smooth) -> None:
    for mode in ("RGB", "L", "CMYK"):
        image = Image.fromarray(smooth(2, 33, 47)).convert(mode)
        header = read_header(jpeg(image, progressive=True))
        assert (header.width, header.height, header.components) == (47, 33, len(mode))


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", jpeg_header(exif(6))[:40]])
)
def test_any_bytes_give_a_size_or_an_image_error(tail: bytes, start: bytes) -> None:
    with contextlib.suppress(ImageError):
        width, height = dimensions(start + tail)
        assert 0 < width * height <= MAX_PIXELS


@pytest.mark.parametrize(
    ("options", "mode", "expected"),
    [
        ({}, "RGB", True),
        ({"subsampling": 0}, "RGB", True),
        ({"subsampling": 1}, "RGB", True),
        ({}, "L", True),
        ({"progressive": True}, "RGB", False),
        ({}, "CMYK", False),
        ({"keep_rgb": True}, "RGB", False),
    ],
)
def test_usual_jpegs(smooth, jpeg, options, mode: str, expected: bool) -> None:
    data = jpeg(Image.fromarray(smooth(0, 40, 50)).convert(mode), **options)
    assert read_header(data).is_usual_jpeg == expected


@pytest.mark.parametrize(
    "odd",
    [
        segment(0xC0, struct.pack(">BHHB", 12, 30, 40, 1) + bytes.fromhex("011100")),  # 12 bits
        segment(0xC0, struct.pack(">BHHB", 8, 30, 40, 3) + bytes.fromhex("014100021100031100")),  # 4:1:1
        segment(0xC0, struct.pack(">BHHB", 8, 30, 40, 3) + bytes.fromhex("521100471100421100")),  # R, G, B
        segment(0xC0, struct.pack(">BHHB", 8, 30, 40, 3)),  # cut off
        segment(0xC0, struct.pack(">BHHB", 8, 30, 40, 2) + bytes.fromhex("011100021100")),
        segment(0xC3, struct.pack(">BHHB", 8, 30, 40, 1) + bytes.fromhex("011100")),  # lossless
    ],
)
def test_unusual_frames(odd: bytes) -> None:
    assert not read_header(jpeg_header(odd)).is_usual_jpeg


def test_adobe_rgb_is_unusual() -> None:
    usual = segment(0xC0, struct.pack(">BHHB", 8, 30, 40, 3) + bytes.fromhex("012200021101031101"))
    assert read_header(jpeg_header(usual)).is_usual_jpeg
    for transform, expected in ((0, False), (1, True)):
        adobe = segment(0xEE, b"Adobe" + bytes([0, 100, 0, 0, 0, 0, transform]))
        assert read_header(jpeg_header(adobe, usual)).is_usual_jpeg == expected


@pytest.mark.parametrize("comment_bytes", [0, 100, 5000, 60_000])
def test_a_view_has_the_header_of_its_bytes(jpeg, png, smooth, comment_bytes: int) -> None:
    plain = jpeg(smooth(3, 50, 70))
    long = plain[:2] + segment(0xFE, bytes(comment_bytes)) + exif(6) + plain[2:]
    for data in (plain, long, png(smooth(4, 30, 20))):
        assert read_header(memoryview(bytearray(data))) == read_header(data)
    assert read_header(memoryview(long)).orientation == 6


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff\xe0\x00", b"\x89PNG\r\n\x1a\n"])
def test_a_view_is_refused_like_its_bytes(data: bytes) -> None:
    with pytest.raises(ImageError) as of_bytes:
        read_header(data)
    with pytest.raises(ImageError) as of_view:
        read_header(memoryview(data))
    assert str(of_view.value) == str(of_bytes.value)
