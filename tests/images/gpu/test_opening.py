import sys
import time

import pytest
import torch

from imclass.errors import UserError
from imclass.images import gpu
from imclass.images.gpu import opening
from imclass.images.gpu.opening import open_hardware, wants_hardware
from tests.images.gpu.conftest import (
    CPU,
    DEVICE,
    DeviceLibjpegDecoder,
    make,
)

pytest.importorskip("triton")


def test_auto_leaves_validation_to_the_cpu() -> None:
    cuda = torch.device("cuda", 0)
    assert wants_hardware("auto", cuda, augments=True)
    assert not wants_hardware("auto", cuda, augments=False)
    assert not wants_hardware("auto", CPU, augments=True)
    assert not wants_hardware("cpu", cuda, augments=True)
    assert wants_hardware("hardware", cuda, augments=False)
    with pytest.raises(ValueError, match="auto, cpu or hardware"):
        wants_hardware("gpu", cuda, augments=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("problem", ["raises", "refuses", "wrong colours"])
def test_a_decoder_that_does_not_work_is_found_out(caplog, problem: str) -> None:
    class Wrong(DeviceLibjpegDecoder):
        def decode(self, images, channels):
            if problem == "raises":
                raise RuntimeError("no such symbol")
            return [None if problem == "refuses" else image.flip(0) for image in super().decode(images, channels)]

    assert open_hardware("auto", DEVICE, 2, Wrong()) is None
    said = {"raises": "no such symbol", "refuses": "refused a plain JPEG", "wrong colours": "levels on average"}[
        problem
    ]
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "2 CPU threads" in record.getMessage()
    assert said in record.getMessage()
    with pytest.raises(UserError, match=said):
        open_hardware("hardware", DEVICE, 2, Wrong())


def test_without_torchvision_auto_goes_on_and_hardware_is_refused(caplog, monkeypatch) -> None:
    caplog.set_level("INFO")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert open_hardware("auto", DEVICE, 3) is None
    [record] = caplog.records
    assert record.levelname == "INFO"
    assert record.getMessage().startswith("JPEGs are decoded on 3 CPU threads, not on the GPU: ")
    assert "pip install 'imclass[gpu]'" in record.getMessage()
    with pytest.raises(UserError, match="JPEGs cannot be decoded"):
        open_hardware("hardware", DEVICE, 3)


def test_without_triton_the_log_says_what_brings_it(caplog, monkeypatch) -> None:
    caplog.set_level("INFO")
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "imclass.images.gpu.kernel", raising=False)
    monkeypatch.delattr(gpu, "kernel", raising=False)
    assert open_hardware("auto", DEVICE, 3, DeviceLibjpegDecoder()) is None
    [record] = caplog.records
    assert record.levelname == "INFO"
    assert "triton" in record.getMessage()
    assert record.getMessage().endswith("Triton comes with PyTorch's CUDA builds for Linux")


def test_the_hardware_decoder_is_refused_where_there_is_no_gpu(mixed) -> None:
    with pytest.raises(UserError, match="decoder=hardware is for a GPU, and this runs on the CPU"):
        make(mixed, None, device=CPU)


@pytest.mark.parametrize(("seconds", "is_taken"), [(0.0, True), (2.0, False)])
def test_auto_takes_a_decoder_only_if_it_is_faster_than_the_threads(caplog, monkeypatch, seconds, is_taken) -> None:
    """A decoder that takes no time after the trial, or so long that one thread decodes the images sooner."""

    class Nvjpeg(DeviceLibjpegDecoder):
        def __init__(self, device: torch.device) -> None:
            super().__init__()
            self.kept: list[torch.Tensor | None] = []

        def decode(self, images, channels):
            if len(images) == 1:
                return super().decode(images, channels)
            if not self.kept:
                self.kept = super().decode(images[:1], channels)
                return self.kept
            time.sleep(seconds)
            return self.kept

    caplog.set_level("INFO")
    monkeypatch.setattr(opening, "NvjpegDecoder", Nvjpeg)
    hardware = open_hardware("auto", DEVICE, 1)
    [record] = caplog.records
    assert (hardware is not None) == is_taken
    assert ("JPEGs are decoded on 1 CPU threads" in record.getMessage()) != is_taken
    assert ("images a second, the threads about" in record.getMessage()) != is_taken
    assert open_hardware("hardware", DEVICE, 1) is not None
