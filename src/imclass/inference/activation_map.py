"""Class activation maps: which parts of an image speak for a class.

B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba, "Learning Deep Features for Discriminative Localization"
(CVPR 2016). Our networks end as that paper wants them, with the mean over the plane and one linear layer:

    logit[c] = bias[c] + sum over k of weight[c, k] * mean over cells of feature[k, cell]
    map[c, cell] = sum over k of weight[c, k] * feature[k, cell]        so that
    logit[c] = bias[c] + mean over cells of map[c, cell]

The map is therefore no estimate: it is the logit, divided among the cells.

Cells lie where the network looks. Every kernel of its layers is odd and padded by half of it, so the pixels that cell
(row, column) looks at are centred on (row * stride, column * stride) of the network's input. Stretching the map over
the image from edge to edge, as is often done, would shift it by up to half a stride.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imclass.errors import UserError
from imclass.images import Preprocessing
from imclass.images.plan import Size, plan_image
from imclass.models import ResNet


@dataclass(frozen=True)
class Box:
    """A part of an image in pixels from its upper left corner; the edges lie between pixels."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Placement:
    """Where the cells of a map lie in an image.

    Attributes:
        image: size of the image as displayed (EXIF orientation applied).
        canvas: size of the network's input.
        stride: pixels of the input from cell to cell.
        scale: (x, y), pixels of the image for one pixel of the input.
        offset: (x, y), where the centre of the input's first pixel lies in the image, whose pixel centres are at whole
            numbers.
    """

    image: Size
    canvas: Size
    stride: int
    scale: tuple[float, float]
    offset: tuple[float, float]

    @property
    def seen(self) -> Box:
        """The part of the image that the network saw: all but what a crop cut away."""
        sides = [self._seen_side(axis) for axis in (0, 1)]
        (left, right), (top, bottom) = sides
        return Box(left, top, right - left, bottom - top)

    def weights(self, axis: int, cells: int, length: int) -> NDArray[np.float32]:
        """How much each cell counts at each place of one axis.

        Between the cells Keys' cubic convolution, as in bicubic resizing; constant outside of them.

        Args:
            axis: 0 for x, 1 for y.
            cells: number of cells along the axis.
            length: number of places, which are spread evenly over the image.

        Returns:
            (length, cells) float32. A row adds up to 1, or to 0 where the network did not see the image.
        """
        places = (np.arange(length) + 0.5) * self.image[axis] / length - 0.5
        pixels = (places - self.offset[axis]) / self.scale[axis]
        is_seen = (pixels >= -0.5) & (pixels < self.canvas[axis] - 0.5)
        positions = np.clip(pixels / self.stride, 0, cells - 1)
        # One more cell at each end, which repeats the last: the kernel reaches over the next cell.
        weights = _keys(positions[:, np.newaxis] - np.arange(-1, cells + 1))
        weights[:, 1] += weights[:, 0]
        weights[:, -2] += weights[:, -1]
        return (weights[:, 1:-1] * is_seen[:, np.newaxis]).astype(np.float32)

    def _seen_side(self, axis: int) -> tuple[float, float]:
        edges = [self.offset[axis] + 0.5 + self.scale[axis] * (edge - 0.5) for edge in (0, self.canvas[axis])]
        first, last = (min(max(edge, 0.0), float(self.image[axis])) for edge in edges)
        return first, last


def _keys(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernel of R. G. Keys, "Cubic Convolution Interpolation for Digital Image Processing" (1981), a = -1/2."""
    x = np.abs(distances)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def place(image: Size, preprocessing: Preprocessing, stride: int) -> Placement:
    """Where the cells of a map lie in an image that was prepared for validation or prediction.

    Args:
        image: its size as displayed.
        stride: of the network.

    Raises:
        ImageError: the image is too long and thin to be prepared.
    """
    matrix = plan_image(None, image.width, image.height, preprocessing).matrix
    assert matrix[0, 1] == matrix[1, 0] == 0, "without augmentation nothing is rotated or sheared"
    return Placement(
        image=image,
        canvas=Size(preprocessing.width, preprocessing.height),
        stride=stride,
        scale=(float(matrix[0, 0]), float(matrix[1, 1])),
        offset=(float(matrix[0, 2]), float(matrix[1, 2])),
    )


@dataclass(frozen=True)
class ActivationMap:
    """How much each part of an image adds to the logit of a class.

    Attributes:
        class_index: the class.
        cells: (rows, columns) float32. Their mean and the class's bias add up to its logit; values below 0 speak
            against the class.
        largest: the largest value of any class in any cell, a scale on which the maps of one image can be compared.
        placement: where the cells lie in the image.
    """

    class_index: int
    cells: NDArray[np.float32]
    largest: float
    placement: Placement

    @property
    def seen(self) -> Box:
        """The part of the image that the network saw."""
        return self.placement.seen

    def on_image(self, size: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """The map laid over the image, smooth between the cells, where it has their values.

        Args:
            size: (width, height) of the result, which covers the whole image; None for the image's own size.

        Returns:
            (height, width) float32, in the units of the logit. 0 where the network did not see the image.

        Raises:
            UserError: a size below 1.
        """
        width, height = self.placement.image if size is None else size
        if width < 1 or height < 1:
            raise UserError(f"the size is {width}x{height}", where="size", fix="Give a width and height from 1 up.")
        rows, columns = self.cells.shape
        down = self.placement.weights(1, rows, height)
        across = self.placement.weights(0, columns, width)
        return (down @ self.cells @ across.T).astype(np.float32, copy=False)


@torch.inference_mode()
def explain(
    network: ResNet, pixels: NDArray[np.uint8], placement: Placement, class_index: int | None = None
) -> ActivationMap:
    """The map of a class for one image.

    Args:
        network: in evaluation mode, on any device.
        pixels: (H, W, C) uint8, the image as it was prepared for the network.
        placement: of the map in the image.
        class_index: the class; None for the likeliest.

    Raises:
        UserError: there is no such class.
    """
    if class_index is not None:
        check_class_index(class_index, network.num_classes)
    weights = network.head.weight
    image = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).to(weights.device).float()
    features = network.features(image.contiguous(memory_format=torch.channels_last))
    chosen = int(network.classify(features).argmax()) if class_index is None else class_index
    cells = class_activations(features[0], weights)
    return ActivationMap(chosen, cells[chosen].cpu().numpy(), float(cells.max()), placement)


def class_activations(features: Tensor, weights: Tensor) -> Tensor:
    """The maps of all classes.

    Args:
        features: (features, rows, columns), the last feature map.
        weights: (classes, features), of the last layer.

    Returns:
        (classes, rows, columns), the sum over the features of weight times feature.
    """
    return torch.einsum("krc,nk->nrc", features, weights)


def check_class_index(class_index: int, num_classes: int) -> None:
    """Check that there is such a class.

    Raises:
        UserError: there is not.
    """
    if not 0 <= class_index < num_classes:
        raise UserError(
            f"there is no class {class_index}", where="class", fix=f"Give a class number from 0 to {num_classes - 1}."
        )
