"""`imclass predict`."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imclass.cli import messages
from imclass.cli.exit_status import USER_ERROR
from imclass.cli.parameters import (
    ClassNames,
    Device,
    ImageShape,
    Model,
    Threads,
    class_name_list,
    path_here,
    shape_triple,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imclass.inference.predictor import Predictor


@dataclass(frozen=True)
class Answer:
    """What a model says of one image.

    Attributes:
        path: the image, as the user named it: the address of one that was fetched.
        classes: (class number, class name, probability 0 to 1), the likeliest first.
    """

    path: Path | str
    classes: tuple[tuple[int, str, float], ...]


def command(
    model: Model,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES...", help="JPEG and PNG files, folders of them, and addresses of either.", show_default=False
        ),
    ],
    *,
    top_k: Annotated[
        int, typer.Option(metavar="N", min=1, help="Classes to name for each image, the likeliest first.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line for each image.")] = False,
    class_names: ClassNames = None,
    image_shape: ImageShape = None,
    device: Device = "auto",
    threads: Threads = 0,
) -> None:
    """Name the likeliest classes of images.

    On a terminal the answers are a table; elsewhere one line a class with path, class and probability, separated
    by tabs. Files that cannot be read are named on standard error, the others are still predicted, and the exit
    status is 2.

    [bold]Examples[/bold]

    imclass predict run1/model.tar.gz cat.jpg

    imclass predict run1/model.tar.gz holiday/ --top-k 3 --json > answers.jsonl

    imclass predict sagemaker/model.tar.gz cat.jpg --class-names classes.txt
    """
    shape, names = shape_triple(image_shape), class_name_list(class_names)

    from imclass.inference.predictor import load

    predictor = load(path_here(model), device=device, threads=threads, class_names=names, image_shape=shape)
    paths, problems = find_images([path_here(file) for file in files])
    answers = _answers(predictor, paths, top_k, problems)
    if as_json:
        _print_lines(map(json_line, answers))
    elif messages.to_terminal():
        _print_table(list(answers))
    else:
        _print_lines(line for answer in answers for line in plain_lines(answer))
    for problem in problems:
        messages.error(problem)
    if problems:
        raise typer.Exit(USER_ERROR)


def find_images(files: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Replace folders by the images in them, at any depth, in order of name; hidden files are left out.

    Returns:
        The images, and what is wrong with the files that are missing and the folders that hold no image.
    """
    paths: list[Path] = []
    problems: list[str] = []
    for file in files:
        if file.is_dir():
            found = sorted(path for path in file.rglob("*") if _is_image(path, file))
            paths += found
            if not found:
                problems.append(f"{file}: this folder holds no JPEG or PNG file")
        elif file.exists():
            paths.append(file)
        else:
            problems.append(f"{file}: no such file")
    return paths, problems


def _is_image(path: Path, folder: Path) -> bool:
    from imclass.data.image_files import IMAGE_SUFFIXES

    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden and path.is_file()


def _answers(predictor: "Predictor", paths: Sequence[Path], top_k: int, problems: list[str]) -> Iterator[Answer]:
    """Answer batch by batch; files that turn out to be unreadable are added to `problems` on the way."""
    for batch in predictor.predict_batches(paths):
        problems += [str(error) for _, error in batch.unreadable]
        for index, probabilities in zip(batch.indices, batch.probabilities, strict=True):
            yield Answer(_as_named(paths[index]), likeliest(probabilities, predictor.class_names, top_k))


def _as_named(path: Path) -> Path | str:
    from imclass.data.remote.places import origin

    address = origin(path)
    return path if address is None else str(address)


def likeliest(
    probabilities: "NDArray[np.float32]", names: Sequence[str], top_k: int
) -> tuple[tuple[int, str, float], ...]:
    """The `top_k` classes of highest probability; of equal ones the lower class number comes first."""
    order = (-probabilities).argsort(kind="stable")[:top_k]
    return tuple((int(index), names[index], float(probabilities[index])) for index in order)


def plain_lines(answer: Answer) -> list[str]:
    """Path, class and probability, one line for each class."""
    return [messages.tab_separated(answer.path, name, f"{probability:.6f}") for _, name, probability in answer.classes]


def json_line(answer: Answer) -> str:
    """The answer as a JSON object; probabilities are the model's float32 values, exactly."""
    classes = [
        {"class": name, "index": index, "probability": probability} for index, name, probability in answer.classes
    ]
    return json.dumps({"path": str(answer.path), "predictions": classes})


def _print_lines(lines: Iterator[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _print_table(answers: Sequence[Answer]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("image", "class")
    table.add_column("probability", justify="right")
    for answer in answers:
        for rank, (_, name, probability) in enumerate(answer.classes):
            table.add_row(Text(messages.printable(answer.path) if rank == 0 else ""), Text(name), f"{probability:.2%}")
    if answers:
        Console().print(table)
