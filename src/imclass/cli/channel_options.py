"""What is said about channels: a file as SageMaker writes it, and options that go before it."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from imclass.data.channel_settings import Config

PIPED = ("train", "validation")
MODES = ("File", "Pipe")


def channel_config(file: Path | None, input_modes: Sequence[str], channels: Collection[str]) -> "Config | None":
    """Put the settings of channels together; `--input-mode` beats the file.

    Args:
        file: an `inputdataconfig.json`.
        input_modes: `MODE`, for train and validation, or `NAME=MODE`, as typed.
        channels: the channels that are given.

    Raises:
        DataError: the file cannot be read.
        typer.BadParameter: an input mode cannot be understood.
    """
    from imclass.data import read_input_data_config

    config = read_input_data_config(file) if file is not None else {}
    for text in input_modes:
        name, mode = parse_input_mode(text)
        for channel in [name] if name else [channel for channel in PIPED if channel in channels]:
            config.setdefault(channel, {})["TrainingInputMode"] = mode
    return config or None


def parse_input_mode(text: str) -> tuple[str, str]:
    """Split `train=Pipe`; the name is empty where there is the mode alone.

    Raises:
        typer.BadParameter: no mode that is known.
    """
    name, _, mode = (part.strip() for part in text.rpartition("="))
    known = {one.lower(): one for one in MODES}
    if mode.lower() not in known or ("=" in text and not name):
        raise typer.BadParameter(f"--input-mode {text!r} is not {' or '.join(MODES)}, or NAME={'|'.join(MODES)}")
    return name, known[mode.lower()]
