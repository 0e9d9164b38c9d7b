"""Files made by MXNet, what it reads from them, and small files made on the spot."""

import json
from pathlib import Path

from imclass.data import RecordWriter, pack_image

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDIO = GOLDEN / "recordio"
IMAGE_FILES = ("scalar", "multilabel", "varlabel", "magic")
MAGIC = bytes.fromhex("0a23d7ce")


def expected(path: Path) -> list[dict]:
    """Return what MXNet reads from a golden `.rec` file, record by record."""
    return json.loads(path.with_suffix(".expected.json").read_text())["records"]


def single_label_magic_records() -> tuple[bytes, list[dict]]:
    """Return the content of `magic.rec` without its one record of several labels, and what MXNet reads."""
    content = (RECORDIO / "magic.rec").read_bytes()
    kept, stored = [], b""
    for record in expected(RECORDIO / "magic.rec"):
        if len(record["label"]) == 1:
            kept.append({**record, "offset": len(stored)})
            stored += content[record["offset"] : record["offset"] + record["stored_bytes"]]
    return stored, kept


def write_records(path: Path, labels: list, image: bytes = b"image") -> Path:
    """Write a `.rec` and `.idx` file with one record a label."""
    with RecordWriter(path) as writer:
        for number, label in enumerate(labels):
            writer.write(number, pack_image(label, image, image_id=number))
    return path


def without_idx(path: Path) -> Path:
    """Remove the `.idx` beside a `.rec` file, so that it has to be scanned."""
    path.with_suffix(".idx").unlink()
    return path
