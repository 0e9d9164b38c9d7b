"""What is said about channels: a file as SageMaker writes it, and options that go before it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from imclass.errors import DataError

PIPED = ("train", "validation")
MODES = ("File", "Pipe")
_FORM = 'Write an object for each channel, for example {"train": {"TrainingInputMode": "Pipe"}}.'

Config = dict[str, dict[str, str]]


def channel_config(file: Path | None, input_modes: Sequence[str], channels: Mapping[str, Path]) -> Config | None:
    """Put the settings of channels together; `--input-mode` beats the file.

    Args:
        file: an `inputdataconfig.json`.
        input_modes: `MODE`, for train and validation, or `NAME=MODE`, as typed.
        channels: the channels that are given.

    Raises:
        DataError: the file cannot be read.
        typer.BadParameter: an input mode cannot be understood.
    """
    config = read_config(file) if file is not None else {}
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


def read_config(path: Path) -> Config:
    """Read a file with an object of settings for each channel.

    Raises:
        DataError: no such file, or it holds something else.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is not JSON: {error}", where=str(path), fix=_FORM) from error
    if not isinstance(config, dict) or not all(isinstance(value, dict) for value in config.values()):
        raise DataError("this is not an object of objects", where=str(path), fix=_FORM)
    return config
