"""Files that fuzzing starts from: sound ones, damaged ones, and those that found something once."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from imclass.data.recordio import pack_image
from imclass.data.recordio_writer import encode_record

FINDINGS = Path(__file__).parent / "findings"
GOLDEN = Path(__file__).parents[1] / "golden"
SCALAR_RECORDS = GOLDEN / "recordio" / "scalar.rec"
MAGIC = bytes.fromhex("0a23d7ce")


def findings(target: str) -> list[Path]:
    """Files that once broke a target."""
    return sorted((FINDINGS / target).glob("*")) if (FINDINGS / target).is_dir() else []


def seeds(target: str) -> list[bytes]:
    """The content of the files that a target starts from, findings included."""
    return [*_MAKERS[target](), *(path.read_bytes() for path in findings(target))]


def _recordio() -> Iterator[bytes]:
    for path in sorted((GOLDEN / "recordio").rglob("*.rec")):
        yield path.read_bytes()
    small = [pack_image(label, bytes([label] * label), label) for label in range(5)]
    yield b"".join(map(encode_record, small))
    yield encode_record(pack_image([1.0, 0.0, 1.0], MAGIC + b"image" + MAGIC, 7))
    yield b"".join(encode_record(payload) for payload in (b"", b"a", MAGIC, MAGIC * 3, bytes(4) + MAGIC))


def _idx() -> Iterator[bytes]:
    yield SCALAR_RECORDS.with_suffix(".idx").read_bytes()
    yield b"0\t0\n"
    yield b"1 0\r\n\r\n2 99999999999999999999\n"


def _lst() -> Iterator[bytes]:
    for path in sorted((GOLDEN / "im2rec").glob("*.lst")):
        yield path.read_bytes()
    yield b"\xef\xbb\xbf0\t1.5\ta b.jpg\r\n1\t-2e3\t\xff.png\r\n"
    yield b"0 1 0 a.jpg\n\n1 0 1 b.jpg\n"
    yield b"0\tnan\ta\n0\tinf\tb\nx\t1\t\n1\t1\n"


def _manifest() -> Iterator[bytes]:
    metadata = {"class-name": "dog", "class-map": {"0": "cat", "1": "dog"}, "type": "groundtruth/image-classification"}
    yield _json_lines(
        {"source-ref": "a.jpg", "class": 1, "class-metadata": metadata},
        {"source-ref": "file:///b.jpg", "class": "0", "class-metadata": {"class-name": "cat"}},
    )
    yield _json_lines({"source-ref": "a.jpg", "class": "[1, 0, 1]"}, {"source-ref": "b%20c.jpg", "class": [0, 0, 0]})
    yield _json_lines({"source-ref": "a.jpg", "class": [1, 4]}, {"source-ref": "b.jpg", "class": []})
    yield _json_lines({"source-ref": "s3://bucket/a.jpg", "class": 1}, {"image-ref": 1, "class": None}, {})
    yield b'{"source-ref": "a\\u0000.jpg", "class": 1e400}\n[[[[]]]]\n{"source-ref": "\\ud800", "class": -0.0}\nnull\n'


def _json_lines(*lines: dict[str, object]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _image() -> Iterator[bytes]:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 13, 3)).astype(np.uint8)
    for picture in (pixels, pixels[..., 0], np.dstack([pixels, pixels[..., 0]])):
        yield cv2.imencode(".png", picture)[1].tobytes()
    for settings in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]):
        jpeg = cv2.imencode(".jpg", pixels, settings)[1].tobytes()
        yield jpeg
        yield jpeg[:2] + _exif(6) + jpeg[2:]
    yield cv2.imencode(".jpg", pixels[..., 0])[1].tobytes()


def _exif(orientation: int) -> bytes:
    directory = b"\0\1" + b"\1\x12\0\3\0\0\0\1" + bytes([0, orientation, 0, 0])
    body = b"Exif\0\0" + b"MM\0*\0\0\0\x08" + directory
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def _archive() -> Iterator[bytes]:
    description = {"format_version": 1, "network": "resnet_v2", "num_layers": 8, "image_shape": [3, 16, 16]}
    names = ("model.json", "model.safetensors", "checkpoints/epoch-0001.safetensors", "notes.txt")
    yield _tar(dict.fromkeys(names, json.dumps(description).encode()))
    yield _tar({"./model-symbol.json": b"{}", "./model-0001.params": bytes(24), "model-shapes.json": b"[]"})
    yield _tar({"../x": b"x"}) + b"behind"
    yield _tar({"long/" * 30 + "model.json": b"{}"}, tarfile.PAX_FORMAT)


def _tar(members: dict[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as packed:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def _params() -> Iterator[bytes]:
    import torch

    from imclass.models.mxnet import write_params

    yield write_params({"arg:a": torch.arange(6.0).reshape(2, 3), "aux:b": torch.ones(2, dtype=torch.float16)})
    yield write_params({})


def _symbol() -> Iterator[bytes]:
    for path in sorted((GOLDEN / "train_trace").rglob("*-symbol.json"))[:1]:
        yield json.dumps(json.loads(path.read_text())).encode()
    variable = {"op": "null", "name": "data", "inputs": []}
    pooling = {"op": "Pooling", "name": "p", "attrs": {"kernel": "(3, 3)"}, "inputs": [[0, 0, 0]]}
    yield json.dumps({"nodes": [variable, pooling], "arg_nodes": [0], "heads": [[1, 0, 0]]}).encode()


def _s3_key() -> Iterator[bytes]:
    yield b"train/dog/a b.jpg\n\na/b"
    yield b"../../x\n./a//b/\n%2E\n%empty\na%object\n50% off\x00"
    yield b"x" * 241 + b"%more/" + "é".encode() * 121


def _s3_chunked() -> Iterator[bytes]:
    signature = b";chunk-signature=" + b"a" * 64
    yield b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n"
    yield b"5" + signature + b"\r\nhello\r\n0" + signature + b"\r\n\r\n"
    yield b"0\r\n\r\n"


def _s3_xml() -> Iterator[bytes]:
    yield b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a&amp;b</Key></Object></Delete>'
    part = b"<Part><ETag>&quot;ab&quot;</ETag><PartNumber>2</PartNumber><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>"
    yield b"<CompleteMultipartUpload>" + part + b"</CompleteMultipartUpload>"
    yield b'<!DOCTYPE a [<!ENTITY b "c">]><CreateBucketConfiguration/>'


_MAKERS = {
    "recordio": _recordio,
    "idx": _idx,
    "lst": _lst,
    "manifest": _manifest,
    "image": _image,
    "archive": _archive,
    "params": _params,
    "symbol": _symbol,
    "s3_key": _s3_key,
    "s3_chunked": _s3_chunked,
    "s3_xml": _s3_xml,
}
