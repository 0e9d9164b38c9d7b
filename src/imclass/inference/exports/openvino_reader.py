"""Opens OpenVINO files that `imclass convert` has written, with the description in their `rt_info`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from pydantic import ValidationError

from imclass.artifact import Description, Normalisation
from imclass.errors import ArtifactError, UserError
from imclass.inference.exports.format import how_to_install, missing_packages
from imclass.inference.exports.openvino_model import GRAPH, SECTION, WEIGHTS
from imclass.inference.exports.program import INPUT, OUTPUT, PRECISION
from imclass.models import build

if TYPE_CHECKING:
    import openvino

CONVERT: Final = "Write one with imclass convert MODEL OUT.xml --to openvino (or openvino-int8)."
PRECISIONS: Final = ("float32", "int8")


@dataclass(frozen=True)
class OpenVINOModel:
    """A model in OpenVINO's own form.

    Attributes:
        path: of the .xml file.
        description: of the model that was converted; without its hyperparameters, which are not in the file.
        precision: of the convolutions: float32 or int8.
    """

    path: Path
    description: Description
    precision: str

    def read(self) -> "openvino.Model":
        """The graph with its weights, a new one at every call.

        Raises:
            ArtifactError: the files are damaged.
        """
        return _read(self.path)


def is_openvino(path: Path) -> bool:
    """Whether a path is called as OpenVINO's files are."""
    return path.suffix == GRAPH


def open_openvino(path: Path) -> OpenVINOModel:
    """Open the .xml file of a model, whose .bin stands beside it, and check that both fit the description in it.

    Raises:
        UserError: OpenVINO is not installed.
        ArtifactError: a file is missing or damaged, or was not written by `imclass convert`.
    """
    if missing_packages(("openvino",)):
        raise UserError("opening OpenVINO files needs openvino", where=str(path), fix=how_to_install("openvino"))
    model = _read(path)
    if not model.has_rt_info([SECTION]):
        raise ArtifactError("the file does not describe its images and classes", where=str(path), fix=CONVERT)
    try:
        facts = {name: json.loads(str(value)) for name, value in model.get_rt_info([SECTION]).value.items()}
        description = _description(facts)
        precision = facts.get(PRECISION, PRECISIONS[0])
    except (KeyError, TypeError, AttributeError, ValueError, ValidationError, UserError) as error:
        raise ArtifactError(f"the description is not valid: {error}", where=str(path), fix=CONVERT) from error
    _check_sides(model, description, path)
    if precision not in PRECISIONS:
        raise ArtifactError(f"the precision {precision!r} is unknown", where=str(path), fix="Update imclass.")
    return OpenVINOModel(path, description, precision)


def _read(path: Path) -> "openvino.Model":
    import openvino

    for file in (path, path.with_suffix(WEIGHTS)):
        if not file.is_file():
            raise ArtifactError(
                "there is no such file", where=str(file), fix=f"{GRAPH} and {WEIGHTS} belong together; copy both."
            )
    try:
        # Both files are named: found by the library itself, missing weights would show only when it computes.
        return openvino.Core().read_model(path, path.with_suffix(WEIGHTS))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ArtifactError(f"the file cannot be read by OpenVINO: {reason}", where=str(path), fix=CONVERT) from error


def _description(facts: Mapping[str, Any]) -> Description:
    """What `metadata_of` made of a description, as one again."""
    preparation = facts["preprocessing"]
    shape, classes = tuple(facts["image_shape"]), facts["num_classes"]
    with torch.device("meta"):  # without storage: nothing but its normalisation is wanted
        mean, std = build(facts["network"], facts["num_layers"], shape, classes).normalisation
    return Description(
        network=facts["network"],
        num_layers=facts["num_layers"],
        image_shape=shape,
        num_classes=classes,
        class_names=None if facts["class_names"] is None else tuple(facts["class_names"]),
        multi_label=facts["multi_label"],
        normalisation=Normalisation(mean=mean, std=std),
        resize=preparation["resize"],
        resize_mode=preparation["resize_mode"],
        fill_value=preparation["fill_value"],
        metrics={name: float(value) for name, value in facts["metrics"].items()},
        epoch=facts["epoch"],
        imclass_version=facts["imclass_version"],
    )


def _check_sides(model: "openvino.Model", description: Description, path: Path) -> None:
    """Check that pixels of the described size go in, and a number for each class comes out."""
    found = [
        f"{side.get_any_name()} {side.element_type.get_type_name()} {side.partial_shape}" for side in _sides(model)
    ]
    image_shape = ",".join(map(str, description.image_shape))
    wanted = [f"{INPUT} u8 [?,{image_shape}]", f"{OUTPUT} f32 [?,{description.num_classes}]"]
    if found != wanted:
        raise ArtifactError(
            f"input and output are {'; '.join(found)}, but described are {'; '.join(wanted)}",
            where=str(path),
            fix=CONVERT,
        )


def _sides(model: "openvino.Model") -> list[Any]:
    return [*model.inputs, *model.outputs]
