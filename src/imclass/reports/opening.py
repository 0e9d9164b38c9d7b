"""The two ways to a report: of a run, and of a model on labelled images."""

from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from imclass.reports.cross_validation import cross_validated
from imclass.reports.making import PAGE, make_report
from imclass.reports.subject import Computing, Subject, answers_to, open_run
from imclass.training.model_evaluation import ImageOptions, open_model_and_images


def report_run(
    output: str | Path,
    *,
    folds: int = 0,
    device: str = "auto",
    threads: int = 0,
    quiet: bool = False,
    tell: Callable[[str], None] = lambda words: None,
) -> Path:
    """Make the report of a run.

    Args:
        output: its folder, which gets `report.html` and a folder `report`.
        folds: look for label errors in the training images by cross-validation, which trains so many networks; 0 takes
            the answers of the model itself.
        device: auto, cpu, cuda or cuda:N.
        threads: that decode; 0 is one a core.
        quiet: do not show what is fetched.
        tell: told what takes long when it begins.

    Returns:
        The path of the page.

    Raises:
        UserError: the folder holds no run, a file of it is damaged, or it cannot be cross-validated.
    """
    folder = Path(output)
    subject = open_run(folder, Computing.on(device, threads), quiet=quiet)
    make_report(cross_validated(subject, folds, tell) if folds else subject, folder)
    return folder / PAGE


def report_model(
    model: str | Path,
    source: str | Path,
    output: str | Path,
    *,
    device: str = "auto",
    threads: int = 0,
    **options: Unpack[ImageOptions],
) -> Path:
    """Make the report of a model on labelled images that it was not trained on.

    Args:
        model, source, options: those of `open_model_and_images`.
        output: folder for `report.html` and a folder `report`, made when missing.
        device, threads: as in `report_run`.

    Returns:
        The path of the page.

    Raises:
        UserError: the model or the images cannot be opened, or do not fit each other.
    """
    computing = Computing.on(device, threads)
    description, network, images = open_model_and_images(model, source, **options)
    answers = answers_to(images, description, network, computing)
    subject = Subject(
        name=str(model),
        description=description,
        network=network,
        computing=computing,
        answers=answers,
        validation=images,
    )
    make_report(subject, Path(output))
    return Path(output) / PAGE
