"""OpenVINO files that are opened again, and those that cannot be."""

import shutil
from collections.abc import Callable
from pathlib import Path

import openvino
import pytest

from imclass.errors import ArtifactError
from imclass.inference import convert
from imclass.inference.exports.openvino_reader import is_openvino, open_openvino
from tests.conftest import save_random_model


@pytest.fixture(scope="module")
def converted_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    return convert(save_random_model(folder), folder / "model.xml", "openvino").files[0]


@pytest.fixture
def converted(converted_once: Path, tmp_path: Path) -> Path:
    """Files that may be damaged."""
    for suffix in (".xml", ".bin"):
        shutil.copy(converted_once.with_suffix(suffix), tmp_path)
    return tmp_path / "model.xml"


def test_a_file_without_a_word_on_precision_is_float32(converted: Path) -> None:
    opened = open_openvino(converted)
    assert (opened.path, opened.precision) == (converted, "float32")
    assert opened.description.class_names == ("cat", "dog", "owl")
    assert opened.read() is not opened.read()
    assert is_openvino(converted)
    assert not is_openvino(Path("model.tar.gz"))


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"model\.xml: there is no such file"),
        (lambda path: path.with_suffix(".bin").unlink(), r"model\.bin: there is no such file"),
        (lambda path: path.with_suffix(".bin").write_bytes(b"123"), "cannot be read by OpenVINO"),
        (lambda path: path.write_bytes(path.read_bytes()[:500]), "cannot be read by OpenVINO"),
        (lambda path: path.write_text("<net>"), "cannot be read by OpenVINO"),
        (lambda path: changed(path, "<imclass>", "<another>") or changed(path, "</imclass>", "</another>"), "describe"),
        (lambda path: changed(path, "resnet_v2", "resnet_v9"), "the description is not valid"),
        (lambda path: changed(path, 'num_classes value="3"', 'num_classes value="4"'), "3 classes|4 classes|not valid"),
        (lambda path: changed(path, "[3, 16, 16]", "[3, 16, 32]"), r"images u8 \[\?,3,16,16\]"),
        (lambda path: changed(path, "[3, 16, 16]", "[3, -16, 16]"), "not valid"),
    ],
)
def test_damaged_and_strange_files(converted: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(converted)
    with pytest.raises(ArtifactError, match=message):
        open_openvino(converted)


def test_an_unknown_precision(converted: Path, tmp_path: Path) -> None:
    model = openvino.Core().read_model(converted)
    model.set_rt_info('"int2"', ["imclass", "precision"])
    openvino.save_model(model, tmp_path / "new.xml")
    with pytest.raises(ArtifactError, match=r"'int2' is unknown\nUpdate imclass"):
        open_openvino(tmp_path / "new.xml")
