"""What an encoded image says about itself before any pixel is decoded.

JPEG, big-endian:

    FF D8                                   start of image
    FF <marker> <length:2> <length - 2 bytes>   one segment, repeated
        C0..CF without C4, C8, CC           frame: precision:1 height:2 width:2 components:1, then for each component
                                            id:1 sampling:1 (across << 4 | down) quantisation table:1
        EE                                  "Adobe" version:2 flags:4 colour transform:1 (0 = the components are RGB)
        E1                                  "Exif" 00 00, then a TIFF block (below)
        DA                                  start of scan: the compressed data follow, the header ends here
    FF D9                                   end of image

TIFF block inside Exif; byte order from its first two bytes, offsets from its start:

    "II" (little) or "MM" (big), 42:2, offset of the directory:4
    directory: count:2, then count entries of 12 bytes: tag:2 type:2 count:4 value:4
        tag 0x0112, type 3 (16 bit), count 1: orientation 1..8 in the first two bytes of value

PNG, big-endian:

    89 "PNG" 0D 0A 1A 0A
    <length:4> <type:4> <length bytes> <crc:4>  one chunk, repeated; the first is IHDR, the last IEND
        IHDR: width:4 height:4 depth:1 colour type:1 ...
"""

import struct
from dataclasses import dataclass, field
from typing import Literal

from imclass.data.source import Encoded
from imclass.errors import ImageError

MAX_PIXELS = 100_000_000
"""Images with more pixels are refused: a small file can otherwise ask for any amount of memory."""

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_COLOUR_TYPE = 25  # byte offset
_SCAN = b"\xff\xda"
_LONGEST_REMEMBERED = 4096  # bytes; long headers hold what differs from photograph to photograph
_MOST_REMEMBERED = 1024  # headers, in at most 4 MiB
_MAX_STEPS = 10_000  # markers, fill bytes and stray bytes of a JPEG header together
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MARKERS_WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
_EXIF, _ADOBE, _END_OF_IMAGE, _START_OF_SCAN = 0xE1, 0xEE, 0xD9, 0xDA
_TELLING_MARKERS = _FRAME_MARKERS | {_EXIF, _ADOBE}
_BASELINE = 0xC0
_USUAL_SAMPLINGS = frozenset({b"\x11\x11\x11", b"\x21\x11\x11", b"\x12\x11\x11", b"\x22\x11\x11"})  # 444 422 440 420
_ORIENTATION_TAG, _TIFF_SHORT = 0x0112, 3

_OTHER_FORMATS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"\x00\x00\x01\x00", "an icon (ICO)"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"8BPS", "a Photoshop file"),
    (b"\x0a\x23\xd7\xce", "a RecordIO file"),
)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the header of an image tells.

    Attributes:
        format: "jpeg" or "png".
        stored_width: pixels in a stored row.
        stored_height: stored rows.
        components: colour components a pixel (JPEG: 1, 3 or 4); 0 for PNG, where the decoder finds out.
        orientation: EXIF orientation 1..8, 1 = as stored. A damaged EXIF block counts as none, as in every viewer.
            PNG is always 1: the original does not look at EXIF there.
        is_usual_jpeg: a baseline JPEG of 8 bits, grey or YCbCr with the usual subsamplings, as nearly all are.
    """

    format: Literal["jpeg", "png"]
    stored_width: int
    stored_height: int
    components: int
    orientation: int
    is_usual_jpeg: bool = field(default=False, compare=False)

    @property
    def is_transposed(self) -> bool:
        """Whether the orientation swaps width and height."""
        return self.orientation >= 5

    @property
    def width(self) -> int:
        """Width as displayed."""
        return self.stored_height if self.is_transposed else self.stored_width

    @property
    def height(self) -> int:
        """Height as displayed."""
        return self.stored_width if self.is_transposed else self.stored_height


def dimensions(data: Encoded) -> tuple[int, int]:
    """(width, height) of an encoded image as displayed (EXIF orientation applied), from the header alone.

    Raises:
        ImageError: neither JPEG nor PNG, a broken header, or more than `MAX_PIXELS` pixels.
    """
    header = read_header(data)
    return header.width, header.height


def read_header(data: Encoded) -> ImageHeader:
    """Read the header of a JPEG or PNG. Of a view it copies no more than the header, where that is as long as usual.

    Raises:
        ImageError: neither JPEG nor PNG, a broken header, or more than `MAX_PIXELS` pixels.
    """
    start = bytes(data[:_LONGEST_REMEMBERED])
    if start.startswith(_JPEG_START):
        header = _known_jpegs.header(start, data)
    elif start.startswith(_PNG_START):
        header = _png_header(start)
    else:
        raise ImageError(f"neither JPEG nor PNG but {_looks_like(start)}", fix="Convert the image to JPEG or PNG.")
    if header.stored_width == 0 or header.stored_height == 0:
        raise ImageError(f"the header gives a size of {header.stored_width}x{header.stored_height} pixels")
    if header.stored_width * header.stored_height > MAX_PIXELS:
        raise ImageError(
            f"{header.stored_width}x{header.stored_height} pixels are more than the {MAX_PIXELS:,} that are allowed",
            fix="Make the image smaller.",
        )
    return header


def _looks_like(data: bytes) -> str:
    if not data:
        return "empty (0 bytes)"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "a WebP"
    if data[4:8] == b"ftyp":
        return "an AVIF, HEIC or MP4"
    for start, name in _OTHER_FORMATS:
        if data.startswith(start):
            return name
    text = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if b"<svg" in text:
        return "an SVG"
    if text.startswith(b"<"):
        return "XML"
    if not any(data[:64]):
        return "zeros"
    return f"something that starts with bytes {data[:8].hex(' ')}"


def _jpeg_header(data: bytes) -> ImageHeader:
    frame: tuple[int, int, int] | None = None
    orientation = 1
    is_usual, is_rgb = False, False
    position = 2
    for _ in range(_MAX_STEPS):
        marker_at = data.find(b"\xff", position)
        if marker_at < 0 or marker_at + 4 > len(data):
            raise ImageError(f"the JPEG is truncated: {len(data)} bytes end inside its header")
        marker = data[marker_at + 1]
        if marker == 0xFF or marker in _MARKERS_WITHOUT_LENGTH:
            position = marker_at + (1 if marker == 0xFF else 2)
            continue
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            break
        length = data[marker_at + 2] << 8 | data[marker_at + 3]
        position = marker_at + 2 + length
        if length < 2 or position > len(data):
            raise ImageError(f"the JPEG header is broken or truncated: segment of {length} bytes at byte {marker_at}")
        if marker not in _TELLING_MARKERS:
            continue
        body = data[marker_at + 4 : position]
        if marker in _FRAME_MARKERS and frame is None:
            frame = _frame(body, marker_at)
            is_usual = marker == _BASELINE and _is_usual(body)
        elif marker == _EXIF and body.startswith(b"Exif\x00\x00") and orientation == 1:
            orientation = _orientation(body[6:])
        elif marker == _ADOBE and body.startswith(b"Adobe"):
            is_rgb = body[11:12] == b"\x00"
    if frame is None:
        raise ImageError("the JPEG has no frame header before its image data")
    width, height, components = frame
    return ImageHeader("jpeg", width, height, components, orientation, is_usual and not (is_rgb and components == 3))


class _KnownJpegs:
    """The headers of JPEGs that were read lately.

    Images of one size that one program wrote often agree in every byte before the picture, tables and all. To look up
    the bytes takes a fifth of the time of reading them.
    """

    def __init__(self) -> None:
        self._headers: dict[bytes, ImageHeader] = {}

    def header(self, start: bytes, data: Encoded) -> ImageHeader:
        """As `_jpeg_header` of `data`, of which `start` is the first `_LONGEST_REMEMBERED` bytes."""
        start = start[: start.find(_SCAN) + 4]
        known = self._headers.get(start)
        if known is not None:
            return known
        try:
            header = _jpeg_header(start)  # if these bytes are enough, they are for all JPEGs that begin with them
        except ImageError:
            return _jpeg_header(bytes(data))  # the bytes of the marker stand inside a segment, say
        if len(self._headers) >= _MOST_REMEMBERED:
            self._headers.clear()
        self._headers[start] = header
        return header


_known_jpegs = _KnownJpegs()


def _frame(body: bytes, marker_at: int) -> tuple[int, int, int]:
    if len(body) < 6:
        raise ImageError(f"the JPEG frame header at byte {marker_at} is too short")
    _, height, width, components = struct.unpack_from(">BHHB", body)
    return width, height, components


def _is_usual(body: bytes) -> bool:
    """Whether a frame has 8 bits, and one component, or three that are surely YCbCr, in a usual subsampling."""
    components = body[5]
    if body[0] != 8 or len(body) < 6 + 3 * components:
        return False
    if components == 1:
        return True
    return components == 3 and body[6:15:3] == b"\x01\x02\x03" and body[7:15:3] in _USUAL_SAMPLINGS


def _orientation(tiff: bytes) -> int:
    """EXIF orientation of a TIFF block; 1 when it has none or is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return 1
    directory = struct.unpack_from(f"{order}I", tiff, 4)[0]
    if directory + 2 > len(tiff):
        return 1
    entries = struct.unpack_from(f"{order}H", tiff, directory)[0]
    for entry in range(directory + 2, min(directory + 2 + 12 * entries, len(tiff) - 11), 12):
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
        if tag == _ORIENTATION_TAG:
            return value if kind == _TIFF_SHORT and count == 1 and 1 <= value <= 8 else 1
    return 1


def _png_header(data: bytes) -> ImageHeader:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise ImageError("the PNG is truncated or does not begin with an IHDR chunk")
    width, height = struct.unpack_from(">II", data, 16)
    return ImageHeader("png", width, height, 0, 1)


def stored_channels(data: bytes, header: ImageHeader) -> int:
    """Number of channels that an image has as stored: 1 grey, 2 grey and alpha, 3 colour, 4 CMYK or colour and alpha.

    A PNG with a palette counts as colour.
    """
    if header.format == "jpeg":
        return header.components
    return {0: 1, 4: 2, 6: 4}.get(data[_PNG_COLOUR_TYPE], 3)


def is_cut_off(data: bytes) -> bool:
    """Whether the end of an image that cannot be decoded is missing, as after a broken download."""
    if data.startswith(_PNG_START):
        return not png_is_complete(data)
    return data.startswith(_JPEG_START) and not data.rstrip(b"\0").endswith(bytes((0xFF, _END_OF_IMAGE)))


def png_is_complete(data: Encoded) -> bool:
    """Whether the chunks of a PNG follow each other without a gap up to the end of its IEND chunk."""
    position = len(_PNG_START)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        position += 12 + length
        if kind == b"IEND":
            return position <= len(data)
    return False
