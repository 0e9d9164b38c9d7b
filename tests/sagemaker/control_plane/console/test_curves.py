"""Curves read from logs."""

import math
from pathlib import Path

from imclass.sagemaker.control_plane.console.curves import MOST_JOBS, MOST_METRICS, CurveReader, Progress
from imclass.sagemaker.control_plane.store.log_files import LogWriter

PREFIX = "[11/23/2026 14:06:21 INFO 140439393139584] "


def write(file: Path, *lines: str) -> None:
    with LogWriter(file) as log:
        for line in lines:
            log.write(f"{PREFIX}{line}".encode())


def test_curves_grow_with_their_log(tmp_path: Path) -> None:
    reader, log = CurveReader(), tmp_path / "a.log"
    write(log, "Epoch[0] Batch [20]\tSpeed: 189.789 samples/sec\taccuracy=0.98", "Epoch[0] Train-accuracy=0.25")
    first = reader.read("job", [log])
    assert first.metrics() == ["accuracy"]
    assert first.of("accuracy", "Train") == {0: 0.25}
    assert first.of("accuracy", "Validation") == {}
    assert first.progress == Progress(0, 20, 189.789)
    write(log, "Epoch[0] Validation-accuracy=0.5", "Epoch[0] Train-cross-entropy=1.5", "Epoch[1] Train-accuracy=0.75")
    second = reader.read("job", [log])
    assert second.metrics() == ["accuracy", "cross-entropy"]
    assert second.of("accuracy", "Train") == {0: 0.25, 1: 0.75}
    assert second.of("accuracy", "Validation") == {0: 0.5}
    assert first.of("accuracy", "Train") == {0: 0.25}, "what was read does not change"


def test_a_job_that_began_again_goes_on_where_it_was(tmp_path: Path) -> None:
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    write(logs[0], "Epoch[0] Train-accuracy=0.1", "Epoch[1] Train-accuracy=0.2")
    write(logs[1], "Epoch[1] Train-accuracy=0.3", "Epoch[2] Train-accuracy=0.4")
    assert CurveReader().read("job", logs).of("accuracy", "Train") == {0: 0.1, 1: 0.3, 2: 0.4}


def test_values_that_are_no_finite_numbers_are_not_drawn(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    write(
        log, "Epoch[0] Train-loss=nan", "Epoch[1] Train-loss=inf", "Epoch[2] Train-loss=many", "Epoch[3] Train-loss=2"
    )
    curves = CurveReader().read("job", [log])
    assert curves.of("loss", "Train") == {3: 2.0}
    assert math.isnan(curves.values["loss", "Train"][0])
    assert 2 not in curves.values["loss", "Train"]


def test_neither_metrics_nor_jobs_grow_without_end(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    write(log, *(f"Epoch[0] Train-metric{number}=1" for number in range(100)))
    reader = CurveReader()
    assert len(reader.read("first", [log]).values) == MOST_METRICS
    for number in range(2 * MOST_JOBS):
        reader.read(f"job {number}", [])
    assert len(reader._jobs) == MOST_JOBS
