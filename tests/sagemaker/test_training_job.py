"""Training jobs in a container of their own: real processes, and a folder in place of /opt/ml."""

import json
import os
import re
import shutil
import signal
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imclass import artifact
from imclass.reports import report_run
from imclass.sagemaker.layout import Layout
from tests.pictures import CLASSES, write_class_folders
from tests.pipe_writer import writing
from tests.sagemaker.job_folder import (
    BRIEF,
    CHANNEL,
    DEADLINE,
    HYPERPARAMETERS,
    metrics,
    run,
    running,
    wait_for_epochs,
    workers_of,
    write_config,
    write_job,
    write_records,
)

pytestmark = pytest.mark.timeout(900)  # several processes that import PyTorch, on perhaps two cores

MakeJob = Callable[..., Layout]
LONG = {**HYPERPARAMETERS, "epochs": "2000"}
# As the logs of the original show them (sagemaker.md, A.11).
LINE = re.compile(r"\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d (INFO|WARNING|ERROR) \d{15}\] .+")
TRAIN_ACCURACY = re.compile(r"Epoch\[\d+\] Train-accuracy=([0-9.]+)")
VALIDATION_ACCURACY = re.compile(r"Epoch\[\d+\] Validation-accuracy=([0-9.]+)")
BATCH = re.compile(
    r"Epoch\[\d+\] Batch \[(\d+)\]\tSpeed: \d+\.\d{3} samples/sec\taccuracy=\d\.\d{6}\ttop_k_accuracy_2=\d\.\d{6}"
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, str]:
    """A job that has come to its end, and its output."""
    settings = {
        **HYPERPARAMETERS,
        "mini_batch_size": "3",
        "top_k": "2",
        "_tuning_objective_metric": "validation:accuracy",
    }
    layout = write_job(tmp_path_factory.mktemp("job") / "ml", hyperparameters=settings)
    status, output = run(layout)
    assert status == 0, output
    return layout, output


def test_the_first_line_and_the_form_of_all_others(finished: tuple[Layout, str]) -> None:
    lines = finished[1].splitlines()
    assert lines[0] == "Docker entrypoint called with argument(s): train"
    assert [line for line in lines[1:] if not LINE.fullmatch(line)] == []


def test_the_lines_come_in_the_original_order(finished: tuple[Layout, str]) -> None:
    layout, output = finished
    beginnings = [
        "Reading default configuration from ",
        f"Merging with provided configuration from {layout.hyperparameters}: {{",
        "Final configuration: {",
        f"Searching for .rec files in {layout.channel('train')}.",
        f"Searching for .rec files in {layout.channel('validation')}.",
        "use_pretrained_model: 0",
        "multi_label: 0",
        "---- Parameters ----",
        "data type: <class 'numpy.float32'>",
        "num_layers: 8",
        "optimizer: sgd",
        "kv_store: device",
        "checkpoint_frequency not set, will store the best model",
        "--------------------",
        "Setting number of threads: ",
        "Epoch[0] Batch [20]\tSpeed: ",
        "Epoch[0] Train-accuracy=",
        "Epoch[0] Train-top_k_accuracy_2=",
        "Epoch[0] Time cost=",
        "Epoch[0] Validation-accuracy=",
        "Storing the best model with validation accuracy: ",
        'Saved checkpoint to "',
        "Epoch[1] Batch [20]\tSpeed: ",
    ]
    places = [output.find(f"] {beginning}") for beginning in beginnings]
    assert -1 not in places, beginnings[places.index(-1)]
    assert places == sorted(places)


def test_public_metric_expressions_find_every_epoch(finished: tuple[Layout, str]) -> None:
    layout, output = finished
    written = metrics(layout)
    assert len(written) == 3
    for expression, name in ((TRAIN_ACCURACY, "train_accuracy"), (VALIDATION_ACCURACY, "validation_accuracy")):
        found = [float(value) for value in expression.findall(output)]
        assert found == pytest.approx([line[name] for line in written], abs=5e-7)
    assert BATCH.findall(output) == ["20"] * 3


def test_the_model_folder_holds_what_a_model_file_holds(finished: tuple[Layout, str]) -> None:
    layout, _ = finished
    assert sorted(file.name for file in layout.model.iterdir()) == ["model.json", "model.safetensors"]
    description, network = artifact.load(layout.model)
    assert description.num_classes == 3
    best = max(metrics(layout), key=lambda line: line["validation_accuracy"])
    assert description.metrics["validation_accuracy"] == best["validation_accuracy"]
    assert sum(parameter.numel() for parameter in network.parameters()) > 1000
    assert not (layout.checkpoints / "model.tar.gz").exists()


def test_reports_are_in_output_data(finished: tuple[Layout, str]) -> None:
    layout, _ = finished
    assert (layout.output_data / "metrics.jsonl").read_text() == (layout.checkpoints / "metrics.jsonl").read_text()
    assert (layout.output_data / "bad_images.jsonl").read_text() == ""
    assert len(list((layout.output_data / "tensorboard").glob("events*"))) == 1
    assert not layout.failure.exists()


def test_a_report_is_made_of_what_the_platform_keeps(finished: tuple[Layout, str], tmp_path: Path) -> None:
    layout, _ = finished
    job = Path(shutil.copytree(layout.output_data, tmp_path / "job"))
    with tarfile.open(job / "model.tar.gz", "w:gz") as model:  # as the platform packs the folder
        model.add(layout.model, arcname=".")
    report_run(job, device="cpu", threads=1)
    text = (job / "report.html").read_text()
    assert 'id="training"' in text
    assert 'id="label-errors"' in text
    assert "--channel" in text


def test_a_finished_job_that_is_started_again_leaves_the_model_again(finished: tuple[Layout, str]) -> None:
    layout, _ = finished
    before = (layout.model / "model.safetensors").read_bytes()
    (layout.model / "model.safetensors").unlink()
    status, output = run(layout)
    assert status == 0, output
    assert "Epoch[" not in output
    assert (layout.model / "model.safetensors").read_bytes() == before


def test_lists_of_images_with_a_content_type_that_nobody_registered(tmp_path: Path) -> None:
    names = ("train", "validation", "train_lst", "validation_lst")
    channel = {**CHANNEL, "ContentType": "application/jpeg", "TrainingInputMode": "FastFile"}
    settings = {**HYPERPARAMETERS, "epochs": "1"}
    layout = write_config(tmp_path / "ml", settings, channels=dict.fromkeys(names, channel))
    for split, count in (("train", 24), ("validation", 8)):
        write_class_folders(layout.channel(split), count + 2)  # more than the list names
        rows = [
            f"{index}\t{kind:.6f}\t{name}/{number:03d}.png\n"
            for index, (number, (kind, name)) in enumerate(
                (number, one) for number in range(count) for one in enumerate(CLASSES)
            )
        ]
        layout.channel(f"{split}_lst").mkdir()
        (layout.channel(f"{split}_lst") / f"{split}.lst").write_text("".join(rows))
    status, output = run(layout)
    assert status == 0, output
    assert f"Searching for .lst files in {layout.channel('train_lst')}." in output
    assert "72 training images, 24 validation images" in output


def test_pipe_mode_in_two_processes(tmp_path: Path) -> None:
    channel = {**CHANNEL, "TrainingInputMode": "Pipe"}
    layout = write_config(tmp_path / "ml", channels={"train": channel, "validation": channel})
    train = write_records(tmp_path / "train.rec", 24)
    validation = write_records(tmp_path / "validation.rec", 8, first=100)
    layout.channel("").mkdir()
    with writing(train, layout.channel("train"), 10), writing(validation, layout.channel("validation"), 10):
        status, output = run(layout, IMCLASS_PROCESSES_PER_HOST="2")
    assert status == 0, output
    assert f"The channel 'train' is in pipe input mode under {layout.channel('train')}." in output
    assert "2 processes on 1 machines" in output
    assert len(VALIDATION_ACCURACY.findall(output)) == 3, "one process of a host does the talking"
    assert artifact.read_description(layout.model).num_classes == 3


def test_sigterm_leaves_a_complete_model_and_the_job_goes_on(make_job: MakeJob) -> None:
    layout = make_job(hyperparameters=LONG)
    with running("train", layout) as process:
        wait_for_epochs(process, layout, 2)
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=DEADLINE)
        assert time.monotonic() - asked < 60
    assert process.returncode == 0, output
    assert artifact.load(layout.model)[0].epoch >= 1
    assert not layout.failure.exists()
    done = len(metrics(layout))
    write_config(layout.root, {**LONG, "epochs": str(done + 1)})
    status, output = run(layout)
    assert status == 0, output
    assert f"Resuming after epoch {done}" in output
    assert len(metrics(layout)) == done + 1


def test_a_step_that_does_not_end_leaves_the_model_of_the_best_epoch(make_job: MakeJob) -> None:
    layout = make_job(hyperparameters=LONG)
    impatient = f"from imclass.sagemaker import supervision; supervision.STOP_SECONDS = 2.0; {BRIEF}"
    with running("train", layout, program=impatient) as process:
        wait_for_epochs(process, layout, 2)
        [worker] = workers_of(process)
        os.kill(worker, signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, output
    assert "takes longer than 2 seconds" in output
    description, _ = artifact.load(layout.model)
    accuracies = [line["validation_accuracy"] for line in metrics(layout)]
    assert description.metrics["validation_accuracy"] in accuracies
    assert description.epoch == accuracies.index(description.metrics["validation_accuracy"]) + 1


def test_sigterm_before_training_is_no_success(tmp_path: Path) -> None:
    channel = {**CHANNEL, "TrainingInputMode": "Pipe"}
    layout = write_config(tmp_path / "ml", channels={"train": channel, "validation": CHANNEL})
    write_records(layout.channel("validation") / "validation.rec", 8)
    (layout.channel("validation") / "validation.rec").unlink()
    os.mkfifo(layout.channel("validation") / "validation.rec")  # nobody writes: the job hangs before it trains
    with running("train", layout) as process:
        deadline = time.monotonic() + DEADLINE
        while not workers_of(process):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 143, output
    assert "Stopped before there was a model" in output
    assert not layout.model.exists()


def test_a_killed_container_leaves_no_process_and_its_successor_goes_on(make_job: MakeJob) -> None:
    layout = make_job(hyperparameters=LONG)
    with running("train", layout, IMCLASS_PROCESSES_PER_HOST="2") as process:
        wait_for_epochs(process, layout, 2)
        workers = workers_of(process)
        assert len(workers) == 2
        process.kill()
        process.wait(timeout=DEADLINE)
        deadline = time.monotonic() + 20
        while any(is_alive(worker) for worker in workers):
            assert time.monotonic() < deadline, "the training processes outlive their parent"
            time.sleep(0.05)
    done = len(metrics(layout))
    write_config(layout.root, {**LONG, "epochs": str(done + 1)})
    status, output = run(layout, IMCLASS_PROCESSES_PER_HOST="2")
    assert status == 0, output
    assert re.search(rf"Resuming after epoch ({done}|{done - 1}),", output), "metrics are written before the checkpoint"
    assert len(metrics(layout)) == done + 1


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_process_that_dies_fails_the_job_with_a_reason(make_job: MakeJob) -> None:
    layout = make_job(hyperparameters=LONG)
    with running("train", layout, IMCLASS_PROCESSES_PER_HOST="2") as process:
        wait_for_epochs(process, layout, 1)
        os.kill(workers_of(process)[1], signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    reason = layout.failure.read_text()
    assert reason.startswith("AlgorithmError: a training process was killed (SIGKILL), most likely because the memory")
    assert "] Algorithm Error: a training process was killed" in output
    assert (layout.output_data / "metrics.jsonl").exists()


def test_what_the_user_can_put_right_is_a_client_error(make_job: MakeJob) -> None:
    layout = make_job()
    (layout.channel("train") / "train.idx").unlink()
    (layout.channel("train") / "train.rec").write_bytes(b"no record at all")
    status, output = run(layout)
    assert status == 2
    reason = layout.failure.read_text()
    assert reason.startswith("ClientError: ")
    assert "train.rec" in reason[:1024]
    assert "Traceback" not in output
    assert re.search(r"ERROR \d{15}\] Customer Error: .*train\.rec", output)
    assert not layout.model.exists()


def test_a_wrong_job_is_refused_at_once_with_all_that_is_wrong(tmp_path: Path) -> None:
    layout = write_config(
        tmp_path / "ml", {**HYPERPARAMETERS, "learning_rat": "2", "optimizer": "sdg"}, channels={"train": CHANNEL}
    )
    (layout.root / "input/config/resourceconfig.json").write_text(json.dumps({"current_host": "algo-1"}))
    status, _ = run(layout)
    assert status == 2
    reason = layout.failure.read_text()
    for said in ("ClientError: ", "learning_rate", "sgd", "no validation channel", "hosts must be a list of names"):
        assert said in reason[:1024]
