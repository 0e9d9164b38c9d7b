"""The image header: what is packed is what MXNet packs, and comes back."""

import hashlib

import numpy as np
import pytest

from imclass.data import ImageHeader, pack_image, read_records, unpack_image
from imclass.errors import DataError
from tests.data.golden_files import IMAGE_FILES, RECORDIO, expected


@pytest.mark.parametrize("name", IMAGE_FILES)
def test_golden_image_records(name: str) -> None:
    path = RECORDIO / f"{name}.rec"
    with path.open("rb") as stream:
        records = list(read_records(stream, path.name))
    for record, wanted in zip(records, expected(path), strict=True):
        image = unpack_image(record.payload, path.name)
        assert image.header.flag == wanted["flag"]
        assert (image.header.id, image.header.id2) == (wanted["id"], wanted["id2"])
        assert image.labels.dtype == np.float32
        assert image.labels.tolist() == wanted["label"]
        assert len(image.image) == wanted["image_bytes"]
        assert hashlib.sha256(image.image).hexdigest() == wanted["image_sha256"]
        assert image.pack() == record.payload


def test_header_of_a_number_a_list_and_nothing() -> None:
    assert pack_image(3, b"x", 7) == ImageHeader(0, 3.0, 7).pack() + b"x"
    assert pack_image([1, 0], b"x", 7) == ImageHeader(2, 0.0, 7).pack() + np.array([1, 0], "<f4").tobytes() + b"x"
    assert pack_image([], b"x", 7) == ImageHeader(0, 0.0, 7).pack() + b"x"


def test_record_too_short_for_its_header() -> None:
    with pytest.raises(DataError, match=r"here: a record of 23 bytes is too short"):
        unpack_image(bytes(23), "here")


def test_more_labels_than_bytes() -> None:
    record = ImageHeader(0xFFFFFFFF, 0.0, 1).pack() + bytes(8)
    with pytest.raises(DataError, match="announces 4294967295 labels, but the record has only 32 bytes"):
        unpack_image(record, "here")
