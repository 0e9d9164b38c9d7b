"""FIFOs that are fed, and read as a training process reads them."""

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imclass.data.pipe.fifo import open_fifo
from imclass.data.recordio_writer import encode_record
from imclass.sagemaker.control_plane.jobs.pipes import Feeder, Part, PipePlan, read_plans, write_plans

SECONDS = 20.0


@contextmanager
def feeding(plan: PipePlan) -> Iterator[Feeder]:
    feeder = Feeder(plan)
    feeder.start()
    try:
        yield feeder
    finally:
        feeder.close()


def files(folder: Path, *contents: bytes) -> list[list[Part]]:
    items = []
    for number, content in enumerate(contents):
        (folder / str(number)).write_bytes(content)
        items.append([Part(file=str(folder / str(number)))])
    return items


def read(plan: PipePlan, number: int, size: int = -1) -> bytes:
    with open_fifo(plan.fifo(number), SECONDS) as stream:
        return stream.read(size)


def test_each_fifo_holds_everything_in_order(tmp_path: Path) -> None:
    plan = PipePlan(str(tmp_path / "channels/train"), files(tmp_path, b"first ", b"second ", b"third"))
    with feeding(plan):
        assert [read(plan, number) for number in range(3)] == [b"first second third"] * 3


def test_a_reader_that_has_enough_gets_the_next_from_the_beginning(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40_000  # more than a pipe holds
    plan = PipePlan(str(tmp_path / "train"), files(tmp_path, content))
    with feeding(plan) as feeder:
        assert read(plan, 0, 10) == content[:10]
        assert read(plan, 1) == content
        assert feeder.failure is None


def test_records_are_wrapped_and_decompressed(tmp_path: Path) -> None:
    items = files(tmp_path, gzip.compress(b"first"), gzip.compress(b"second"))
    items.append([Part(text='"3"')])
    plan = PipePlan(str(tmp_path / "train"), items, is_compressed=True, is_wrapped=True)
    with feeding(plan):
        assert read(plan, 0) == encode_record(b"first") + encode_record(b"second") + encode_record(b'"3"')


def test_the_order_depends_on_seed_and_epoch_alone(tmp_path: Path) -> None:
    items = [[Part(text=str(number))] for number in range(40)]
    plain = PipePlan("x", items)
    shuffled = [PipePlan("x", items, seed=7).epoch(number) for number in range(3)]
    assert plain.epoch(0) == plain.epoch(1) == items
    assert shuffled == [PipePlan("x", items, seed=7).epoch(number) for number in range(3)]
    assert shuffled[0] != shuffled[1] != shuffled[2] != items
    assert PipePlan("x", items, seed=8).epoch(0) != shuffled[0]
    for epoch in shuffled:
        assert sorted(epoch, key=str) == sorted(items, key=str)


@pytest.mark.parametrize("seed", [None, 3])
def test_hosts_share_each_epoch(seed: int | None) -> None:
    items = [[Part(text=str(number))] for number in range(11)]
    for epoch in range(2):
        shares = [PipePlan("x", items, seed=seed, host=host, hosts=3).epoch(epoch) for host in range(3)]
        assert [len(share) for share in shares] == [4, 4, 3]
        assert sorted(str(item) for share in shares for item in share) == sorted(map(str, items))


def test_damaged_data_is_told_and_never_looks_like_the_end(tmp_path: Path) -> None:
    items = files(tmp_path, gzip.compress(b"whole"), gzip.compress(bytes(100_000))[:-20])
    plan = PipePlan(str(tmp_path / "train"), items, is_compressed=True)
    with feeding(plan) as feeder, open_fifo(plan.fifo(0), SECONDS) as stream:
        deadline = time.monotonic() + SECONDS
        while feeder.failure is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert "the data of the channel train cannot be sent: Compressed file ended" in feeder.failure
        assert not plan.fifo(2).exists()
        stream.read1(1)  # what was sent before is there; an end would end a read of everything
        assert plan.fifo(0).exists()


def test_nobody_reads(tmp_path: Path) -> None:
    began = time.monotonic()
    with feeding(PipePlan(str(tmp_path / "train"), files(tmp_path, b"x"))):
        pass
    assert time.monotonic() - began < 2


def test_plans_are_kept(tmp_path: Path) -> None:
    plans = [PipePlan("a", [[Part(file="x"), Part(text="ü")]], seed=3), PipePlan("b", [], True, True, None, 1, 2)]
    write_plans(tmp_path / "pipes.json", plans)
    assert read_plans(tmp_path / "pipes.json") == plans
    assert read_plans(tmp_path / "nothing.json") == []
