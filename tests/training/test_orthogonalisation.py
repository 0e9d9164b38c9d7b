"""The iterations against the polynomial that they stand for, on singular values in float64."""

import pytest
import torch
from torch import Tensor

from imclass.training import orthogonalisation
from imclass.training.orthogonalisation import ITERATIONS, orthogonalised

SHAPES = [(8, 4, 3, 3), (16, 2, 1, 1), (6, 6, 1, 1), (4, 16, 3, 3), (1, 5, 3, 3)]


def direction(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def polynomial(values: Tensor) -> Tensor:
    for _ in range(ITERATIONS):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return values


def by_singular_values(tensor: Tensor) -> Tensor:
    left, values, right = torch.linalg.svd(tensor.double().flatten(1), full_matrices=False)
    lifted = polynomial(values / torch.linalg.vector_norm(values))
    return (left @ torch.diag(lifted) @ right).view(tensor.shape)


@pytest.fixture
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orthogonalisation, "multiplies_bfloat16", lambda device: False)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.usefixtures("float32")
def test_singular_values_go_through_the_polynomial(shape: tuple[int, int, int, int]) -> None:
    given = direction(shape)
    [found] = orthogonalised([given])
    assert found.shape == given.shape
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), by_singular_values(given), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bfloat16_is_close_to_it(shape: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orthogonalisation, "multiplies_bfloat16", lambda device: True)
    given = direction(shape)
    [found] = orthogonalised([given])
    exact = by_singular_values(given)
    error = torch.linalg.vector_norm(found.double() - exact)
    assert float(error / torch.linalg.vector_norm(exact)) < 0.03


@pytest.mark.usefixtures("float32")
def test_weights_of_a_network_come_out_nearly_orthonormal() -> None:
    [found] = orthogonalised([direction((64, 64, 3, 3))])
    values = torch.linalg.svdvals(found.flatten(1))
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.25


@pytest.mark.usefixtures("float32")
def test_each_is_as_it_would_be_alone() -> None:
    shapes = [SHAPES[0], SHAPES[3], SHAPES[0], SHAPES[2], SHAPES[3]]
    given = [direction(shape, seed) for seed, shape in enumerate(shapes)]
    for tensor, found in zip(given, orthogonalised(given), strict=True):
        torch.testing.assert_close(found, orthogonalised([tensor])[0], rtol=0, atol=1e-6)


@pytest.mark.usefixtures("float32")
def test_the_length_of_a_direction_and_its_place_in_memory_do_not_matter() -> None:
    given = direction((8, 4, 3, 3))
    [usual] = orthogonalised([given])
    [other] = orthogonalised([(1e-12 * given).contiguous(memory_format=torch.channels_last)])
    torch.testing.assert_close(other, usual, rtol=0, atol=1e-5)


def test_nothing_stays_nothing() -> None:
    [found] = orthogonalised([torch.zeros(4, 3, 3, 3)])
    assert torch.equal(found, torch.zeros(4, 3, 3, 3))
