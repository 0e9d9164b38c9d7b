"""`imclass unpack`."""

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from imclass.cli import app
from tests.data.golden_files import GOLDEN, RECORDIO

IM2REC = GOLDEN / "im2rec"


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_unpacked_and_packed_again_the_records_are_the_same(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("apple\nbanana\ncherry pie\n")
    result = invoke("unpack", IM2REC / "fruit.rec", tmp_path / "photos", "--class-names", names)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"unpacked\t{tmp_path / 'photos'}\t10\t0\n"
    assert (tmp_path / "photos" / "cherry pie" / "9.jpg").is_file()
    result = invoke("pack", tmp_path / "photos", "--output", tmp_path / "fruit.rec", "--pass-through", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    for name in ("fruit.rec", "fruit.idx"):
        assert (tmp_path / name).read_bytes() == (IM2REC / name).read_bytes()


def test_records_without_an_image_are_named(tmp_path: Path) -> None:
    result = invoke("unpack", RECORDIO / "scalar.rec", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stdout == f"unpacked\t{tmp_path / 'out'}\t23\t1\n"
    assert "left out: the record holds no image bytes" in result.stderr


def test_what_is_no_recordio(tmp_path: Path) -> None:
    result = invoke("unpack", IM2REC / "fruit.lst", tmp_path / "out")
    assert result.exit_code == 2
    assert "no RecordIO but list" in result.stderr
    assert list(tmp_path.iterdir()) == []
