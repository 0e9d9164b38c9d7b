"""What a report is made from: the files that a run leaves, and the images that it names."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from imclass import artifact
from imclass.errors import ArtifactError, DataError
from imclass.reports.subject import Computing, answers_to, open_run
from imclass.training.answers import FILE, read_answers

CPU = Computing(torch.device("cpu"), 1)


def test_a_run_is_opened_with_all_that_it_left(finished_run: Path) -> None:
    subject = open_run(finished_run, CPU)
    assert subject.notes == ()
    assert subject.class_names == ("bars", "dots", "rings")
    assert [epoch["epoch"] for epoch in subject.history] == [0, 1]
    assert subject.validation is not None
    assert subject.train is not None
    assert subject.train_answers is not None
    assert (len(subject.validation), len(subject.answers)) == (19, 18)
    assert (len(subject.train), len(subject.train_answers)) == (36, 36)


def test_the_kept_answers_are_those_of_the_model(finished_run: Path) -> None:
    subject = open_run(finished_run, CPU)
    assert subject.validation is not None
    again = answers_to(subject.validation, subject.description, subject.network, CPU)
    assert np.array_equal(subject.answers.indices, again.indices)
    assert np.array_equal(subject.answers.labels, again.labels)
    assert np.abs(subject.answers.logits - again.logits).max() < 1e-4


@pytest.mark.parametrize("spoil", ["remove", "other epoch"])
def test_without_answers_the_model_is_asked(run_folder: Path, spoil: str) -> None:
    kept = open_run(run_folder, CPU).answers
    if spoil == "remove":
        (run_folder / FILE).unlink()
    else:
        path = run_folder / FILE
        content = path.read_bytes()
        epoch = artifact.read_description(run_folder / "model.tar.gz").epoch
        assert content.count(f'"epoch":"{epoch}"'.encode()) == 1
        path.write_bytes(content.replace(f'"epoch":"{epoch}"'.encode(), b'"epoch":"9"'))
        assert read_answers(path, 9) is not None
    asked = open_run(run_folder, CPU).answers
    assert np.array_equal(asked.indices, kept.indices)
    assert np.abs(asked.logits - kept.logits).max() < 1e-4


def test_images_that_are_gone_are_noted(run_folder: Path) -> None:
    move_data(run_folder, "/nowhere")
    subject = open_run(run_folder, CPU)
    assert (subject.validation, subject.train, subject.train_answers) == (None, None, None)
    assert len(subject.answers) == 18
    assert subject.notes == ("The images of the run cannot be had any more, so no pictures are shown.",)


def test_without_images_and_answers_there_is_nothing_to_report_on(run_folder: Path) -> None:
    move_data(run_folder, "/nowhere")
    (run_folder / FILE).unlink()
    with pytest.raises(DataError, match="neither answers nor images"):
        open_run(run_folder, CPU)


def test_validation_images_that_have_changed_are_not_shown(run_folder: Path, photos: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(photos, tmp_path / "changed"))
    (changed / "validation" / "bars" / "101.png").rename(changed / "validation" / "rings" / "999.png")
    move_data(run_folder, str(changed))
    subject = open_run(run_folder, CPU)
    assert subject.validation is None
    assert "not those of the run any more" in subject.notes[0]


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not the output folder of a run"):
        open_run(tmp_path, CPU)


def test_damaged_files_are_named(run_folder: Path) -> None:
    with (run_folder / "metrics.jsonl").open("a") as file:
        file.write("{cut")
    with pytest.raises(ArtifactError, match=r"metrics.jsonl: line 3 is not JSON"):
        open_run(run_folder, CPU)


def move_data(run: Path, source: str) -> None:
    """Make a run believe that its images are elsewhere."""
    path = run / "run.json"
    record = json.loads(path.read_text())
    record["data"]["source"] = source
    path.write_text(json.dumps(record))
