"""Steps that turn every direction of a weight by the same amount: the heart of Muon.

A convolution's weight is a matrix here, with a row for each output channel. Its gradient often has few large singular
values, so that plain descent changes the weight in few directions only. The nearest matrix to U S V^T whose rows (or
columns, if there are fewer) are orthonormal is U V^T. Newton-Schulz iterations approach it with matrix products alone,

    X <- a X + (b (X X^T) + c (X X^T)^2) X,     from X = G / |G|,

which act on each singular value s as the polynomial a s + b s^3 + c s^5. The numbers a, b and c are those of Jordan,
"Muon: An optimizer for hidden layers in neural networks" (2024): they lift small values fast and bring large ones near
1, between 0.7 and 1.2, not to it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from imclass.device import multiplies_bfloat16

ITERATIONS = 3  # five, as is usual, made no more accurate network of CIFAR-10's images, and a step takes 5 % longer
_A, _B, _C = 3.4445, -4.7750, 2.0315
_SHORTEST = 1e-30  # of a gradient that is not taken for 0


def orthogonalised(directions: Sequence[Tensor]) -> list[Tensor]:
    """For each tensor one of the same shape, whose rows (or columns) are nearly orthonormal.

    Those of one shape are computed together, in bfloat16 where the device multiplies it, which serves as well here.

    Args:
        directions: (outputs, inputs, height, width) each.

    Returns:
        float32, all zeros where a direction is.
    """
    by_shape: dict[torch.Size, list[int]] = {}
    for number, direction in enumerate(directions):
        by_shape.setdefault(direction.shape, []).append(number)
    results: list[Tensor] = list(directions)
    for (outputs, inputs, height, width), numbers in by_shape.items():
        # The inputs come last, as they do in memory when weights are channels_last. A matrix whose columns are
        # exchanged has the same result, exchanged.
        matrices = torch.stack([directions[number].permute(0, 2, 3, 1).flatten(1) for number in numbers])
        found = _orthonormal(matrices).float().view(-1, outputs, height, width, inputs).permute(0, 1, 4, 2, 3)
        for number, result in zip(numbers, found.unbind(), strict=True):
            results[number] = result
    return results


def _orthonormal(matrices: Tensor) -> Tensor:
    """The iterations for matrices (n, rows, columns), in the type that they are computed in."""
    lengths = torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True)
    x = matrices / lengths.clamp_min(_SHORTEST)
    x = x.bfloat16() if multiplies_bfloat16(x.device) else x.float()
    is_tall = x.shape[1] > x.shape[2]  # then the products of columns are the smaller ones
    x = x.mT if is_tall else x
    for _ in range(ITERATIONS):
        squares = x @ x.mT
        factors = torch.baddbmm(squares, squares, squares, beta=_B, alpha=_C)
        x = torch.baddbmm(x, factors, x, beta=_A)
    found: Tensor = x.mT if is_tall else x
    return found
