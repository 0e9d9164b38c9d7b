"""The report of an inspection."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from imclass.data import RecordWriter, Source, open_pair, open_source, pack_image
from imclass.images.inspection import class_counts, label_problems, overlap, report, untrained_classes
from imclass.images.survey import survey
from tests.data.golden_files import GOLDEN, write_records


def picture(seed: int, side: int = 90) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (9, 9, 3)).astype(np.uint8)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)


def save(path: Path, pixels: np.ndarray, quality: int = 95) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten pictures: one twice in another class, one also as a smaller JPEG, one also as PNG, one damaged."""
    root = tmp_path / "photos"
    for seed in range(5):
        save(root / "cat" / f"{seed}.jpg", picture(seed))
    save(root / "cat" / "1-small.jpg", picture(1, 60), 80)
    save(root / "cat" / "2.png", picture(2))
    (root / "dog").mkdir()
    (root / "dog" / "copy.jpg").write_bytes((root / "cat" / "0.jpg").read_bytes())
    (root / "dog" / "cut.jpg").write_bytes((root / "cat" / "3.jpg").read_bytes()[:-50])
    (root / "dog" / "text.jpg").write_text("no image")
    return root


def test_a_report_names_what_is_wrong(photos: Path) -> None:
    found = report(survey(open_source(photos)))
    assert [(entry.name, entry.images) for entry in found.classes] == [("cat", 7), ("dog", 3)]
    assert found.images == 10
    assert [(image.key, image.truncated) for image in found.unreadable] == [
        ("dog/cut.jpg", True),
        ("dog/text.jpg", False),
    ]
    assert [(group.keys, group.labels_differ) for group in found.exact_duplicates] == [
        (("cat/0.jpg", "dog/copy.jpg"), True)
    ]
    assert [(group.keys, group.labels_differ) for group in found.near_duplicates] == [
        (("cat/1-small.jpg", "cat/1.jpg"), False),
        (("cat/2.jpg", "cat/2.png"), False),
    ]
    assert found.formats == {"jpeg": 7, "png": 1}
    assert found.channels == {3: 8}
    assert found.widths is not None
    assert (found.widths.least, found.widths.median, found.widths.most) == (60, 90, 90)
    assert [(size.width, size.height, size.images) for size in found.sizes] == [(90, 90, 7), (60, 60, 1)]
    assert found.label_problems == ()


def test_images_in_both_data_sets(photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    save(other / "cat" / "new.jpg", picture(77))
    save(other / "cat" / "again.jpg", picture(4, 70), 70)
    save(other / "dog" / "x.jpg", picture(78))
    (other / "dog" / "same.jpg").write_bytes((photos / "cat" / "3.jpg").read_bytes())
    (other / "owl").mkdir()
    save(other / "owl" / "y.jpg", picture(79))
    train, validation = (survey(source) for source in open_pair(photos, other))
    shared = overlap(train, validation)
    assert [(each.first, each.second, each.exact, each.labels_differ) for each in shared] == [
        ("cat/4.jpg", "cat/again.jpg", False, False),
        ("cat/3.jpg", "dog/same.jpg", True, True),
    ]
    reports = report(train), report(validation)
    assert [entry.name for entry in untrained_classes(*reports)] == ["owl"]
    assert untrained_classes(reports[0], reports[0]) == ()


def labelled(path: Path, labels: list) -> Source:
    return open_source(write_records(path, labels))


def test_labels_that_cannot_be(tmp_path: Path) -> None:
    source = labelled(tmp_path / "x.rec", [0, 1, -1, 1.5, 7, 1e9])
    assert [(found.label, found.reason) for found in label_problems(source)] == [
        ((1.5,), "is no whole number"),
        ((-1,), "is negative"),
        ((1e9,), "is not below 100000, the number of classes"),
    ]
    assert [found.label for found in label_problems(source, 2)] == [(1.5,), (-1,), (7,), (1e9,)]
    assert [entry.images for entry in class_counts(source)] == [1, 1, 0, 0, 0, 0, 0, 1]


def test_labels_in_columns(tmp_path: Path) -> None:
    source = labelled(tmp_path / "x.rec", [[1, 0, 1], [0, 0, 2], [1, 0, 0]])
    assert [(found.label, found.reason) for found in label_problems(source)] == [
        ((0, 0, 2), "has values other than 0 and 1")
    ]
    assert len(label_problems(source, 4)) == 4
    assert [entry.images for entry in class_counts(source)] == [2, 0, 2]


def test_labels_of_the_golden_list() -> None:
    source = open_source(GOLDEN / "im2rec" / "multi.rec")
    assert [entry.images for entry in class_counts(source)] == [4, 3, 6]
    assert label_problems(source) == ()


def test_nothing_readable(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "x.rec") as writer:
        writer.write(0, pack_image(0, b"nothing", image_id=0))
    found = report(survey(open_source(tmp_path / "x.rec")))
    assert (found.widths, found.sizes, found.exact_duplicates, found.formats) == (None, (), (), {})
    assert len(found.unreadable) == 1
