"""The environment of instances."""

import os
from pathlib import Path

import pytest

from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.hosting import launching
from imclass.sagemaker.control_plane.hosting.deployment import Variant
from imclass.sagemaker.control_plane.hosting.launching import environment_of
from imclass.sagemaker.endpoint import OPTIONS_VARIABLE, serve_arguments
from imclass.sagemaker.layout import Layout


def environment(folder: Path, number: int = 0, count: int = 1, **variables: str) -> dict[str, str]:
    variant = Variant("A", "m", "image", "s3://b/m.tar.gz", True, variables, count, 1.0)
    return environment_of(variant, Layout(folder / "ml"), folder / "token", Account("eu-west-1"), number, count)


def test_nothing_of_the_server_s_gets_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-server's-own")
    variables = environment(tmp_path, MINE="yes", AWS_REGION="elsewhere")
    assert variables["MINE"] == "yes"
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert variables["SAGEMAKER_BASE_DIR"] == str(tmp_path / "ml")
    assert "AWS_SECRET_ACCESS_KEY" not in variables


def test_instances_share_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert environment(tmp_path)["OMP_NUM_THREADS"] == "8"
    assert environment(tmp_path, count=3)["OMP_NUM_THREADS"] == "2"
    assert environment(tmp_path, count=30)["OMP_NUM_THREADS"] == "1"
    assert environment(tmp_path, count=3, OMP_NUM_THREADS="5")["OMP_NUM_THREADS"] == "5"


def test_instances_take_gpus_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "CUDA_VISIBLE_DEVICES" not in environment(tmp_path)
    monkeypatch.setattr(launching, "gpu_count", lambda: 2)
    assert [environment(tmp_path, number, 3)["CUDA_VISIBLE_DEVICES"] for number in range(3)] == ["0", "1", "0"]


def test_the_model_s_options_do_not_open_the_process_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    options = {
        OPTIONS_VARIABLE: "--precision bfloat16 --host 0.0.0.0 --token-file mine",
        "SAGEMAKER_BIND_TO_PORT": "80",
    }
    arguments = serve_arguments(Layout(folder / "ml"), environment(folder, **options))
    assert arguments[-6:] == ["--host", "127.0.0.1", "--port", "0", "--token-file", str(folder / "token")]
    assert arguments[arguments.index("--precision") + 1] == "bfloat16"
