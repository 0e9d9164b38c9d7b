"""Models in 8-bit integers, written only when they are about as accurate as the model they come from.

Images of a labelled source are used for two things: on some, the ranges of activations are found (calibration); on
others, which calibration has not seen, the accuracy of the model and of its integer form are measured.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imclass import artifact
from imclass.data import (
    Source,
    Subset,
    check_labels,
    check_model_width,
    find_split_folders,
    local_path,
    open_pair,
    open_source,
    split,
)
from imclass.errors import ArtifactError, DataError
from imclass.images import BadImages, Loader, Preprocessing
from imclass.inference.exports import OPENVINO_INT8, put_in_place
from imclass.inference.exports.format import Answer
from imclass.inference.exports.openvino_harm import by_harm
from imclass.inference.exports.openvino_int8 import quantised
from imclass.inference.exports.openvino_model import files_of, open_bytes
from imclass.inference.exports.program import PRECISION, Program, metadata_of

if TYPE_CHECKING:
    import openvino

CALIBRATION_IMAGES: Final = 300  # NNCF's own choice; ranges hardly change with more
VALIDATION_SHARE: Final = 0.5  # at least, of a source that is not split yet
SPLIT_SEED: Final = 0
BATCH_SIZE: Final = 64
MAX_ACCURACY_LOSS: Final = 0.5  # percentage points
MOST_IN_FLOAT: Final = 0.25  # of the layers; with more of them, 8-bit integers are hardly worth it


@dataclass(frozen=True)
class Quantisation:
    """What came of a conversion to 8-bit integers.

    Attributes:
        files: the files that were written, the one that was asked for first.
        calibration_images: number of images on which ranges were found.
        validation_images: number of other images on which accuracy was measured.
        float_accuracy: of the model, 0 to 1 (multi-label: averaged over classes, threshold 0.5).
        int8_accuracy: of what was written.
        layers: number of convolutions and products.
        layers_in_float: names of those that were left as they were, because with all layers in integers the loss was
            too large; the most harmful first.
    """

    files: tuple[Path, ...]
    calibration_images: int
    validation_images: int
    float_accuracy: float
    int8_accuracy: float
    layers: int
    layers_in_float: tuple[str, ...]

    @property
    def accuracy_loss(self) -> float:
        """In percentage points; negative for a gain."""
        return 100 * (self.float_accuracy - self.int8_accuracy)


def quantise(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    source: str | Path,
    *,
    max_accuracy_loss: float = MAX_ACCURACY_LOSS,
    class_names: Sequence[str] | None = None,
    image_shape: tuple[int, int, int] | None = None,
    image_root: str | Path | None = None,
    attribute_names: tuple[str, str] | None = None,
    label_format: str = "multi-hot",
    bad_image_limit: float = 0.01,
) -> Quantisation:
    """Write a model as an OpenVINO file that computes in 8-bit integers.

    Args:
        model: any form that `imclass.load` takes.
        output: the `.xml` file to write, with a `.bin` beside it; those that are there already are replaced.
        source: labelled images. A folder with `train` and `validation` (or `val`) in it: calibration on the first,
            accuracy on the second. Of any other source, up to `CALIBRATION_IMAGES`, but at most half, are set aside
            for calibration, class by class, and accuracy is measured on all others.
        max_accuracy_loss: in percentage points.
        class_names: names in the order of the class numbers, in place of the model's own, if it has any.
        image_shape: (channels, height, width) of a model of MXNet that does not say it.
        image_root, attribute_names, label_format: of the source, as for `open_source`.
        bad_image_limit: share 0..1 of the images that may be unreadable.

    Raises:
        ArtifactError: the model cannot be opened, or loses more accuracy; then nothing is written.
        DataError: the source cannot be read or does not fit the model.
        UserError: a package is missing.
    """
    path = Path(output)
    OPENVINO_INT8.check(path)
    if not path.parent.is_dir():
        raise ArtifactError("there is no such folder", where=str(path.parent), fix="Make it first.")
    description, network = artifact.load(Path(model), image_shape=image_shape)
    description = artifact.supplemented(description, os.fspath(model), class_names=class_names, image_shape=image_shape)
    options = {
        "image_root": image_root,
        "attribute_names": attribute_names,
        "label_format": label_format,
        "num_classes": description.num_classes,
        "class_names": description.class_names,
    }
    calibration, validation = _parts(source, options)
    for part in (calibration, validation):
        check_model_width(part, description.num_classes, description.multi_label)
        check_labels(part, description.num_classes, description.multi_label)
    program = Program(network, multi_label=description.multi_label).eval()
    bad_images = BadImages(bad_image_limit)
    return _Attempts(path, description, program, calibration, validation, bad_images).first_within(max_accuracy_loss)


def points_lost(ours: int, theirs: int, answers: int) -> float:
    """Percentage points between two numbers of right answers; from whole numbers, so that a limit is met exactly."""
    return 100 * (ours - theirs) / answers


def _parts(source: str | Path, options: dict[str, Any]) -> tuple[Source, Source]:
    """What to calibrate on, at most `CALIBRATION_IMAGES`, and what to measure accuracy on."""
    path = local_path(source)
    folders = find_split_folders(path)
    if folders is not None:
        calibration, validation = open_pair(*folders, **options)
        count = min(len(calibration), CALIBRATION_IMAGES)
        chosen = np.arange(count) * len(calibration) // count  # at equal distances, so that every class has some
        return Subset(calibration, chosen, calibration.name), validation
    whole = open_source(path, **options)
    return split(whole, max(VALIDATION_SHARE, 1 - CALIBRATION_IMAGES / len(whole)), SPLIT_SEED)


class _Attempts:
    """One model, and how it is put into integers."""

    def __init__(
        self,
        path: Path,
        description: artifact.Description,
        program: Program,
        calibration: Source,
        validation: Source,
        bad_images: BadImages,
    ) -> None:
        self._path = path
        self._description = description
        self._program = program
        self._validation = validation
        self._bad_images = bad_images
        self._preprocessing = Preprocessing(
            image_shape=description.image_shape,
            resize=description.resize,
            resize_mode=description.resize_mode,
            fill_value=description.fill_value,
        )
        self._calibration_pixels = np.concatenate([pixels for pixels, _ in self._batches(calibration)])

    def first_within(self, max_accuracy_loss: float) -> Quantisation:
        """Write the first attempt that loses no more than so many percentage points: all layers in integers; then all
        but the most harmful one, two, four and so on.

        Raises:
            ArtifactError: there is none, or a file cannot be written.
        """
        in_float: list[str] = []
        files = self._files(in_float)
        images, answers, (ours, theirs) = self._count_correct([self._our_answer, open_bytes(files)])
        layers = sum(isinstance(each, nn.Conv2d | nn.Linear) for each in self._program.modules())
        most_in_float = int(MOST_IN_FLOAT * layers)
        best = theirs
        while points_lost(ours, theirs, answers) > max_accuracy_loss and len(in_float) < most_in_float:
            in_float = self._most_harmful[: min(max(1, 2 * len(in_float)), most_in_float)]
            files = self._files(in_float)
            images, answers, (theirs,) = self._count_correct([open_bytes(files)])
            best = max(best, theirs)
        loss = points_lost(ours, best, answers)
        if loss > max_accuracy_loss:
            raise ArtifactError(
                f"in 8-bit integers the model's accuracy on {images} images is {best / answers:.4f} at best instead of "
                f"{ours / answers:.4f}: {loss:.2f} percentage points are lost, {max_accuracy_loss:g} are allowed, "
                f"also with {len(in_float)} of {layers} layers in float; nothing is written",
                where=str(self._path),
                fix=f"One answer counts {points_lost(1, 0, answers):.2f} points here; more images measure finer. "
                "Calibrate on images like those that the model will see; allow more with --max-accuracy-loss; or "
                "serve the model in bfloat16.",
            )
        return Quantisation(
            files=put_in_place(self._path, files),
            calibration_images=len(self._calibration_pixels),
            validation_images=images,
            float_accuracy=ours / answers,
            int8_accuracy=theirs / answers,
            layers=layers,
            layers_in_float=tuple(in_float),
        )

    @cached_property
    def _all_in_integers(self) -> "openvino.Model":
        return quantised(self._program, self._calibration_pixels)

    @cached_property
    def _most_harmful(self) -> list[str]:
        return by_harm(self._program, self._all_in_integers, self._calibration_pixels)

    def _files(self, in_float: Sequence[str]) -> dict[str, bytes]:
        pixels = self._calibration_pixels
        model = quantised(self._program, pixels, in_float=in_float) if in_float else self._all_in_integers
        return dict(files_of(model, {**metadata_of(self._description), PRECISION: '"int8"'}))

    def _our_answer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            probabilities: NDArray[np.float32] = self._program(torch.from_numpy(images)).numpy()
        return probabilities

    def _count_correct(self, answerers: Sequence[Answer]) -> tuple[int, int, list[int]]:
        """Number of images that could be read, of answers to them (multi-label: one a class), and of right ones."""
        images, answers, right = 0, 0, [0] * len(answerers)
        for pixels, labels in self._batches(self._validation):
            images += len(pixels)
            answers += labels.size
            for number, answer in enumerate(answerers):
                right[number] += self._right(answer(pixels), labels)
        return images, answers, right

    def _right(self, probabilities: NDArray[np.float32], labels: NDArray[np.float32]) -> int:
        if self._description.multi_label:
            return int(((probabilities > 0.5) == (labels > 0.5)).sum())
        return int((probabilities.argmax(axis=1) == labels[:, 0]).sum())

    def _batches(self, source: Source) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        """Pixels (n, C, H, W) uint8 as validation prepares them, and labels (n, L), of all that can be read.

        Raises:
            DataError: not one can, or too many cannot.
        """
        starts = range(0, len(source), BATCH_SIZE)
        requests = [np.arange(start, min(start + BATCH_SIZE, len(source)), dtype=np.int64) for start in starts]
        found = 0
        with Loader(source, self._preprocessing, device=torch.device("cpu"), bad_images=self._bad_images) as loader:
            for batch in loader.batches([(indices, np.zeros_like(indices)) for indices in requests]):
                found += len(batch.indices)
                if len(batch.indices):
                    yield np.ascontiguousarray(batch.images.numpy()), batch.labels.numpy()
        if not found:
            raise DataError("not one image could be read", where=source.name)
