"""Records of a file in their order, beside what MXNet reads and what the reader of streams reads."""

import hashlib

import pytest

from imclass.data import iterate_records
from imclass.errors import DataError
from tests.data.golden_files import RECORDIO, expected, write_records


@pytest.mark.parametrize("name", ["scalar", "multilabel", "varlabel", "magic", "raw"])
def test_records_are_those_that_mxnet_reads(name):
    path = RECORDIO / f"{name}.rec"
    digests = [hashlib.sha256(record).hexdigest() for record in iterate_records(path)]
    assert digests == [record["payload_sha256"] for record in expected(path)]


def test_records_outlive_the_iteration(tmp_path):
    records = list(iterate_records(write_records(tmp_path / "x.rec", [1, 2, 3])))
    assert [bytes(record[-5:]) for record in records] == [b"image"] * 3
    assert all(record.readonly for record in records)


def test_many_short_and_few_long_records_are_found_alike(tmp_path):
    for image in (b"x", b"x" * 5000):
        path = write_records(tmp_path / f"{len(image)}.rec", list(range(300)), image)
        assert [len(record) for record in iterate_records(path)] == [24 + len(image)] * 300


@pytest.mark.parametrize("name", ["bad_magic", "truncated_aligned", "truncated_header", "truncated_unaligned", "empty"])
def test_damage_is_named_with_its_place(name):
    with pytest.raises(DataError) as caught:
        list(iterate_records(RECORDIO / "broken" / f"{name}.rec"))
    assert caught.value.where is not None
    assert f"{name}.rec" in caught.value.where
