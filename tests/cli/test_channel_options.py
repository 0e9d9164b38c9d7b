"""Settings of channels from a file and from options."""

from pathlib import Path

import pytest
import typer

from imclass.cli.channel_options import channel_config
from imclass.errors import DataError

CHANNELS = {name: Path(name) for name in ("train", "validation", "model")}


def test_a_mode_alone_is_for_the_data_channels() -> None:
    assert channel_config(None, [], CHANNELS) is None
    pipe, file = {"TrainingInputMode": "Pipe"}, {"TrainingInputMode": "File"}
    assert channel_config(None, ["pipe"], CHANNELS) == {"train": pipe, "validation": pipe}
    assert channel_config(None, ["Pipe"], {"train": Path("x")}) == {"train": pipe}
    assert channel_config(None, ["Pipe", "validation=FILE"], CHANNELS) == {"train": pipe, "validation": file}


def test_options_beat_the_file(tmp_path: Path) -> None:
    path = tmp_path / "inputdataconfig.json"
    path.write_text('{"train": {"TrainingInputMode": "Pipe", "RecordWrapperType": "RecordIO"}, "model": {}}')
    assert channel_config(path, ["train=File"], CHANNELS) == {
        "train": {"TrainingInputMode": "File", "RecordWrapperType": "RecordIO"},
        "model": {},
    }


@pytest.mark.parametrize("text", ["", "Pip", "train=", "=Pipe", "Pipe=train"])
def test_modes_that_are_none(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="File or Pipe"):
        channel_config(None, [text], CHANNELS)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("{", "not JSON"), ("[]", "not an object"), ('{"train": 1}', "not an object")],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        channel_config(path, [], CHANNELS)
