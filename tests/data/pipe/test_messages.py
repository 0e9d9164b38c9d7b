"""What the reading process tells the others, byte by byte."""

import numpy as np
import pytest

from imclass.data.pipe.messages import (
    HEAD,
    Kind,
    alive_message,
    end_message,
    error_message,
    read_end,
    read_error,
    read_share,
    share_message,
)
from imclass.data.source import Sample
from imclass.errors import DataError

SHARE = [
    (2**40, Sample("train:ü\udcff", b"", np.array([0.5], np.float32))),
    (0, Sample("", b"image", np.array([], np.float32))),
    (7, Sample("k", bytes(range(256)), np.array([1, 0, 1], np.float32))),
]


def parts(message: bytes) -> tuple[Kind, int, bytes]:
    kind, samples, body_bytes = HEAD.unpack_from(message)
    assert len(message) == HEAD.size + body_bytes
    return Kind(kind), samples, message[HEAD.size :]


def test_a_share_comes_back_as_it_was() -> None:
    kind, samples, body = parts(share_message(SHARE))
    assert (kind, samples) == (Kind.SHARE, 3)
    for (index, sample), (expected_index, expected) in zip(read_share(body, samples), SHARE, strict=True):
        assert (index, sample.key, sample.image) == (expected_index, expected.key, expected.image)
        assert sample.label.dtype == np.float32
        assert sample.label.tolist() == expected.label.tolist()


def test_a_share_that_is_cut_is_no_share() -> None:
    _, samples, body = parts(share_message(SHARE))
    for length in range(len(body)):
        with pytest.raises(RuntimeError, match="share"):
            read_share(body[:length], samples)


def test_the_other_messages() -> None:
    assert parts(alive_message()) == (Kind.ALIVE, 0, b"")
    kind, _, body = parts(end_message(2**33))
    assert (kind, read_end(body)) == (Kind.END, 2**33)
    for error in (DataError("what", where="where", fix="fix"), DataError("what")):
        kind, _, body = parts(error_message(error))
        assert kind is Kind.ERROR
        assert str(read_error(body)) == str(error)
