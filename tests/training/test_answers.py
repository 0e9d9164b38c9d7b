"""The file of the best epoch's answers, and the record of a run."""

import json
from pathlib import Path

import numpy as np
import pytest

from imclass import artifact
from imclass.calibration import fit_temperature
from imclass.errors import DataError
from imclass.hyperparameters import to_strings
from imclass.training import train
from imclass.training.answers import FILE, Answers, joined, read_answers, temperature_of, write_answers
from imclass.training.record import lasting, read_record


def some_answers(indices: list[int]) -> Answers:
    count = len(indices)
    logits = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    return Answers(np.array(indices), logits, np.ones((count, 1), np.float32))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = some_answers([0, 2, 5])
    write_answers(tmp_path / "file", written, epoch=4)
    found = read_answers(tmp_path / "file", 4)
    assert found is not None
    for name in ("indices", "logits", "labels"):
        assert np.array_equal(getattr(found, name), getattr(written, name))
        assert getattr(found, name).dtype == getattr(written, name).dtype
    assert read_answers(tmp_path / "file", 3) is None
    assert read_answers(tmp_path / "none", 4) is None


def test_the_shares_of_processes_come_in_the_order_of_the_source() -> None:
    whole = joined([some_answers([0, 2, 4]), some_answers([1, 3])])
    assert whole.indices.tolist() == [0, 1, 2, 3, 4]
    assert whole.logits[:, 0].tolist() == [0, 0, 3, 3, 6]


@pytest.mark.parametrize("spoil", ["cut", "shape"])
def test_a_damaged_file_is_refused(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "file"
    answers = some_answers([0, 1])
    if spoil == "shape":
        answers = Answers(answers.indices, answers.logits, answers.labels[:1])
    write_answers(path, answers, epoch=1)
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="cannot be read"):
        read_answers(path, 1)


def test_a_run_keeps_its_answers_and_fits_its_temperature(photos: Path, tmp_path: Path) -> None:
    settings = {"image_shape": "3,16,16", "num_layers": 8, "epochs": 2, "mini_batch_size": 12}
    run = train(photos, output=tmp_path / "out", hyperparameters=settings, device="cpu", threads=1, quiet=True)
    description = artifact.read_description(run.model_path)
    answers = read_answers(tmp_path / "out" / FILE, description.epoch)
    assert answers is not None
    right = (answers.logits.argmax(axis=1) == answers.labels[:, 0]).mean()
    assert right == pytest.approx(run.best["validation_accuracy"])
    assert description.temperature == fit_temperature(answers.logits, answers.labels, multi_label=False)

    record = read_record(tmp_path / "out")
    assert dict(record.hyperparameters) == to_strings(run.hyperparameters)
    assert record.class_names == ("bars", "dots", "rings")
    assert (record.train.samples, record.validation.samples) == (58, 14)
    assert record.data.source == str(photos)

    (tmp_path / "out" / FILE).unlink()
    first = run.model_path.read_bytes()
    train(photos, output=tmp_path / "out", hyperparameters=settings, device="cpu", threads=1, quiet=True, resume=True)
    assert run.model_path.read_bytes() == first, "the best weights answer again, and give the same temperature"
    assert (tmp_path / "out" / FILE).exists()


def test_secrets_in_addresses_are_not_kept() -> None:
    assert lasting("https://host/a/train.rec?signature=secret") == "https://host/a/train.rec"
    assert lasting("s3://bucket/what?is.rec") == "s3://bucket/what?is.rec"
    assert lasting(None) is None
    assert lasting(Path("photos")) == str(Path.cwd() / "photos")


def test_a_record_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"format_version": 2}))
    with pytest.raises(DataError, match="format_version"):
        read_record(tmp_path)


def test_answers_that_are_no_numbers_have_no_temperature() -> None:
    answers = some_answers([0, 1])
    answers.logits[0, 0] = np.nan
    assert temperature_of(answers, multi_label=False) is None
