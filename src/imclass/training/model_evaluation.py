"""Evaluation of a model file on labelled images: `imclass evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from imclass import artifact
from imclass.data import Source, check_labels, check_model_width, check_stream, local_path, located, open_source
from imclass.errors import DataError
from imclass.images import BadImages, Loader, Preprocessing
from imclass.models import ResNet
from imclass.training.evaluation import Evaluation, evaluate
from imclass.training.metrics import precision_recall_f1
from imclass.training.process_group import join


class ClassReport(BaseModel):
    """Figures of one class: number of samples, precision, recall and F1, average precision when multi-label."""

    model_config = ConfigDict(frozen=True)
    index: int
    name: str
    count: int
    precision: float
    recall: float
    f1: float
    average_precision: float | None = None


class BadImage(BaseModel):
    """A sample that could not be read, and why."""

    model_config = ConfigDict(frozen=True)
    key: str
    reason: str


class Report(BaseModel):
    """What `imclass evaluate` tells and writes as JSON."""

    model_config = ConfigDict(frozen=True)
    model: str
    source: str
    samples: int
    unreadable: int
    loss: float
    accuracy: float
    top_5_accuracy: float | None
    mean_average_precision: float | None
    classes: list[ClassReport]
    confusion: list[list[int]] | None
    bad_images: list[BadImage]


class ImageOptions(TypedDict, total=False):
    """How a model and labelled images are to be opened; what is left out is as in `open_model_and_images`."""

    stream: bool
    image_root: str | Path | None
    attribute_names: tuple[str, str] | None
    label_format: str
    class_names: Sequence[str] | None
    image_shape: tuple[int, int, int] | None


def evaluate_model(
    model_path: str | Path,
    source_path: str | Path,
    *,
    bad_image_limit: float = 0.01,
    device: str = "auto",
    threads: int = 0,
    batch_size: int = 64,
    **options: Unpack[ImageOptions],
) -> Report:
    """Evaluate a model file on a labelled source; both may be addresses.

    Args:
        options: those of `open_model_and_images`.

    Raises:
        ArtifactError: the model cannot be opened.
        DataError: the source cannot be read, its labels do not fit the model, or too many images are unreadable.
    """
    description, model, source = open_model_and_images(model_path, source_path, **options)
    preprocessing = preprocessing_of(description)
    bad_images = BadImages(bad_image_limit)
    with join(device) as processes:
        with Loader(source, preprocessing, threads=threads, device=processes.device, bad_images=bad_images) as loader:
            evaluation = evaluate(
                model.to(processes.device, memory_format=torch.channels_last),  # type: ignore[call-overload]
                loader,
                processes,
                num_classes=description.num_classes,
                multi_label=description.multi_label,
                top_k=(5,) if description.num_classes > 5 else (),
                batch_size=batch_size,
            )
        bad = [entry for entries in processes.gather(bad_images.entries) for entry in entries]
    assert evaluation is not None, "nobody asked to stop"
    if evaluation.samples == 0:
        raise DataError("not one image could be read", where=source.name)
    return report(evaluation, description, str(model_path), source, [BadImage(key=e[1], reason=e[2]) for e in bad])


def open_model_and_images(
    model_path: str | Path,
    source_path: str | Path,
    *,
    stream: bool = False,
    image_root: str | Path | None = None,
    attribute_names: tuple[str, str] | None = None,
    label_format: str = "multi-hot",
    class_names: Sequence[str] | None = None,
    image_shape: tuple[int, int, int] | None = None,
) -> tuple[artifact.Description, ResNet, Source]:
    """Open a model file and labelled images that fit it; both may be addresses.

    Args:
        stream: read `.rec` addresses as they are needed, rather than fetching them first.
        image_root, attribute_names, label_format: those of `imclass.data.open_source`.
        class_names: names in the order of the class numbers, in place of the model's own, if it has any.
        image_shape: (channels, height, width) of a model of MXNet that does not say it.

    Raises:
        ArtifactError: the model cannot be opened.
        DataError: the images cannot be read, or their labels do not fit the model.
    """
    check_stream(stream, [source_path])
    model_file = local_path(model_path)
    description, model = artifact.load(model_file, image_shape=image_shape)
    description = artifact.supplemented(description, str(model_path), class_names=class_names, image_shape=image_shape)
    source = open_source(
        located(source_path, stream=stream),
        image_root=image_root,
        attribute_names=attribute_names,
        label_format=label_format,
        num_classes=description.num_classes,
        class_names=description.class_names,
    )
    check_model_width(source, description.num_classes, description.multi_label)
    check_labels(source, description.num_classes, description.multi_label)
    return description, model, source


def preprocessing_of(description: artifact.Description) -> Preprocessing:
    """How a model's images are prepared."""
    return Preprocessing(
        image_shape=description.image_shape,
        resize=description.resize,
        resize_mode=description.resize_mode,
        fill_value=description.fill_value,
    )


def report(
    evaluation: Evaluation,
    description: artifact.Description,
    model: str,
    source: Source,
    bad_images: list[BadImage],
) -> Report:
    """Put an evaluation into words and lists."""
    names = description.class_names or tuple(str(index) for index in range(description.num_classes))
    precision, recall, f1 = precision_recall_f1(evaluation.true_positives, evaluation.predicted, evaluation.actual)
    areas = evaluation.average_precisions
    classes = [
        ClassReport(
            index=index,
            name=name,
            count=int(evaluation.actual[index]),
            precision=float(precision[index]),
            recall=float(recall[index]),
            f1=float(f1[index]),
            average_precision=None if areas is None or np.isnan(areas[index]) else float(areas[index]),
        )
        for index, name in enumerate(names)
    ]
    return Report(
        model=model,
        source=source.name,
        samples=evaluation.samples,
        unreadable=len(bad_images),
        loss=evaluation.loss,
        accuracy=evaluation.accuracy,
        top_5_accuracy=evaluation.top_k_accuracy.get(5),
        mean_average_precision=evaluation.mean_average_precision,
        classes=classes,
        confusion=None if evaluation.confusion is None else evaluation.confusion.tolist(),
        bad_images=bad_images,
    )
