"""Values that are made of parts."""

from pathlib import Path

import pytest
import typer

from imclass.cli.parameters import attribute_pair, named_paths, pairs


def test_pairs_keep_later_equals_signs() -> None:
    texts = ["train=application/x-recordio; label-format=class-id", "validation = image/png"]
    assert pairs("--content-type", texts) == {
        "train": "application/x-recordio; label-format=class-id",
        "validation": "image/png",
    }
    assert named_paths("--channel", ["train=/data/a=b"]) == {"train": Path("/data/a=b")}


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
