"""A channel in Pipe mode, with a writer process; several processes are played by threads with their own seats."""

import logging
import os
import threading
import time
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path

import pytest

from imclass.data import ArrivedSamples, LabelRules, Pass, PipeChannel, Seat
from imclass.errors import DataError
from tests.data.golden_files import write_records
from tests.pipe_writer import writing

RULES = LabelRules("multi-hot", 1000, multi_label=False)
DEADLINE = 60.0


@pytest.fixture
def hundred(tmp_path: Path) -> Path:
    """100 records, whose labels are their numbers."""
    return write_records(tmp_path / "data.rec", list(range(100)))


def one_pass(number: int = 0, samples: int | None = 100, rounds: range | None = range(10), **changes: object) -> Pass:
    values = {"batch_size": 10, "shuffle_buffer": 0, "seed": 1, "rules": RULES, **changes}
    return Pass(number=number, samples=samples, rounds=rounds, **values)  # type: ignore[arg-type]


def numbers(batches: list[ArrivedSamples]) -> list[list[int]]:
    return [batch.labels[:, 0].astype(int).tolist() for batch in batches]


def in_a_row(batches: list[ArrivedSamples]) -> list[int]:
    return list(chain.from_iterable(numbers(batches)))


def channel(tmp_path: Path, deadline_seconds: float = DEADLINE, **options: object) -> PipeChannel:
    return PipeChannel("train", tmp_path / "train", deadline_seconds=deadline_seconds, **options)  # type: ignore[arg-type]


def test_passes_take_the_fifos_in_order(tmp_path: Path, hundred: Path) -> None:
    pipe = channel(tmp_path)
    with writing(hundred, tmp_path / "train", 3) as writer:
        for number in range(3):
            batches = list(pipe.batches(one_pass(number)))
            assert numbers(batches) == [list(range(start, start + 10)) for start in range(0, 100, 10)]
            assert [batch.passes.tolist() for batch in batches] == [[number] * 10] * 10
            assert [index for batch in batches for index in batch.indices] == list(range(100))
        assert writer.wait(10) == 0
    assert batches[0].key(1) == f"train:{hundred.stat().st_size // 100}"


def test_an_epoch_closes_its_fifo_early(tmp_path: Path, hundred: Path) -> None:
    pipe = channel(tmp_path)
    with writing(hundred, tmp_path / "train", 2, "--piece", "100", "--seconds-between", "0.002") as writer:
        for _ in range(2):
            assert numbers(list(pipe.batches(one_pass(samples=25, rounds=range(2))))) == [
                list(range(10)),
                list(range(10, 20)),
            ]
        assert writer.wait(10) == 0


def test_an_epoch_goes_on_with_the_next_fifo(tmp_path: Path, hundred: Path, caplog: pytest.LogCaptureFixture) -> None:
    pipe = channel(tmp_path)
    with writing(hundred, tmp_path / "train", 4), caplog.at_level(logging.WARNING):
        for _ in range(2):
            batches = list(pipe.batches(one_pass(samples=130, rounds=range(13))))
            assert in_a_row(batches) == [*range(100), *range(30)]
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'train_0'} ended after 100 samples, but an epoch takes 130 (num_training_samples): epochs go on "
        "with the next pipe"
    ]


def test_shuffling_depends_on_seed_and_pass_alone(tmp_path: Path, hundred: Path) -> None:
    def order(number: int, *options: str, **changes: object) -> list[int]:
        with writing(hundred, tmp_path / "train", 1, *options):
            return in_a_row(list(channel(tmp_path).batches(one_pass(number, shuffle_buffer=30, **changes))))

    first = order(0)
    assert sorted(first) == list(range(100)) != first
    assert order(0, "--piece", "10", "--seconds-between", "0.001") == first, "a slow writer changes nothing"
    assert order(1) != first
    assert order(0, seed=2) != first
    assert order(0, batch_size=20, rounds=range(5)) == first
    assert order(0, rounds=range(4, 10)) == first[40:], "an interrupted epoch goes on where it was"


def test_augmentation_follows_the_place_in_the_stream(tmp_path: Path, hundred: Path) -> None:
    with writing(hundred, tmp_path / "train", 1):
        batches = list(channel(tmp_path).batches(one_pass(shuffle_buffer=50)))
    assert all(batch.indices.tolist() == batch.labels[:, 0].tolist() for batch in batches)


def test_a_pass_to_the_end_counts(tmp_path: Path, hundred: Path) -> None:
    pipe = channel(tmp_path)
    assert pipe.counted is None
    with writing(hundred, tmp_path / "train", 1):
        batches = list(pipe.batches(one_pass(samples=None, rounds=None, batch_size=30)))
    assert [len(batch.indices) for batch in batches] == [30, 30, 30, 10]
    assert pipe.counted == 100


def test_an_empty_fifo(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    message = r"train_0: Got empty batch from pipe(.|\n)*AttributeNames"
    with writing(tmp_path / "empty", tmp_path / "train", 1), pytest.raises(DataError, match=message):
        list(channel(tmp_path).batches(one_pass()))


def test_a_writer_that_is_killed(tmp_path: Path, hundred: Path) -> None:
    options = ("--piece", "50", "--seconds-between", "0.05")
    with writing(hundred, tmp_path / "train", 1, *options) as writer:
        batches = channel(tmp_path).batches(one_pass(batch_size=2, rounds=range(50)))
        assert numbers([next(batches)]) == [[0, 1]]
        writer.kill()
        with pytest.raises(DataError, match=r"train_0, byte \d+, record \d+: .*(.|\n)*ended early"):
            list(batches)


def test_a_stop_ends_a_pass_after_a_round(tmp_path: Path, hundred: Path) -> None:
    pipe = channel(tmp_path)
    pipe.stop_requested = lambda: True
    os.mkfifo(tmp_path / "train_0")
    began = time.monotonic()
    assert list(pipe.batches(one_pass())) == []
    assert time.monotonic() - began < 5


def test_a_pass_that_is_dropped_leaves_no_thread(tmp_path: Path, hundred: Path) -> None:
    with writing(hundred, tmp_path / "train", 1), closing(channel(tmp_path).batches(one_pass(batch_size=1))) as batches:
        next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("imclass-pipe")]


def in_seats(tmp_path: Path, seats: list[Seat], one: Pass, **options: object) -> list[list[ArrivedSamples]]:
    """What the processes with these seats get; the first error, if any."""
    pipes = [channel(tmp_path, **options) for _ in seats]
    results: list[list[ArrivedSamples] | Exception] = [[] for _ in seats]

    def collect(place: int) -> None:
        try:
            results[place] = list(pipes[place].batches(one))
        except (DataError, RuntimeError) as error:
            results[place] = error

    with ExitStack() as stack:
        addresses = [pipe.listen(seat) for pipe, seat in zip(pipes, seats, strict=True)]
        for place, pipe in enumerate(pipes):
            stack.callback(pipe.close)
            pipe.connect(addresses[place - seats[place].local_rank])
        threads = [threading.Thread(target=collect, args=(place,)) for place in range(len(seats))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    errors = [result for result in results if isinstance(result, Exception)]
    if errors:
        assert all(str(error) == str(errors[0]) for error in errors)
        assert len(errors) == len(seats), "every process of the host learns of it"
        raise errors[0]
    return results  # type: ignore[return-value]


@pytest.mark.parametrize("local", [2, 3])
def test_processes_of_a_host_share_each_batch_as_one_process_sees_it(tmp_path: Path, hundred: Path, local: int) -> None:
    one = one_pass(shuffle_buffer=40)
    with writing(hundred, tmp_path / "train", 1):
        alone = numbers(list(channel(tmp_path).batches(one)))
    with writing(hundred, tmp_path / "train", 1):
        shares = in_seats(tmp_path, [Seat(rank, local, local) for rank in range(local)], one)
    for step, batch in enumerate(alone):
        assert in_a_row([share[step] for share in shares]) == batch
    assert shares[1][0].samples[0].image == b"image"
    assert shares[1][0].key(0).startswith("train:")


def test_evaluation_shows_each_sample_once(tmp_path: Path, hundred: Path) -> None:
    one = one_pass(samples=None, rounds=None, batch_size=21)
    with writing(hundred, tmp_path / "train", 1):
        shares = in_seats(tmp_path, [Seat(rank, 3, 3) for rank in range(3)], one)
    assert sorted(in_a_row(list(chain.from_iterable(shares)))) == list(range(100))


def test_hosts_with_the_same_data_and_hosts_with_their_own(tmp_path: Path, hundred: Path) -> None:
    for is_sharded in (False, True):
        seen, indices = [], []
        for host in range(2):
            with writing(hundred, tmp_path / "train", 1):
                seats = [Seat(2 * host, 4, 2), Seat(2 * host + 1, 4, 2)]
                shares = in_seats(tmp_path, seats, one_pass(shuffle_buffer=20), is_sharded=is_sharded)
                seen.append(sorted(in_a_row(list(chain.from_iterable(shares)))))
                indices += [index for share in shares for batch in share for index in batch.indices]
        assert sorted(indices) == list(range(100)), "no two samples of an epoch are augmented alike"
        if is_sharded:
            assert seen == [list(range(50))] * 2, "each takes half an epoch from its own data"
        else:
            assert sorted(seen[0] + seen[1]) == list(range(100))


def test_all_processes_of_a_host_learn_of_an_error(tmp_path: Path, hundred: Path) -> None:
    content = hundred.read_bytes()
    hundred.write_bytes(content[: len(content) // 2 + 10])
    with writing(hundred, tmp_path / "train", 1), pytest.raises(DataError, match=r"train_0, byte \d+, record 51: "):
        in_seats(tmp_path, [Seat(0, 2, 2), Seat(1, 2, 2)], one_pass())


def test_an_unreadable_image_keeps_its_first_name(tmp_path: Path) -> None:
    pipe = channel(tmp_path)
    path = write_records(tmp_path / "data.rec", [1, 2])
    with writing(path, tmp_path / "train", 1):
        (batch,) = pipe.batches(one_pass(samples=2, rounds=range(1), batch_size=2))
    write_records(path, [3, 2, 1])
    with writing(path, tmp_path / "train", 1):
        pipe._next_fifo = 0
        (again,) = pipe.batches(one_pass(1, samples=3, rounds=range(1), batch_size=3))
    names = [batch.key(0), batch.key(1)]
    assert [again.key(2), again.key(1)] == names
    assert len({again.key(0), *names}) == 3, "an unknown image at a known place is no other image"
