"""`imclass pack`."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from imclass.cli import app
from imclass.data import open_source
from tests.data.golden_files import GOLDEN
from tests.pictures import write_class_folders

IM2REC = GOLDEN / "im2rec"


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["pack", *map(str, arguments)])


def same(folder: Path, *names: str) -> bool:
    return all((folder / name).read_bytes() == (IM2REC / name).read_bytes() for name in names)


def test_a_folder_comes_out_as_im2rec_packs_it(tmp_path: Path) -> None:
    result = invoke(IM2REC / "images", "--output", tmp_path / "fruit.rec", "--pass-through")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "class\tapple\t0\t4",
        "class\tbanana\t1\t3",
        "class\tcherry pie\t2\t3",
        f"packed\t{tmp_path / 'fruit.rec'}\t10\t0",
    ]
    assert same(tmp_path, "fruit.lst", "fruit.rec", "fruit.idx")


@pytest.mark.parametrize("output", ["fruit.rec", "fruit.lst"])
def test_list_writes_the_list_alone(output: str, tmp_path: Path) -> None:
    result = invoke(IM2REC / "images", "--output", tmp_path / output, "--list", "--recursive")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"list\t{tmp_path / 'fruit.lst'}"
    assert [path.name for path in tmp_path.iterdir()] == ["fruit.lst"]
    assert same(tmp_path, "fruit.lst")


def test_a_list_with_three_labels(tmp_path: Path) -> None:
    arguments = (IM2REC / "multi.lst", "--image-root", IM2REC / "images", "--output", tmp_path / "multi.rec")
    result = invoke(*arguments, "--pass-through", "--pack-label", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert same(tmp_path, "multi.lst", "multi.rec", "multi.idx")
    result = invoke(*arguments, "--pass-through")
    assert result.exit_code == 0
    assert "3 labels each and only the first is stored" in result.stderr


def test_unreadable_images_are_named_and_counted(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", per_class=3)
    (root / "dots" / "001.png").write_bytes(b"no image")
    arguments = (root, "--output", tmp_path / "x.rec", "--resize", 8, "--bad-image-limit")
    result = invoke(*arguments, 0)
    assert result.exit_code == 2
    assert "1 image of 9 cannot be read" in result.stderr
    assert not (tmp_path / "x.rec").exists()
    result = invoke(*arguments, 0.2)
    assert result.exit_code == 0
    assert "image dots/001.png cannot be read and is left out" in result.stderr
    assert result.stdout.splitlines()[-1] == f"packed\t{tmp_path / 'x.rec'}\t8\t1"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--output", "x.bin"], "must end in .rec"),
        (["--output", "x.rec", "--pass-through", "--resize", "8"], "does not go with"),
        (["--output", "x.rec", "--quality", "0"], "must be 1 to 100"),
        (["--output", "x.rec", "--encoding", ".png", "--quality", "95"], "must be 0 to 9"),
        (["--output", "x.rec", "--train-ratio", "0.9", "--test-ratio", "0.2"], "no more than 1 together"),
        (["--output", "x.rec", "--chunks", "11"], "too few"),
    ],
)
def test_options_that_do_not_fit(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(IM2REC / "images", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_records_that_would_replace_themselves_keep_their_list(tmp_path: Path) -> None:
    for name in ("fruit.rec", "fruit.lst"):
        (tmp_path / name).write_bytes((IM2REC / name).read_bytes())
    result = invoke(tmp_path / "fruit.rec", "--output", tmp_path / "fruit.rec", "--pass-through")
    assert result.exit_code == 2
    assert {path.name for path in tmp_path.iterdir()} == {"fruit.rec", "fruit.lst"}
    assert same(tmp_path, "fruit.rec", "fruit.lst")


def test_a_stopped_process_leaves_its_work_and_the_next_goes_on(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    assert cv2.imwrite(str(tmp_path / "noise.png"), noise)
    (tmp_path / "many.lst").write_text("".join(f"{index}\t{index % 3}\tnoise.png\n" for index in range(1500)))
    command = [sys.executable, "-m", "imclass", "pack", "many.lst", "--output", "x.rec", "--num-thread", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / ".x.rec.packing").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert not (tmp_path / "x.rec").exists()
    kept = len((tmp_path / ".x.rec.journal").read_text().splitlines()) - 1
    assert 0 < kept < 1500
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stderr == f"imclass: {kept} of 1500 images of x.rec were done already\n"
    assert result.stdout == "packed\tx.rec\t1500\t0\n"
    assert open_source(tmp_path / "x.rec").ids.tolist() == list(range(1500))  # type: ignore[attr-defined]
    assert list(tmp_path.glob(".*")) == []
