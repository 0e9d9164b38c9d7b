"""What is asked of a batch transform."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from imclass.data.json_path import EVERYTHING, JsonPath
from imclass.data.remote.addresses import is_remote, parse_address
from imclass.data.remote.places import cache_folder
from imclass.data.unlabelled import SplitType
from imclass.errors import DataError, UserError, listing
from imclass.inference.serving.problems import RequestError
from imclass.inference.serving.responses import Form, negotiate

DEFAULT_BATCH_SIZE = 64


class Format(StrEnum):
    """Forms of the output: a file for each file of the input, or one for all."""

    OUT = "out"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class AssembleWith(StrEnum):
    """What follows each result, in the words of SageMaker's batch transform."""

    NONE = "None"
    LINE = "Line"


class JoinSource(StrEnum):
    """What a result is joined with, in the words of SageMaker's batch transform."""

    NONE = "None"
    INPUT = "Input"


@dataclass(frozen=True)
class Computing:
    """What computes. Images are prepared as in validation whatever is said here.

    Attributes:
        backend: a key of `serving.backends.BACKENDS`.
        precision: float32, which gives validation's probabilities, or bfloat16.
        device: auto (a GPU where there is one), cpu, cuda or cuda:N.
        batch_size: images at a time.
        threads: threads that read and decode images; 0 is one a core.
    """

    backend: str = "torch"
    precision: str = "float32"
    device: str = "auto"
    batch_size: int = DEFAULT_BATCH_SIZE
    threads: int = 0


@dataclass(frozen=True)
class Request:
    """A job: the same on every process that works on it.

    Attributes:
        model: anything that `artifact.load` takes, or the address of it as text.
        source: anything that `data.unlabelled.open_unlabelled` takes.
        output: folder for the results; one in a bucket as the text of its address.
        format: form of the results.
        accept: content type of a result, as in a request to the server; for `out` and `jsonl`.
        split_type: what a file of the source is; None for what its form suggests.
        assemble_with: what follows each result, for `out`.
        join_source: what each result is joined with, for `out` and `jsonl`.
        input_filter: path to what speaks of the image in a manifest's line; see `imclass.data.json_path`.
        output_filter: path to what is kept of a result, after the join, for `out` and `jsonl`.
        image_root: folder that the paths of a list or manifest start from.
        image_attribute: name of the image attribute of a manifest.
        class_names: in the order of the class numbers, in place of the model's own.
        image_shape: (channels, height, width) of a model of MXNet that does not say it.
        failed: file that lists the images that failed; `failed.jsonl` in `output` by default.
        work_dir: folder for what is needed to go on after an interruption; by default a hidden one beside `output`, or
            one in the cache when `output` is in a bucket.
        computing: what computes.

    Raises:
        UserError: some of these do not go together; all of them are named.
    """

    model: str | Path
    source: str | Path
    output: str | Path
    format: Format = Format.OUT
    accept: str | None = None
    split_type: SplitType | None = None
    assemble_with: AssembleWith = AssembleWith.NONE
    join_source: JoinSource = JoinSource.NONE
    input_filter: str = EVERYTHING
    output_filter: str = EVERYTHING
    image_root: str | Path | None = None
    image_attribute: str | None = None
    class_names: tuple[str, ...] | None = None
    image_shape: tuple[int, int, int] | None = None
    failed: Path | None = None
    work_dir: Path | None = None
    computing: Computing = field(default_factory=Computing)

    def __post_init__(self) -> None:
        problems = []
        if self.format in (Format.CSV, Format.PARQUET):
            if self.accept is not None:
                problems.append(f"accept chooses the content type of out and jsonl; {self.format} has columns")
            if self.join_source is JoinSource.INPUT:
                problems.append(f"join_source Input is for out and jsonl; {self.format} has columns")
            if self.output_filter != EVERYTHING:
                problems.append(f"output_filter is for out and jsonl; {self.format} has columns")
        if self.assemble_with is AssembleWith.LINE and self.format is not Format.OUT:
            problems.append(f"assemble_with Line is for out; {self.format} says itself where a result ends")
        if self.computing.batch_size < 1:
            problems.append(f"batch_size {self.computing.batch_size} is below 1")
        problems += _output_problems(self.output)
        problems += _path_problems("input_filter", self.input_filter)
        problems += _path_problems("output_filter", self.output_filter)
        try:
            negotiate(self.accept, batch_transform=True)
        except RequestError as error:
            problems.append(error.message)
        if problems:
            raise UserError(f"this cannot be transformed:\n{listing(problems)}")

    @property
    def form(self) -> Form:
        """The form of a result."""
        return negotiate(self.accept, batch_transform=True)

    @property
    def work_folder(self) -> Path:
        """Where the job keeps what it needs to go on."""
        if self.work_dir is not None:
            return self.work_dir
        if is_remote(self.output):
            address = str(parse_address(str(self.output)))
            return cache_folder().with_name("transform") / hashlib.sha256(address.encode()).hexdigest()[:16]
        output = Path(self.output).absolute()
        return output.with_name(f".{output.name}.transform")


def _path_problems(name: str, expression: str) -> list[str]:
    """Why a filter is none."""
    try:
        JsonPath(expression)
    except DataError as error:
        return [f"{name} {expression}, {error.what}. {error.fix}"]
    return []


def _output_problems(output: str | Path) -> list[str]:
    """Why results cannot be written to a place, as far as its name tells."""
    if is_remote(output):
        try:
            address = parse_address(str(output))
        except DataError as error:
            return [f"the output {error.where}: {error.what}"]
        return [f"the output {address} is on a web server, and a folder or a bucket is needed"] * address.is_web
    is_file = Path(output).exists() and not Path(output).is_dir()
    return [f"the output {output} is a file, and a folder is needed"] * is_file
