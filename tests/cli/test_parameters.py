"""Values that are made of parts."""

from pathlib import Path

import pytest
import typer

from imclass.cli.parameters import attribute_pair, class_name_list, named_places, pairs, shape_triple


def test_pairs_keep_later_equals_signs() -> None:
    texts = ["train=application/x-recordio; label-format=class-id", "validation = image/png"]
    assert pairs("--content-type", texts) == {
        "train": "application/x-recordio; label-format=class-id",
        "validation": "image/png",
    }
    assert named_places("--channel", ["train=/data/a=b"]) == {"train": Path("/data/a=b")}
    assert named_places("--channel", ["train=s3://bucket/a"]) == {"train": "s3://bucket/a"}


@pytest.mark.parametrize(
    ("texts", "said"),
    [(["train"], "not NAME=VALUE"), (["=x"], "not NAME"), (["train="], "not NAME"), (["a=1", "a=2"], "given twice")],
)
def test_bad_pairs(texts: list[str], said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        pairs("--channel", texts)


def test_attribute_pair() -> None:
    assert attribute_pair(None) is None
    assert attribute_pair("source-ref, class") == ("source-ref", "class")


@pytest.mark.parametrize("text", ["", "a", "a,", ",b", "a,b,c"])
def test_bad_attribute_pair(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="not two names"):
        attribute_pair(text)


def test_shape_triple() -> None:
    assert shape_triple(None) is None
    assert shape_triple("3,224, 224") == (3, 224, 224)


@pytest.mark.parametrize("text", ["", "3,224", "3,224,224,1", "3,0,224", "3,-1,224", "a,b,c", "3,,224", "3,2.5,224"])
def test_bad_shape_triple(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="not channels, height and width"):
        shape_triple(text)


def test_class_name_list(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    assert class_name_list(tmp_path / "names.txt") == ("cat", "dog")
    assert class_name_list(None) is None
