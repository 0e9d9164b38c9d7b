"""What a survey sees of every image."""

from pathlib import Path

import cv2
import numpy as np

from imclass.data import RecordWriter, open_source, pack_image
from imclass.images.survey import survey
from tests.data.golden_files import RECORDIO, expected


def test_golden_images_are_seen_as_mxnet_sees_them() -> None:
    seen = survey(open_source(RECORDIO / "scalar.rec"), threads=2)
    records = expected(RECORDIO / "scalar.rec")
    assert len(seen.readable) == len(records)
    for index, record in enumerate(records):
        assert seen.readable[index] == ("decoded_rgb_sha256" in record)
        if seen.readable[index]:
            assert (seen.widths[index], seen.heights[index]) == (record["width"], record["height"])
            assert seen.channels[index] == record["stored_channels"]
            assert ("jpeg", "png")[seen.formats[index]] == record["format"].lower()


def test_unreadable_images_and_those_that_are_cut_off(tmp_path: Path) -> None:
    pixels = cv2.resize(np.random.default_rng(0).integers(0, 255, (9, 9, 3)).astype(np.uint8), (80, 80))
    jpeg, png = (cv2.imencode(suffix, pixels)[1].tobytes() for suffix in (".jpg", ".png"))
    images = [jpeg, png, jpeg[:-100], png[:-20], b"GIF89a", jpeg[:-2] + b"\xff\xd9\0\0\0", b"", jpeg[:30]]
    with RecordWriter(tmp_path / "x.rec") as writer:
        for number, image in enumerate(images):
            writer.write(number, pack_image(0, image, image_id=number))
    done: list[int] = []
    seen = survey(open_source(tmp_path / "x.rec"), threads=2, progress=done.append)
    assert sum(done) == len(images)
    assert seen.readable.tolist() == [True, True, False, False, False, True, False, False]
    assert [(bad.sample, bad.cut_off) for bad in seen.unreadable] == [
        (2, True), (3, True), (4, False), (6, False), (7, True),
    ]  # fmt: skip
    assert seen.unreadable[0].key == seen.source.key(2)
    assert "GIF" in seen.unreadable[2].reason
    assert (seen.widths[2], seen.hashes[2].tolist()) == (0, [0, 0])
    assert seen.digests[0].tolist() != seen.digests[5].tolist()
    assert seen.hashes[0].tolist() == seen.hashes[5].tolist()
