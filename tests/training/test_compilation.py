"""When the network is compiled, and that it learns the same then.

Most tests compile without generating code (torch's backend aot_eager), which takes the same way through tracing and
differentiation in a fraction of the time.
"""

import functools
import logging
import subprocess
from pathlib import Path

import pytest
import torch
from triton.runtime.errors import PTXASError

from imclass.data import open_source
from imclass.hyperparameters import Hyperparameters, parse
from imclass.models import build
from imclass.models.convolution import Conv2d
from imclass.training import train
from imclass.training.compilation import CompiledUpdate, Kernels, compile_update, reason_against, rehearse
from imclass.training.job import Job
from imclass.training.loop import set_training_mode
from imclass.training.preparation import prepare
from imclass.training.process_group import Processes
from imclass.training.step import AUTOCAST, Training, Update, update

CPU = torch.device("cpu")
ALONE = Processes(0, 1, 0, 1, CPU)
RAW = {"num_classes": 3, "num_training_samples": 72, "num_layers": 8, "image_shape": "3,16,16", "mini_batch_size": 12}

SETTINGS = {
    "recipe": "sagemaker",
    "image_shape": "3,16,16",
    "num_layers": 8,
    "epochs": 2,
    "mini_batch_size": 12,
    "learning_rate": 0.05,
}


def settings_of(**changes: object) -> Hyperparameters:
    return parse({**RAW, **changes})


def prepared(photos: Path, output: Path, **changes: object) -> Training:
    source = open_source(photos)
    network = str(changes.pop("network", "resnet_v2"))
    training = prepare(Job(source, source, settings_of(**changes), network, None, output), ALONE)
    set_training_mode(training, epoch=0)
    return training


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMCLASS_CACHE", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))


@pytest.fixture
def interpreted() -> None:
    """Triton's interpreter runs the kernels, which are imported for it when they are first called."""
    if torch.cuda.is_available():
        pytest.skip("the kernels of this process are the GPU's, see test_gpu")


def random_batch(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 3, (count, 1), generator=generator).float()
    return images.contiguous(memory_format=torch.channels_last), labels


# ------------------------------------------------------------------------------------------------- the rule

ON_GPU = Processes(0, 1, 0, 1, torch.device("cuda", 0))


@pytest.mark.parametrize(
    ("changes", "processes", "reason"),
    [
        ({"compile": "off"}, ON_GPU, "compile=off"),
        ({}, ON_GPU, None),
        ({}, ALONE, "compile=auto compiles on a GPU only"),
        ({"compile": "on"}, ALONE, None),
        ({"sync_batch_norm": True}, Processes(0, 2, 0, 2, torch.device("cuda", 0)), "exchanges statistics"),
        ({"compile": "on", "sync_batch_norm": True}, Processes(0, 2, 0, 2, CPU), "exchanges statistics"),
        ({"compile": "on", "sync_batch_norm": True}, ALONE, None),
    ],
)
def test_runs_that_are_compiled(changes: dict[str, object], processes: Processes, reason: str | None) -> None:
    said = reason_against(settings_of(**changes), processes)
    assert said == reason if reason is None else reason in str(said)


def test_without_triton_a_gpu_takes_the_network_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert reason_against(settings_of(), ON_GPU) == "Triton is not installed"


# --------------------------------------------------------------------------------------------- imclass's kernels


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("network", ["resnet_v2", "resnet_v1"])
def test_steps_in_kernels_learn_as_plain_ones_do(photos: Path, tmp_path: Path, network: str) -> None:
    states, losses = [], []
    for mode in ("off", "auto"):
        training = prepared(photos, tmp_path, compile=mode, network=network)
        step: Update = update
        if mode == "auto":
            fast = Kernels(training.model, tmp_path, None)
            assert rehearse(training, fast, random_batch(12)[0]) is None
            step = CompiledUpdate(fast, torch.Size((12, 3, 16, 16)), torch.uint8, 0.0)
        for size in (12, 5):  # 5: some images cannot be read
            training.optimizer.begin(0.01)
            losses.append(step(training, *random_batch(size), None)[1].mean().item())
        states.append(training.model.state_dict())
    assert losses[2:] == pytest.approx(losses[:2], rel=1e-4)
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.linalg.vector_norm((tensor - states[1][name]).float()) <= (
            1e-3 * torch.linalg.vector_norm(tensor.float()) + 1e-6
        ), name


@pytest.mark.usefixtures("interpreted")
def test_the_rehearsal_of_kernels_leaves_no_trace(photos: Path, tmp_path: Path) -> None:
    training = prepared(photos, tmp_path, precision_dtype="bfloat16")
    before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    assert rehearse(training, Kernels(training.model, tmp_path, torch.bfloat16), random_batch(12)[0]) is None
    assert all(torch.equal(before[name], tensor) for name, tensor in training.model.state_dict().items())
    assert all(parameter.grad is None for parameter in training.model.parameters())
    assert not any(getattr(part, "in_kernels", False) for part in training.model.modules())


@pytest.mark.parametrize(("precision", "used"), [("float32", torch.float32), ("float16", torch.float16)])
def test_weights_are_rounded_to_what_autocast_computes_in(tmp_path: Path, precision: str, used: torch.dtype) -> None:
    model = build("resnet_v1", 18, (3, 16, 16), 3)
    convolutions = [part for part in model.modules() if isinstance(part, Conv2d)]
    with Kernels(model, tmp_path, AUTOCAST[precision]).in_use():
        assert {convolution.effective_weight.dtype for convolution in convolutions} == {used}
    assert {convolution.effective_weight.dtype for convolution in convolutions} == {torch.float32}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("no compiler is installed"), "OSError: no compiler is installed"),
        (subprocess.CalledProcessError(1, ["gcc"]), "gcc"),
        (PTXASError("the processor is too new"), "the processor is too new"),
    ],
)
def test_kernels_that_fail_are_told_and_left(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    said: str,
) -> None:
    def broken(*arguments: object) -> torch.Tensor:
        raise error

    monkeypatch.setattr("imclass.training.compilation.reason_against", lambda settings, processes: None)
    monkeypatch.setattr("imclass.models.fused.norm.norm_relu", broken)
    with caplog.at_level(logging.WARNING):
        assert compile_update(prepared(photos, tmp_path)) is None
    assert "cannot be compiled, going on without" in caplog.text
    assert said in caplog.text


# --------------------------------------------------------------------------------------------- the compiled step


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("network", ["resnet_v2", "resnet_v1"])
@pytest.mark.parametrize(("precision", "rel"), [("float32", 1e-4), ("bfloat16", 3e-2)])
def test_compiled_steps_learn_as_plain_ones_do(
    photos: Path, tmp_path: Path, network: str, precision: str, rel: float
) -> None:
    states, losses = [], []
    for mode in ("off", "on"):
        training = prepared(photos, tmp_path, compile=mode, network=network, precision_dtype=precision)
        step = compile_update(training) or update
        assert isinstance(step, CompiledUpdate) == (mode == "on")
        for size in (12, 12, 5):  # 5: some images cannot be read
            training.optimizer.begin(0.01)
            losses.append(step(training, *random_batch(size), None)[1].mean().item())
        states.append(training.model.state_dict())
    assert losses[3:] == pytest.approx(losses[:3], rel=rel)
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.linalg.vector_norm((tensor - states[1][name]).float()) <= (
            rel * torch.linalg.vector_norm(tensor.float()) + 1e-6
        ), name


@pytest.mark.usefixtures("quick")
def test_the_rehearsal_leaves_no_trace(photos: Path, tmp_path: Path) -> None:
    training = prepared(photos, tmp_path, compile="on")
    before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    compiled = compile_update(training)
    assert compiled is not None
    assert all(torch.equal(before[name], tensor) for name, tensor in training.model.state_dict().items())
    assert all(parameter.grad is None for parameter in training.model.parameters())
    assert all("forward" not in vars(part) and "stem" not in vars(part) for part in training.model.modules())


@pytest.mark.usefixtures("quick")
def test_nothing_is_compiled_after_the_rehearsal(photos: Path, tmp_path: Path) -> None:
    training = prepared(photos, tmp_path, compile="on")
    compiled = compile_update(training)
    assert compiled is not None
    with torch.compiler.set_stance("fail_on_recompile"):
        for size in (12, 7, 12, 1):
            training.optimizer.begin(0.01)
            compiled(training, *random_batch(size), None)
        with torch.no_grad():
            training.model.eval()(random_batch(12)[0])


@pytest.mark.usefixtures("quick")
def test_units_of_a_shape_are_compiled_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = 0

    def counted(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        nonlocal graphs
        graphs += 1
        return graph

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile.func, backend=counted))
    assert compile_update(prepared(photos, tmp_path, compile="on", num_layers=50, image_shape="3,32,32")) is not None
    # Stem and last activation; the first unit of each of four stages and the others.
    assert graphs == 2 + 4 * 2


@pytest.mark.usefixtures("quick")
def test_mixed_images_are_compiled_as_they_are_mixed(photos: Path, tmp_path: Path) -> None:
    compiled = compile_update(prepared(photos, tmp_path, compile="on", mixup_alpha=0.2))
    assert compiled is not None
    assert compiled.dtype == torch.float32
    compiled = compile_update(prepared(photos, tmp_path, compile="on"))
    assert compiled is not None
    assert compiled.dtype == torch.uint8


# ------------------------------------------------------------------------------------------------------ failures


def test_what_cannot_be_compiled_is_told_and_left(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        raise OSError("no compiler is installed")

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=broken))
    training = prepared(photos, tmp_path, compile="on")
    before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    with caplog.at_level(logging.WARNING):
        assert compile_update(training) is None
    assert "cannot be compiled, going on without" in caplog.text
    assert "no compiler is installed" in caplog.text
    assert all(torch.equal(before[name], tensor) for name, tensor in training.model.state_dict().items())
    training.optimizer.begin(0.01)
    assert update(training, *random_batch(12), None)[1].isfinite().all()


@pytest.mark.usefixtures("quick")
def test_a_process_goes_without_when_another_one_fails(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    training = prepared(photos, tmp_path, compile="on")
    monkeypatch.setattr(Processes, "any", lambda processes, flag: True)
    assert compile_update(training) is None
    assert "it fails on another process" in caplog.text


# ------------------------------------------------------------------------------------------------------ whole runs


@pytest.mark.usefixtures("quick")
def test_a_run_tells_what_compiling_took(photos: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    settings = {**SETTINGS, "compile": "on"}
    first = train(photos, output=tmp_path / "a", hyperparameters=settings, device="cpu", quiet=True, log_file=log)
    assert first.metrics[0]["compile_seconds"] > 0
    assert all("compile_seconds" not in line for line in first.metrics[1:])
    assert f"the code is kept in {tmp_path / 'compiled'}" in log.read_text()
    # Frozen and learning networks are compiled each in its turn.
    changes = {"epochs": 3, "freeze_backbone_epochs": 1, "compile": "on"}
    settings = {**SETTINGS, **changes}
    second = train(
        photos, output=tmp_path / "b", model=first.model_path, hyperparameters=settings, device="cpu", quiet=True
    )
    assert ["compile_seconds" in line for line in second.metrics] == [True, True, False]
