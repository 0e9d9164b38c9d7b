"""Residual networks, block by block: the pre-activation net of SageMaker's algorithm and today's usual one.

`resnet_v2` is the pre-activation network of He et al., "Identity Mappings in Deep Residual Networks" (2016),
as MXNet's example builds it: each unit normalises and activates before it convolves. Its state keys map one
to one to MXNet's arrays: `stage1.0.conv1.weight` is `stage1_unit1_conv1_weight`, `bn_data.weight` is
`bn_data_gamma`.

`resnet_v1` is the network of "Deep Residual Learning for Image Recognition" (2015) in its v1.5 form, with the
stride in the 3x3 convolution of a bottleneck. Public ImageNet weights are of this family; its state keys are
torchvision's.

Both take raw values 0..255, RGB or grey, and normalise them inside, so that it is done, and done once:

    image (N, C, H, W) -> normalise -> stem -> stages -> mean over plane -> head -> logits (N, num_classes)

    large stem: 7x7 stride 2, then 3x3 max pool stride 2: the first stage sees a quarter of the side
    small stem: 3x3 stride 1: the first stage sees the whole side
"""

from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from imclass.errors import UserError
from imclass.models.batch_norm import (
    BatchNorm2d,
    Branches,
    norm_add_relu_branch_after,
    norm_relu,
    norm_relu_branch_after,
    norm_relu_branch_before,
    norm_relu_pool,
)
from imclass.models.convolution import Conv2d, StemConv2d, norm_conv, normalise_conv
from imclass.models.layout import layout_of

# Of ImageNet's training images, the numbers that public weights were trained with, in units of 0..255.
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


class ResNet(nn.Module):
    """What both families share.

    Args:
        num_layers: depth, see `layout_of`.
        image_shape: (channels, height, width) of the input; channels is 1 or 3.
        num_classes: number of logits, at least 1.

    Raises:
        UserError: an impossible depth, shape or number of classes.
    """

    family: ClassVar[str]
    stage_prefix: ClassVar[str]

    def __init__(self, num_layers: int, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        if channels not in (1, 3) or height < 1 or width < 1:
            raise UserError(
                f"image_shape = {image_shape} is not the shape of an image",
                fix="Give channels (3 for colour, 1 for grey), height and width.",
            )
        if num_classes < 1:
            raise UserError(f"num_classes = {num_classes} is less than 1", fix="Give the number of classes.")
        self.layout = layout_of(num_layers, height)
        self.stage_names = [f"{self.stage_prefix}{number + 1}" for number in range(len(self.layout.units))]
        self.num_layers = num_layers
        self.image_shape = image_shape
        self.num_classes = num_classes

    def _add_stages(self, unit: Callable[[int, int, int, bool], nn.Module]) -> int:
        """Add the stages of the layout, made of units `unit(inputs, outputs, stride, first)`.

        The first stage keeps the plane; the first unit of every other one halves its sides.

        Returns:
            Channels of the last stage.
        """
        widths = self.layout.widths
        for index, (name, count) in enumerate(zip(self.stage_names, self.layout.units, strict=True)):
            inputs, outputs = widths[index], widths[index + 1]
            first = unit(inputs, outputs, 1 if index == 0 else 2, True)
            others = [unit(outputs, outputs, 1, False) for _ in range(count - 1)]
            self.add_module(name, nn.Sequential(first, *others))
        return widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, C, H, W) uint8 or floating point, 0 to 255."""
        return self.classify(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """The last feature map (N, features, rows, columns), values from 0 up, of images as for `forward`."""
        return self.activate(self.through_stages(self.stem(images)))

    def stem(self, images: Tensor) -> Tensor:
        """The first stage's input, of images as for `forward`."""
        raise NotImplementedError

    def through_stages(self, x: Tensor) -> Tensor:
        """The last stage's output, of the first one's input."""
        for name in self.stage_names:
            x = getattr(self, name)(x)
        return x

    def activate(self, x: Tensor) -> Tensor:
        """The last feature map, of the last stage's output."""
        raise NotImplementedError

    def classify(self, features: Tensor) -> Tensor:
        """Logits (N, num_classes) of the last feature map."""
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits

    @property
    def stride(self) -> int:
        """Pixels from cell to cell of the last feature map: (row, column) looks around pixel (row, column) * stride."""
        return (4 if self.layout.large_stem else 1) << (len(self.layout.units) - 1)

    @property
    def head(self) -> nn.Linear:
        """The last layer, the only one that depends on the classes."""
        raise NotImplementedError

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation, one a channel in units of 0..255, that `forward` normalises with."""
        raise NotImplementedError

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """All parameters but those of the head."""
        of_head = {id(parameter) for parameter in self.head.parameters()}
        return (parameter for parameter in self.parameters() if id(parameter) not in of_head)


# ---------------------------------------------------------------------------------------------- resnet_v2


def _batch_norm_v2(channels: int) -> BatchNorm2d:
    """MXNet's momentum 0.9 weighs the old value, torch's 0.1 the new one: they mean the same."""
    return BatchNorm2d(channels, eps=2e-5, momentum=0.1)


class BasicUnitV2(nn.Module):
    """[norm, relu, 3x3] twice. A stage's first unit convolves the activated input for its shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, first: bool) -> None:
        super().__init__()
        self.bn1 = _batch_norm_v2(inputs)
        self.conv1 = Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = _batch_norm_v2(outputs)
        self.conv2 = Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.sc = Conv2d(inputs, outputs, 1, stride, bias=False) if first else None

    def forward(self, x: Tensor) -> Tensor:
        branch = norm_relu_branch_before if self.sc is None else norm_relu_branch_after
        activated, shortcut = branch(self.bn1, x)
        residual: Tensor = self.conv1(activated)
        residual = self.conv2(norm_relu(self.bn2, residual))
        residual += shortcut if self.sc is None else self.sc(shortcut)
        return residual


class BottleneckUnitV2(nn.Module):
    """[norm, relu, convolution] three times: 1x1 to a quarter of the width, 3x3 with the stride, 1x1 back."""

    def __init__(self, inputs: int, outputs: int, stride: int, first: bool) -> None:
        super().__init__()
        inner = outputs // 4
        self.bn1 = _batch_norm_v2(inputs)
        self.conv1 = Conv2d(inputs, inner, 1, bias=False)
        self.bn2 = _batch_norm_v2(inner)
        self.conv2 = Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn3 = _batch_norm_v2(inner)
        self.conv3 = Conv2d(inner, outputs, 1, bias=False)
        self.sc = Conv2d(inputs, outputs, 1, stride, bias=False) if first else None

    def forward(self, x: Tensor) -> Tensor:
        branch = norm_relu_branch_before if self.sc is None else norm_relu_branch_after
        activated, shortcut = branch(self.bn1, x)
        residual: Tensor = self.conv1(activated)
        residual = self.conv2(norm_relu(self.bn2, residual))
        residual = self.conv3(norm_relu(self.bn3, residual))
        residual += shortcut if self.sc is None else self.sc(shortcut)
        return residual


class ResNetV2(ResNet):
    """Pre-activation network: input (N, C, H, W) float 0..255, output logits (N, num_classes)."""

    family = "resnet_v2"
    stage_prefix = "stage"

    def __init__(self, num_layers: int, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__(num_layers, image_shape, num_classes)
        channels, stem = image_shape[0], self.layout.widths[0]
        self.bn_data = nn.BatchNorm2d(channels, eps=2e-5)
        # MXNet's fix_gamma: the scale is always one. It is kept because the original stores and counts it.
        nn.init.ones_(self.bn_data.weight).requires_grad_(False)
        self.conv0 = StemConv2d(channels, stem, large=self.layout.large_stem)
        if self.layout.large_stem:
            self.bn0 = _batch_norm_v2(stem)
            self.pool0 = nn.MaxPool2d(3, stride=2, padding=1)
        features = self._add_stages(BottleneckUnitV2 if self.layout.bottleneck else BasicUnitV2)
        self.bn1 = _batch_norm_v2(features)
        self.fc1 = nn.Linear(features, num_classes)

    def stem(self, images: Tensor) -> Tensor:
        x = norm_conv(self.bn_data, self.conv0, images)
        if self.layout.large_stem:
            x = norm_relu_pool(self.bn0, self.pool0, x)
        return x

    def activate(self, x: Tensor) -> Tensor:
        return norm_relu(self.bn1, x)

    @property
    def head(self) -> nn.Linear:
        return self.fc1

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Nothing fixed: `bn_data` learns the statistics of the training images."""
        channels = self.image_shape[0]
        return (0.0,) * channels, (1.0,) * channels


# ---------------------------------------------------------------------------------------------- resnet_v1


def _shortcut_v1(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """The identity where shapes allow it, else a normalised 1x1 convolution."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(Conv2d(inputs, outputs, 1, stride, bias=False), BatchNorm2d(outputs))


def _add_shortcut_v1(norm: nn.Module, residual: Tensor, shortcut: Tensor, downsample: nn.Module | None) -> Branches:
    """relu(norm(residual) + downsample(shortcut)), for both branches of the next unit."""
    if downsample is None:
        return norm_add_relu_branch_after(norm, residual, shortcut)
    convolution, shortcut_norm = downsample.children()
    return norm_add_relu_branch_after(norm, residual, convolution(shortcut), shortcut_norm)


class BasicUnitV1(nn.Module):
    """3x3, norm, relu, 3x3, norm; add the shortcut; relu, for both branches of the next unit."""

    def __init__(self, inputs: int, outputs: int, stride: int, first: bool) -> None:
        super().__init__()
        self.conv1 = Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(outputs)
        self.conv2 = Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(outputs)
        self.downsample = _shortcut_v1(inputs, outputs, stride) if first else None

    def forward(self, x: Branches) -> Branches:
        residual = norm_relu(self.bn1, self.conv1(x.residual))
        return _add_shortcut_v1(self.bn2, self.conv2(residual), x.shortcut, self.downsample)


class BottleneckUnitV1(nn.Module):
    """1x1 to a quarter of the width, 3x3 with the stride, 1x1 back, normed; the rest as in the basic unit."""

    def __init__(self, inputs: int, outputs: int, stride: int, first: bool) -> None:
        super().__init__()
        inner = outputs // 4
        self.conv1 = Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = BatchNorm2d(inner)
        self.conv2 = Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = BatchNorm2d(inner)
        self.conv3 = Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = BatchNorm2d(outputs)
        self.downsample = _shortcut_v1(inputs, outputs, stride) if first else None

    def forward(self, x: Branches) -> Branches:
        residual = norm_relu(self.bn1, self.conv1(x.residual))
        residual = norm_relu(self.bn2, self.conv2(residual))
        return _add_shortcut_v1(self.bn3, self.conv3(residual), x.shortcut, self.downsample)


class ResNetV1(ResNet):
    """The usual network (v1.5): input (N, C, H, W) float 0..255, output logits (N, num_classes)."""

    family = "resnet_v1"
    stage_prefix = "layer"
    mean: Tensor
    std: Tensor

    def __init__(self, num_layers: int, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__(num_layers, image_shape, num_classes)
        channels, stem = image_shape[0], self.layout.widths[0]
        # The device is explicit so that a network laid out on "meta" still has its constants.
        for name, values in zip(("mean", "std"), self.normalisation, strict=True):
            constant = torch.tensor(values, device="cpu").reshape(1, channels, 1, 1)
            self.register_buffer(name, constant, persistent=False)
        self.conv1 = StemConv2d(channels, stem, large=self.layout.large_stem)
        self.bn1 = BatchNorm2d(stem)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if self.layout.large_stem else nn.Identity()
        features = self._add_stages(BottleneckUnitV1 if self.layout.bottleneck else BasicUnitV1)
        self.fc = nn.Linear(features, num_classes)

    def stem(self, images: Tensor) -> Tensor:
        x = normalise_conv(self.conv1, images, self.mean, self.std)
        return norm_relu_pool(self.bn1, self.maxpool, x) if self.layout.large_stem else norm_relu(self.bn1, x)

    def through_stages(self, x: Tensor) -> Tensor:
        branches = Branches(x, x)
        for name in self.stage_names:
            branches = getattr(self, name)(branches)
        return branches.residual

    def activate(self, x: Tensor) -> Tensor:
        return x  # its units end with their activation

    @property
    def head(self) -> nn.Linear:
        return self.fc

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """ImageNet's; a grey image gets the averages over the three channels."""
        if self.image_shape[0] == 3:
            return IMAGENET_MEAN, IMAGENET_STD
        return (sum(IMAGENET_MEAN) / 3,), (sum(IMAGENET_STD) / 3,)


# ----------------------------------------------------------------------------------------------- building

NETWORKS: dict[str, type[ResNet]] = {network.family: network for network in (ResNetV2, ResNetV1)}


def build(network: str, num_layers: int, image_shape: tuple[int, int, int], num_classes: int) -> ResNet:
    """Build a network by its family name, with torch's own initial values.

    Args:
        network: a key of `NETWORKS`.
        num_layers: depth, see `layout_of`.
        image_shape: (channels, height, width).
        num_classes: number of logits.

    Raises:
        UserError: an unknown family, or an impossible depth, shape or number of classes.
    """
    if network not in NETWORKS:
        raise UserError(f'there is no network "{network}"', fix=f"Use one of {', '.join(NETWORKS)}.")
    return NETWORKS[network](num_layers, image_shape, num_classes)
