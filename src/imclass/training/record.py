"""`run.json`: what a run was asked to do, on what, and where, so that it can be told and done again."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imclass.data import PipeChannel, Source
from imclass.data.remote.addresses import is_remote, parse_address
from imclass.errors import DataError
from imclass.hyperparameters import to_strings
from imclass.pending_file import PendingFile
from imclass.training.job import Job
from imclass.training.opening import DataRequest
from imclass.training.process_group import Processes
from imclass.version import VERSION

if TYPE_CHECKING:
    from imclass.data.location import Place

FILE = "run.json"
PACKAGES = ("torch", "numpy", "opencv-python-headless", "simplejpeg", "safetensors")

_FROZEN = ConfigDict(frozen=True)


class DataPlaces(BaseModel):
    """What was said about the data; `start.train` explains each.

    Paths are absolute; addresses are without what follows `?`.
    """

    model_config = _FROZEN
    source: str | None = None
    validation: str | None = None
    validation_split: float | None = None
    channels: Mapping[str, str] = Field(default_factory=dict)
    content_types: Mapping[str, str] = Field(default_factory=dict)
    input_data_config: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    image_root: str | None = None
    validation_image_root: str | None = None
    attribute_names: tuple[str, str] | None = None
    label_format: str = "multi-hot"
    stream: bool = False
    model: str | None = None
    pretrained: str | None = None

    @classmethod
    def of(
        cls,
        request: DataRequest,
        input_data_config: Mapping[str, Mapping[str, str]],
        model: str | Path | None,
        pretrained: str | Path | None,
    ) -> "DataPlaces":
        """What a request says, before anything of it is fetched."""
        return cls(
            source=lasting(request.source),
            validation=lasting(request.validation),
            validation_split=request.validation_split,
            channels={name: text for name, place in request.channels.items() if (text := lasting(place))},
            content_types=request.content_types,
            input_data_config=input_data_config,
            image_root=lasting(request.image_root),
            validation_image_root=lasting(request.validation_image_root),
            attribute_names=request.attribute_names,
            label_format=request.label_format,
            stream=request.stream,
            model=lasting(model),
            pretrained=lasting(pretrained),
        )

    def request(self) -> DataRequest:
        """What opens the data again."""
        return DataRequest.of(
            source=self.source,
            validation=self.validation,
            validation_split=self.validation_split,
            channels={name: place for name, text in self.channels.items() if (place := _path(text)) is not None},
            content_types=self.content_types,
            input_data_config=self.input_data_config,
            image_root=_path(self.image_root),
            validation_image_root=_path(self.validation_image_root),
            attribute_names=self.attribute_names,
            label_format=self.label_format,
            stream=self.stream,
        )


class DataSummary(BaseModel):
    """One data set: its name, and how many images it has; None where it came through a pipe."""

    model_config = _FROZEN
    name: str
    samples: int | None


class Environment(BaseModel):
    """What a run ran on."""

    model_config = _FROZEN
    system: str
    python: str
    packages: Mapping[str, str]
    device: str
    processes: int
    machines: int
    threads: int


class RunRecord(BaseModel):
    """Everything about a run that its metrics do not tell.

    Attributes:
        format_version: 1.
        imclass_version: that ran.
        data: where the images are.
        train, validation: what they are.
        class_names: index = class number; None when nobody knows them.
        hyperparameters: all of them, as text.
        environment: what it ran on.
    """

    model_config = _FROZEN
    format_version: Literal[1] = 1
    imclass_version: str = VERSION
    data: DataPlaces
    train: DataSummary
    validation: DataSummary
    class_names: tuple[str, ...] | None
    hyperparameters: Mapping[str, str]
    environment: Environment


def record_of(job: Job, data: DataPlaces, processes: Processes) -> RunRecord:
    """What is to be written of a run that is about to begin."""
    return RunRecord(
        data=data,
        train=_summary(job.train),
        validation=_summary(job.validation),
        class_names=job.class_names,
        hyperparameters=to_strings(job.settings),
        environment=environment_of(processes.device, processes, job.threads),
    )


def environment_of(device: torch.device, processes: Processes, threads: int) -> Environment:
    """What this process runs on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return Environment(
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages={package: importlib.metadata.version(package) for package in PACKAGES},
        device=f"{device.type} ({name})",
        processes=processes.world_size,
        machines=processes.machines,
        threads=threads,
    )


def facts_of(job: Job, processes: Processes) -> dict[str, str]:
    """What trackers are told of a run beside its hyperparameters, as text."""
    environment = environment_of(processes.device, processes, job.threads)
    sets = {"train": _summary(job.train), "validation": _summary(job.validation)}
    return {
        **{name: one.name for name, one in sets.items()},
        **{f"{name}_samples": str(one.samples) for name, one in sets.items() if one.samples is not None},
        "output": str(job.output.resolve()),
        "version": VERSION,
        "torch": environment.packages["torch"],
        "device": environment.device,
        "processes": str(environment.processes),
    }


def write_record(output: Path, record: RunRecord) -> None:
    """Write `run.json`.

    Raises:
        UserError: it cannot be written.
    """
    with PendingFile(output / FILE) as file:
        file.write(record.model_dump_json(indent=2).encode() + b"\n")


def read_record(output: Path) -> RunRecord:
    """Read `run.json`.

    Raises:
        DataError: it is missing or not what it should be.
    """
    path = output / FILE
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"this is not the output folder of a run: {FILE} cannot be read ({error.strerror})",
            where=str(output),
            fix="Name the folder that was --output of imclass train, or a model and labelled images.",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"{place}: {first['msg']}", where=str(path)) from error


def lasting(place: "Place | None") -> str | None:
    """A place as text that means the same in every folder, without the query of an address, which may be secret."""
    if place is None:
        return None
    if isinstance(place, str) and is_remote(place):
        return str(parse_address(place))
    return os.path.abspath(str(place))  # noqa: PTH100 - links keep the names that they were given by


def _summary(source: Source | PipeChannel) -> DataSummary:
    return DataSummary(name=source.name, samples=None if isinstance(source, PipeChannel) else len(source))


def _path(text: str | None) -> str | Path | None:
    return text if text is None or is_remote(text) else Path(text)
