import logging

import pytest

from imclass.errors import DataError
from imclass.images import BadImages


def test_each_image_is_kept_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    bad = BadImages(1.0)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            bad.add("train.rec", "train.rec:80", "truncated")
        bad.add("photos", "train.rec:80", "empty")
    assert bad.entries == [("train.rec", "train.rec:80", "truncated"), ("photos", "train.rec:80", "empty")]
    assert bad.entries[0].reason == "truncated"
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "train.rec:80" in caplog.text


def test_limit_is_a_share_of_the_source() -> None:
    bad = BadImages(0.02)
    for number in range(2):
        bad.add("photos", f"{number}.jpg", "truncated")
    bad.check("photos", 100)
    bad.check("other", 1)
    bad.add("photos", "2.jpg", "a GIF")
    with pytest.raises(DataError, match="3 images of 100 cannot be read") as caught:
        bad.check("photos", 100)
    assert caught.value.where == "photos"
    assert "2.jpg: a GIF" in caught.value.what
    assert "bad_image_limit" in str(caught.value.fix)


def test_limit_zero_fails_at_the_first() -> None:
    bad = BadImages(0.0)
    bad.check("photos", 10)
    bad.add("photos", "a.jpg", "empty")
    with pytest.raises(DataError, match="1 image of 10"):
        bad.check("photos", 10)


def test_twenty_are_listed() -> None:
    bad = BadImages(0.0)
    for number in range(25):
        bad.add("photos", f"{number}.jpg", "empty")
    with pytest.raises(DataError, match="and 5 more"):
        bad.check("photos", 100)


@pytest.mark.parametrize("limit", [-0.1, 1.1])
def test_limit_outside_its_range(limit: float) -> None:
    with pytest.raises(ValueError, match="limit"):
        BadImages(limit)
