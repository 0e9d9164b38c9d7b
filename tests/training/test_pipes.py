"""Training and validation through pipes, as a user starts them."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from imclass.data import RecordWriter, open_source, pack_image
from imclass.errors import DataError, HyperparameterError, UserError
from imclass.training import Run, train
from imclass.training.model_evaluation import evaluate_model
from tests.pipe_writer import writing

SETTINGS = {
    "image_shape": "3,16,16",
    "num_layers": "8",
    "num_classes": "3",
    "num_training_samples": "72",
    "epochs": "3",
    "mini_batch_size": "12",
    "learning_rate": "0.01",
    "augmentation_type": "crop",
    "pad_size": "2",
    "seed": "5",
    "shuffle_buffer": "40",
}
PIPES = {name: {"TrainingInputMode": "Pipe"} for name in ("train", "validation")}
DEADLINE = 180.0


def write_rec(folders: Path, path: Path, *, multi_hot: bool = False) -> Path:
    """The pictures of class folders as image records, in a mixed order."""
    source = open_source(folders)
    with RecordWriter(path) as writer:
        for number in range(len(source)):
            sample = source[number * 7 % len(source)]
            kind = int(sample.label[0])
            label = [float(kind == one) for one in range(3)] if multi_hot else float(kind)
            writer.write(number, pack_image(label, sample.image, number))
    return path


def write_manifest_stream(folders: Path, path: Path, labels: dict[int, str]) -> Path:
    """What a platform makes of an augmented manifest: an image record, a label record, and so on."""
    source = open_source(folders)
    with RecordWriter(path) as writer:
        for number in range(len(source)):
            sample = source[number * 7 % len(source)]
            writer.write(2 * number, sample.image)
            writer.write(2 * number + 1, labels[int(sample.label[0])].encode())
    return path


@pytest.fixture
def data(photos: Path, more_photos: Path, tmp_path: Path) -> dict[str, Path]:
    """72 training and 24 validation pictures as RecordIO files."""
    return {
        "train": write_rec(photos, tmp_path / "train.rec"),
        "validation": write_rec(more_photos, tmp_path / "validation.rec"),
    }


@contextmanager
def fed(data: dict[str, Path], folder: Path, fifos: int, *options: str) -> Iterator[dict[str, Path]]:
    """Writers for the channels while the block lasts; gives the channels' paths."""
    folder.mkdir()
    with ExitStack() as stack:
        for name, path in data.items():
            stack.enter_context(writing(path, folder / name, fifos, *options))
        yield {name: folder / name for name in data}


def run(channels: dict[str, Path], output: Path, **changes: object) -> Run:
    options: dict[str, object] = {"input_data_config": PIPES, "pipe_deadline": 60.0}
    hyperparameters = {**SETTINGS, **changes.pop("settings", {})}  # type: ignore[dict-item]
    return train(
        channels=channels, output=output, hyperparameters=hyperparameters, device="cpu", threads=1, quiet=True,
        **{**options, **changes},
    )  # type: ignore[arg-type]  # fmt: skip


def curve(metrics: list[dict[str, float]]) -> list[tuple[float, float]]:
    return [(line["train_loss"], line["validation_loss"]) for line in metrics]


def test_a_run_repeats_itself_and_validates_on_every_image(tmp_path: Path, data: dict[str, Path]) -> None:
    with fed(data, tmp_path / "a", 3) as channels:
        first = run(channels, tmp_path / "one")
    with fed(data, tmp_path / "b", 3, "--piece", "1000", "--seconds-between", "0.005") as channels:
        second = run(channels, tmp_path / "two")
    assert curve(first.metrics) == curve(second.metrics), "a slow writer changes nothing"
    report = evaluate_model(first.model_path, data["validation"], device="cpu", threads=1)
    assert report.samples == 24
    assert report.accuracy == first.best["validation_accuracy"]
    assert report.loss == pytest.approx(first.best["validation_loss"], rel=1e-5)


def test_the_original_s_files_are_written_though_the_images_are_gone(tmp_path: Path, data: dict[str, Path]) -> None:
    with fed(data, tmp_path / "a", 1) as channels:
        first = run(channels, tmp_path / "one", settings={"artifact_format": "mxnet", "epochs": "1"})
    with tarfile.open(first.model_path) as archive:
        assert "image-classification-0001.params" in archive.getnames()
    report = evaluate_model(first.model_path, data["validation"], device="cpu", threads=1)
    assert report.accuracy == first.best["validation_accuracy"]


def test_in_the_order_of_the_stream_file_mode_gives_the_same_pixels(tmp_path: Path, data: dict[str, Path]) -> None:
    settings = {"shuffle_buffer": "0", "mini_batch_size": "72", "epochs": "1", "learning_rate": "0"}
    with fed(data, tmp_path / "a", 1) as channels:
        piped = run(channels, tmp_path / "pipe", settings=settings)
    filed = run(dict(data), tmp_path / "file", settings=settings, input_data_config=None)
    # One batch of all images: their order does not matter, what augmentation did to each of them does.
    for name in ("train_loss", "validation_loss"):
        assert piped.metrics[0][name] == pytest.approx(filed.metrics[0][name], rel=1e-5)


@pytest.mark.parametrize(
    ("content_type", "labels", "settings"),
    [
        ("application/x-recordio", {0: "0", 1: '"1"', 2: "2"}, {}),
        ("application/x-image", {0: "[1, 0, 0]", 1: "[0, 1, 0]", 2: '"[1, 0, 1]"'}, {"multi_label": "1"}),
        ("application/x-recordio; label-format=class-id", {0: "[0]", 1: "1", 2: "[0, 2]"}, {"multi_label": "1"}),
    ],
)
def test_augmented_manifests(
    tmp_path: Path, photos: Path, content_type: str, labels: dict[int, str], settings: dict[str, str]
) -> None:
    data = {name: write_manifest_stream(photos, tmp_path / f"{name}.rec", labels) for name in ("train", "validation")}
    config = {name: {**PIPES[name], "ContentType": content_type, "RecordWrapperType": "RecordIO"} for name in data}
    with fed(data, tmp_path / "a", 2) as channels:
        done = run(channels, tmp_path / "out", settings={"epochs": "2", **settings}, input_data_config=config)
    assert len(done.metrics) == 2
    assert ("validation_mean_average_precision" in done.metrics[0]) == bool(settings)


def test_multi_hot_records(tmp_path: Path, photos: Path) -> None:
    path = write_rec(photos, tmp_path / "multi.rec", multi_hot=True)
    with fed({"train": path, "validation": path}, tmp_path / "a", 1) as channels:
        run(channels, tmp_path / "out", settings={"epochs": "1", "multi_label": "1"})
    with (
        fed({"train": path, "validation": path}, tmp_path / "b", 1) as channels,
        pytest.raises(DataError, match=r"train: samples have 3 label columns(.|\n)*multi_label=1"),
    ):
        run(channels, tmp_path / "wrong", settings={"epochs": "1"})


def test_validation_alone_may_be_a_pipe_and_so_may_training(tmp_path: Path, data: dict[str, Path]) -> None:
    for piped in data:
        with fed({piped: data[piped]}, tmp_path / piped, 1) as channels:
            done = run(
                {**data, **channels},
                tmp_path / f"out-{piped}",
                settings={"epochs": "1"},
                input_data_config={piped: PIPES[piped]},
            )
        assert len(done.metrics) == 1


def test_labels_that_do_not_fit_are_named(tmp_path: Path, data: dict[str, Path]) -> None:
    with (
        fed(data, tmp_path / "a", 1) as channels,
        pytest.raises(DataError, match=r"train: \d+ of 12 samples have labels outside 0\.\.1(.|\n)*train:\d+: label 2"),
    ):
        run(channels, tmp_path / "out", settings={"num_classes": "2"})


def test_unreadable_images_are_counted_once_over_all_epochs(tmp_path: Path, data: dict[str, Path]) -> None:
    for path, broken in ((data["train"], 3), (data["validation"], 2)):
        content = path.read_bytes()
        for _ in range(broken):  # the signature of the first pictures that still have one
            content = content.replace(b"\x89PNG", b"gone", 1)
        path.write_bytes(content)
    with fed(data, tmp_path / "a", 3) as channels:
        done = run(channels, tmp_path / "out", settings={"bad_image_limit": "0.1"})
    assert [line["bad_images"] for line in done.metrics] == [5, 5, 5]
    with (
        fed(data, tmp_path / "b", 3) as channels,
        pytest.raises(DataError, match=r"validation: 2 images of 24 cannot be read; bad_image_limit 0\.05 allows 1"),
    ):
        run(channels, tmp_path / "failed", settings={"bad_image_limit": "0.05"})


def test_what_pipe_mode_needs_and_cannot_do_is_said_at_once(tmp_path: Path) -> None:
    missing = {name: tmp_path / name for name in PIPES}
    settings = {"num_classes": None, "num_training_samples": None, "class_weights": "balanced"}
    with pytest.raises(HyperparameterError) as caught:
        run(missing, tmp_path / "out", settings=settings)
    assert all(name in str(caught.value) for name in settings)
    with pytest.raises(HyperparameterError, match="use_weighted_loss=1 counts the labels"):
        run(missing, tmp_path / "out", settings={"multi_label": "1", "use_weighted_loss": "1"})
    with pytest.raises(UserError, match="validation_split divides files"):
        run(
            {"train": missing["train"]},
            tmp_path / "out",
            input_data_config={"train": PIPES["train"]},
            validation_split=0.2,
        )
    with pytest.raises(UserError, match="the train channel in Pipe mode is an address"):
        run({**missing, "train": "s3://bucket/train"}, tmp_path / "out")
    with pytest.raises(DataError, match="there is no validation channel"):
        run({"train": missing["train"]}, tmp_path / "out", input_data_config={"train": PIPES["train"]})
    with pytest.raises(DataError, match=r"train_0: there is no such pipe, after waiting 0\.3 seconds"):
        run(missing, tmp_path / "out", pipe_deadline=0.3)


def command(channels: dict[str, Path], output: Path, *options: str, **settings: str) -> list[str]:
    """`imclass train` in Pipe mode."""
    values = [text for name, value in {**SETTINGS, **settings}.items() for text in ("--set", f"{name}={value}")]
    paths = [text for name, path in channels.items() for text in ("--channel", f"{name}={path}")]
    return [
        *("-m", "imclass", "train", *paths, "--input-mode", "Pipe", "--output", str(output)),
        *("--device", "cpu", "--threads", "1", "--pipe-deadline", "100", "--no-report", *options, *values),
    ]


def start(arguments: list[str], processes: int) -> subprocess.Popen[str]:
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.Popen(
        [sys.executable, *(several if processes > 1 else []), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], deadline: float = DEADLINE) -> str:
    try:
        printed, _ = process.communicate(timeout=deadline)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return printed


def metrics(output: Path) -> list[dict[str, float]]:
    path = output / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for_an_epoch(process: subprocess.Popen[str], output: Path) -> None:
    until = time.monotonic() + DEADLINE
    while not metrics(output):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.05)


def test_two_processes_on_one_pipe_give_the_curve_of_one(tmp_path: Path, data: dict[str, Path]) -> None:
    settings = {"sync_batch_norm": "1"}
    with fed(data, tmp_path / "a", 3) as channels:
        process = start(command(channels, tmp_path / "two", **settings), 2)
        printed = finish(process)
        assert process.returncode == 0, printed
    with fed(data, tmp_path / "b", 3) as channels:
        one = run(channels, tmp_path / "one", settings=settings)
    for both in zip(curve(metrics(tmp_path / "two")), curve(one.metrics), strict=True):
        assert both[0] == pytest.approx(both[1], rel=2e-3)
    report = evaluate_model(tmp_path / "two/model.tar.gz", data["validation"], device="cpu", threads=1)
    best = max(metrics(tmp_path / "two"), key=lambda line: line["validation_accuracy"])
    assert report.accuracy == best["validation_accuracy"], "each validation image counted once"


def test_an_error_ends_all_processes(tmp_path: Path, data: dict[str, Path]) -> None:
    content = data["train"].read_bytes()
    data["train"].write_bytes(content[: len(content) // 2 + 10])
    with fed(data, tmp_path / "a", 1) as channels:
        process = start(command(channels, tmp_path / "out"), 2)
        printed = finish(process)
    assert process.returncode != 0
    assert "train_0, byte" in printed
    assert "Traceback" not in printed.partition("imclass: error")[2].partition("\n")[0]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_stop_does_not_wait_for_a_silent_pipe_and_the_run_goes_on_later(
    tmp_path: Path, data: dict[str, Path], processes: int
) -> None:
    with fed(data, tmp_path / "a", 1) as channels:
        process = start(command(channels, tmp_path / "out"), processes)
        wait_for_an_epoch(process, tmp_path / "out")
        time.sleep(1.0)  # by now the second epoch waits for a pipe that nobody makes
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        printed = finish(process, 60)
    assert time.monotonic() - began < 50, printed
    assert process.returncode == (143 if processes == 1 else 1), "torchrun has a status of its own"
    assert (tmp_path / "out/model.tar.gz").exists()
    if processes > 1:
        return  # the rest would be the same
    with fed(data, tmp_path / "b", 2) as channels:
        resumed = run(channels, tmp_path / "out", resume=True)
    with fed(data, tmp_path / "c", 3) as channels:
        whole = run(channels, tmp_path / "whole")
    for both in zip(curve(resumed.metrics), curve(whole.metrics), strict=True):
        assert both[0] == pytest.approx(both[1], rel=1e-6), "as if it had never been stopped"
