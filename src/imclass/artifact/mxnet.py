"""Models that the original has written: files of MXNet in an archive, in a folder, or beside each other.

    image-classification-0012.params     arrays after epoch 12, several when checkpoint_frequency was set
    model-shapes.json                    [{"name": "data", "shape": [32, 3, 224, 224]}]: batch size and image shape
    image-classification-symbol.json     the network

Plain MXNet has no `model-shapes.json`; then the user says the image shape. Class names are stored nowhere. Images are
stretched to the image shape, as the original does for prediction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from pydantic_core import from_json
from torch import Tensor

from imclass.artifact.archive import COPY_AGAIN, MXNET_PARAMS, MXNET_SYMBOL, member_names, read_named, read_small
from imclass.artifact.description import Description, Normalisation
from imclass.artifact.members import DESCRIPTION_MEMBER, SHAPES_MEMBER
from imclass.errors import ArtifactError, UserError, listing
from imclass.models.mxnet import Recognised, read_params, read_symbol, recognise, state_of

MXNET_NETWORK: Final = "resnet_v2"
LONGEST_SIDE: Final = 2**31 - 1
SHAPE_MEANS: Final = "Give channels (3 for colour, 1 for grey), height and width."
SYMBOL_SUFFIX: Final = "-symbol.json"

ImageShape = tuple[int, int, int]


def is_mxnet(path: Path, limit: int) -> bool:
    """Whether a file or folder is a model of MXNet; a model that is imclass's as well counts as imclass's.

    Raises:
        ArtifactError: the path cannot be read, or is a file of arrays alone.
    """
    if _is_symbol(path):
        return True
    if (arrays := MXNET_PARAMS.fullmatch(path.name)) and path.is_file():
        raise ArtifactError(
            "these are the arrays of a model without its network",
            where=str(path),
            fix=f"Give {arrays['prefix']}{SYMBOL_SUFFIX}, with the arrays beside it.",
        )
    found = False
    for name in member_names(path, limit):
        if name == DESCRIPTION_MEMBER:
            return False
        if MXNET_SYMBOL.fullmatch(name) or MXNET_PARAMS.fullmatch(name):
            if not path.is_dir():  # in an archive, the first of them decides, since reading on takes time
                return True
            found = True
    return found


def read_mxnet(
    path: Path, *, epoch: int | None, limit: int, image_shape: ImageShape | None
) -> tuple[Description, dict[str, Tensor]]:
    """The description of a model and the complete state of its network, on the CPU.

    Args:
        path: an archive, a folder, or PREFIX-symbol.json.
        epoch: number of the .params file, counted from 1; the last one without it.
        limit: refuse archives and files that unpack to more bytes.
        image_shape: (channels, height, width) of a model that does not say it.

    Raises:
        ArtifactError: the model is damaged, not one of ours, or does not say its image shape.
    """
    files = _find(path, epoch, limit)
    recognised = files.recognised()
    where = files.where(files.params)
    arrays = read_params(files.read_params(limit), where)
    description = _describe(files, recognised, image_shape)
    with torch.device("meta"):
        network = description.build()
    return description, state_of(recognised, arrays, network, where)


def describe_mxnet(path: Path, *, epoch: int | None, limit: int, image_shape: ImageShape | None) -> Description:
    """The description alone, without unpacking an archive twice; arguments and errors are those of `read_mxnet`."""
    files = _find(path, epoch, limit)
    return _describe(files, files.recognised(), image_shape)


# ------------------------------------------------------------------------------------------ finding the files


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of one model, by name in `container`, which is an archive or a folder."""

    container: Path
    symbol: str
    params: str
    epoch: int
    small: Mapping[str, bytes]  # contents of all but the arrays

    def where(self, name: str) -> str:
        """A file's name for messages."""
        return str(self.container / name) if self.container.is_dir() else f"{self.container}: {name}"

    def recognised(self) -> Recognised:
        """What the network is."""
        if self.symbol not in self.small:
            raise ArtifactError("this is not a file", where=self.where(self.symbol), fix=COPY_AGAIN)
        where = self.where(self.symbol)
        return recognise(read_symbol(self.small[self.symbol], where), where)

    def read_params(self, limit: int) -> bytes:
        """The bytes of the arrays. Finding the files has gone through the whole archive, so this may stop early."""
        members = read_named(self.container, (self.params,), limit, to_the_end=False)
        if self.params not in members:
            raise ArtifactError("this is not a file", where=self.where(self.params), fix=COPY_AGAIN)
        return members[self.params]


def _find(path: Path, epoch: int | None, limit: int) -> _Files:
    container = path.parent if _is_symbol(path) else path
    names, small = read_small(container, _is_small, limit)
    symbols = [path.name] if _is_symbol(path) else [name for name in names if MXNET_SYMBOL.fullmatch(name)]
    if len(symbols) != 1:
        held = "\n" + listing(symbols) if symbols else ""
        raise ArtifactError(
            f"one file PREFIX{SYMBOL_SUFFIX} is needed, {len(symbols)} are there{held}",
            where=str(path),
            fix=f"Give the PREFIX{SYMBOL_SUFFIX} that is meant, with its .params file beside it.",
        )
    [symbol] = symbols
    if symbol not in names:
        raise ArtifactError("there is no such file", where=str(path), fix="Check the path.")
    prefix = symbol.removesuffix(SYMBOL_SUFFIX)
    matches = [match for name in names if (match := MXNET_PARAMS.fullmatch(name)) and match["prefix"] == prefix]
    by_epoch = {int(match["epoch"]): match[0] for match in sorted(matches, key=lambda match: match[0])}
    chosen = max(by_epoch, default=None) if epoch is None else epoch
    if chosen is None or chosen not in by_epoch:
        wanted = f"{prefix}-NNNN.params" if chosen is None else f"{prefix}-{chosen:04d}.params"
        held = ", ".join(map(str, sorted(by_epoch)))
        raise ArtifactError(
            f"there is no {wanted} with the arrays of the model",
            where=str(container),
            fix=f"Give one of the epochs that are there: {held}." if held else "Put it beside the symbol.",
        )
    return _Files(container, symbol, by_epoch[chosen], chosen, small)


def _is_small(name: str) -> bool:
    return name == SHAPES_MEMBER or MXNET_SYMBOL.fullmatch(name) is not None


def _is_symbol(path: Path) -> bool:
    return MXNET_SYMBOL.fullmatch(path.name) is not None and not path.is_dir()


# ------------------------------------------------------------------------------------------- describing a model


def _describe(files: _Files, recognised: Recognised, image_shape: ImageShape | None) -> Description:
    if SHAPES_MEMBER in files.small:
        where = files.where(SHAPES_MEMBER)
        image_shape = parse_shapes(files.small[SHAPES_MEMBER], where)
    elif image_shape is not None:
        where = "image_shape"
        if min(image_shape) < 1 or max(image_shape) > LONGEST_SIDE:
            raise ArtifactError(f"{image_shape} is not the shape of an image", where=where, fix=SHAPE_MEANS)
    else:
        height = recognised.usual_height
        raise ArtifactError(
            f"the model does not say its image shape; its network is built for {recognised.heights}",
            where=str(files.container),
            fix=f"Give the shape that it was trained with, channels, height and width: --image-shape 3,{height},"
            f"{height} (in Python image_shape=(3, {height}, {height})).",
        )
    try:
        fits = recognised.fits(image_shape[1])
        description = Description(
            network=MXNET_NETWORK,
            num_layers=recognised.num_layers,
            image_shape=image_shape,
            num_classes=recognised.head.num_classes,
            multi_label=recognised.head.multi_label,
            normalisation=Normalisation(mean=(0.0,) * image_shape[0], std=(1.0,) * image_shape[0]),
            resize_mode="stretch",
            hyperparameters={"precision_dtype": "float16" if recognised.head.float16 else "float32"},
            epoch=files.epoch,
        )
        with torch.device("meta"):
            description.build()
    except UserError as error:
        raise ArtifactError(error.what, where=where, fix=error.fix) from error
    if not fits:
        raise ArtifactError(
            f"the image shape is {','.join(map(str, image_shape))}, but the network is built for {recognised.heights}",
            where=where,
            fix="Give the shape that the model was trained with.",
        )
    return description


def parse_shapes(data: bytes, where: str) -> ImageShape:
    """The image shape (channels, height, width) in the bytes of model-shapes.json.

    Raises:
        ArtifactError: it is not there.
    """
    try:
        content = from_json(data)
    except ValueError as error:
        raise ArtifactError(f"the file is not JSON: {error}", where=where, fix=COPY_AGAIN) from error
    for entry in content if isinstance(content, list) else []:
        shape = entry.get("shape") if isinstance(entry, dict) and entry.get("name") == "data" else None
        if isinstance(shape, list) and len(shape) == 4 and all(type(side) is int for side in shape):
            _, channels, height, width = shape
            if channels in (1, 3) and 1 <= height <= LONGEST_SIDE and 1 <= width <= LONGEST_SIDE:
                return channels, height, width
    raise ArtifactError(
        "the file does not say the shape of 'data' as batch size, channels (1 or 3), height and width",
        where=where,
        fix='It must read [{"name": "data", "shape": [1, 3, 224, 224]}], with the shape that the model has.',
    )
