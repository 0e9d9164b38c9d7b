"""`imclass tune`."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imclass.cli.hyperparameter_options import with_hyperparameter_options
from imclass.cli.parameters import (
    AttributeNames,
    Device,
    ImageRoot,
    LabelFormat,
    LabelFormatOption,
    Quiet,
    Stream,
    Threads,
    attribute_pair,
    class_name_list,
)
from imclass.cli.raw_hyperparameters import gather

if TYPE_CHECKING:
    from imclass.tuning.search import Search
    from imclass.tuning.tune import Tuned

_SEARCH = "Search"
_DATA = "Data"
_RUNNING = "Running"


class Strategy(StrEnum):
    """How the values of the next trial are found, by the original's names."""

    BAYESIAN = "Bayesian"
    RANDOM = "Random"
    GRID = "Grid"
    HYPERBAND = "Hyperband"


class EarlyStopping(StrEnum):
    """Whether trials that do worse than most are stopped."""

    AUTO = "Auto"
    OFF = "Off"


class Metric(StrEnum):
    """What is made as large, or, of a loss, as small as possible."""

    VALIDATION_ACCURACY = "validation:accuracy"
    VALIDATION_LOSS = "validation:loss"
    VALIDATION_MEAN_AVERAGE_PRECISION = "validation:mean_average_precision"
    TRAIN_ACCURACY = "train:accuracy"
    TRAIN_LOSS = "train:loss"


@with_hyperparameter_options
def command(
    hyperparameters: dict[str, str],
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Training images in any form that `imclass train` takes.",
            show_default=False,
        ),
    ],
    *,
    trials: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=100_000,
            help="Training runs in all; 20, or the whole grid with --strategy Grid.",
            show_default=False,
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(
            metavar="P",
            min=1,
            max=1024,
            help="Trials at once, each with its own share of the cores and, where there are some, a GPU: by default as "
            "many as there are GPUs, or 1.",
            show_default=False,
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    ranges: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="What to search, as SageMaker's ParameterRanges; by default all that the original can tune and that "
            "is not given as an option.",
            show_default=False,
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    strategy: Annotated[
        Strategy, typer.Option(help="How the next values are found.", rich_help_panel=_SEARCH)
    ] = Strategy.BAYESIAN,
    objective: Annotated[
        Metric, typer.Option(help="What makes a trial good; of losses, the smallest.", rich_help_panel=_SEARCH)
    ] = Metric.VALIDATION_ACCURACY,
    stop_early: Annotated[
        EarlyStopping | None,
        typer.Option(
            help="Auto: stop a trial that is worse than the median of the others after as many epochs. Auto is the "
            "default except with Hyperband, which stops trials itself.",
            show_default=False,
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    least_epochs: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="With Hyperband: epochs of every trial. --epochs is for those that are best.",
            rich_help_panel=_SEARCH,
        ),
    ] = 1,
    search_seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Seed of the search's own draws.", rich_help_panel=_SEARCH)
    ] = 0,
    validation: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Validation images, in any of the forms.", rich_help_panel=_DATA),
    ] = None,
    validation_split: Annotated[
        float | None,
        typer.Option(
            metavar="F",
            min=0,
            max=1,
            help="Share of the training images to keep for validation.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    image_root: ImageRoot = None,
    validation_image_root: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="--image-root of the validation list.", rich_help_panel=_DATA),
    ] = None,
    attribute_names: AttributeNames = None,
    label_format: LabelFormatOption = LabelFormat.MULTI_HOT,
    class_names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Class names, one a line in the order of the class numbers, for data without names.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    stream: Stream = False,
    model: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="All trials go on from this model.", rich_help_panel=_DATA),
    ] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="All trials start from these weights.", rich_help_panel=_DATA),
    ] = None,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the study and all trials.", rich_help_panel=_RUNNING)
    ],
    hyperparameter_file: Annotated[
        Path | None,
        typer.Option(
            "--hyperparameters",
            metavar="FILE.json",
            help="Hyperparameters that are the same in all trials, as a flat JSON object.",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="One such hyperparameter. An option beats --set, and --set beats the file.",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the study in --output.", rich_help_panel=_RUNNING)
    ] = False,
    tracker: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Where each trial is recorded, in a group of the study's name: as in `imclass train`.",
            show_default=False,
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = 0,
    quiet: Quiet = False,
) -> None:
    """Find good hyperparameters by training many times; write DIR/model.tar.gz, the best model.

    Each trial is a run of `imclass train SOURCE` with other values. Trials that do worse than most are stopped early.
    Beside the model there are tables of all trials, DIR/best.json, and the page DIR/tuning.html.

    [bold]Examples[/bold]

    imclass tune photos --output study1

    imclass tune photos --trials 40 --parallel 4 --ranges ranges.json --epochs 20 --output study2

    imclass tune photos --strategy Hyperband --trials 60 --epochs 27 --optimizer nag --output study3

    imclass tune photos --output study1 --resume
    """
    if device.startswith("cuda:"):
        raise typer.BadParameter("--device is auto, cpu or cuda; CUDA_VISIBLE_DEVICES chooses among the GPUs")
    fixed = gather(hyperparameter_file, assignments or [], hyperparameters)
    options: dict[str, object] = {
        "source": _absolute(source),
        "validation": _absolute(validation),
        "validation_split": validation_split,
        "image_root": _absolute(image_root),
        "validation_image_root": _absolute(validation_image_root),
        "attribute_names": attribute_pair(attribute_names),
        "label_format": label_format.value,
        "class_names": class_name_list(class_names),
        "stream": stream,
        "model": _absolute(model),
        "pretrained": _absolute(pretrained),
        "device": device,
        "threads": threads,
    }
    if tracker:
        from imclass.training.trackers.choosing import open_trackers

        open_trackers(tracker)  # what is wrong with them would end every trial
        options |= {"trackers": tracker, "track_group": output.resolve().name}

    import os
    from contextlib import nullcontext

    from imclass.cli.log_lines import log_lines_on_stderr
    from imclass.tuning.data_check import training_samples
    from imclass.tuning.places import share_out, usable_cores, usable_gpus
    from imclass.tuning.tune import tune

    gpus = [] if device == "cpu" else usable_gpus(os.environ)
    count = parallel or len(gpus) or 1
    places = share_out(count, usable_cores(), gpus)
    with nullcontext() if quiet else log_lines_on_stderr():
        samples = training_samples(options, fixed)
        search = _search(
            fixed, samples, trials, count, ranges, strategy, objective, stop_early, least_epochs, search_seed
        )
        tuned = tune(search, options, fixed, output, places, resume=resume)
    print(closing_summary(tuned, search))


def _search(
    fixed: dict[str, object],
    samples: int,
    trials: int | None,
    parallel: int,
    ranges: Path | None,
    strategy: Strategy,
    objective: Metric,
    stop_early: EarlyStopping | None,
    least_epochs: int,
    seed: int,
) -> "Search":
    from imclass.errors import HyperparameterError
    from imclass.hyperparameters import parse
    from imclass.tuning.defaults import default_ranges
    from imclass.tuning.objective import Objective
    from imclass.tuning.parameter_ranges import read_ranges
    from imclass.tuning.search import HyperbandEpochs, Search, grid_size

    searched = default_ranges(fixed, samples) if ranges is None else read_ranges(ranges)
    hyperband = None
    if strategy is Strategy.HYPERBAND:
        if "epochs" not in fixed:
            raise HyperparameterError(
                "the strategy Hyperband needs the number of epochs of a complete trial", fix="Give --epochs."
            )
        hyperband = HyperbandEpochs(least_epochs, parse({"epochs": fixed["epochs"]}).epochs)
    usual = EarlyStopping.OFF if strategy in (Strategy.HYPERBAND, Strategy.GRID) else EarlyStopping.AUTO
    return Search(
        ranges=searched,
        trials=trials or (grid_size(searched) if strategy is Strategy.GRID else 20),
        parallel=parallel,
        objective=Objective(objective.value, "Minimize" if objective.value.endswith(":loss") else "Maximize"),
        strategy=strategy.value,
        seed=seed,
        early_stopping=(stop_early or usual).value,
        hyperband=hyperband,
    )


def _absolute(place: str | None) -> str | None:
    """A place as it is found from any folder, so that a study can be resumed from another one."""
    return place if place is None or "://" in place else str(Path(place).absolute())


def closing_summary(tuned: "Tuned", search: "Search") -> str:
    """What was found, where it is, and what to type next."""
    from imclass.tuning.words import shown

    model, best = shlex.quote(str(tuned.model_path)), shlex.quote(str(tuned.output / "best.json"))
    trial = tuned.best
    return "\n".join(
        [
            "",
            f"model     {tuned.model_path}",
            f"best      {trial.value:.4f} {search.objective.metric}, trial {trial.number + 1} of {len(tuned.trials)}",
            f"          {shown(trial.values)}",
            f"page      {tuned.output / 'tuning.html'}",
            f"next      imclass predict {model} IMAGE...",
            f"          imclass train SOURCE --hyperparameters {best} --output DIR",
        ]
    )
