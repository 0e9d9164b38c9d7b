"""PyTorch: the network that validation uses.

float32 is computed as validation does, layer by layer in channels_last memory, so that probabilities are validation's.
bfloat16 folds batch norms into convolutions, in float32, and then keeps the weights of convolutions in bfloat16 and
everything else, the remaining normalisation above all, in float32.
On a GPU the kernels of a batch are recorded once for each of a few batch sizes and replayed; a batch is filled up to
the next size.
"""

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imclass.device import multiplies_bfloat16
from imclass.errors import UserError
from imclass.inference.serving.backends.protocol import Backend, BackendKind, LoadedModel
from imclass.models.folding import fold_batch_norms

WARM_UP_RUNS = 3  # of a CUDA kernel sequence before it is recorded: cuDNN chooses its algorithms in these


class TorchBackend:
    """The network on a CPU or a GPU.

    Args:
        model: stays as it is.
        device: from `choose_device`.
        precision: float32 or bfloat16.
        max_batch: most images of a call.
    """

    name = "torch"
    concurrency = 1

    def __init__(self, model: LoadedModel, device: torch.device, precision: str, max_batch: int) -> None:
        self.precision = precision
        self.device = str(device)
        self._device = device
        self._activation: Callable[[Tensor], Tensor] = (
            torch.sigmoid if model.description.multi_label else lambda logits: logits.softmax(dim=1)
        )
        assert model.network is not None, "_precisions has refused it"
        network = copy.deepcopy(model.network).eval().requires_grad_(False)
        if precision == "bfloat16":
            fold_batch_norms(network)
            _halve_weights(network)
        self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._recordings: list[_Recording] = []
        if device.type == "cuda":
            height_width_channels = (*model.description.image_shape[1:], model.description.image_shape[0])
            self._recordings = [
                _Recording(self._forward, (size, *height_width_channels), device) for size in batch_sizes(max_batch)
            ]

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `Backend.predict`."""
        with torch.inference_mode():
            for recording in self._recordings:
                if len(pixels) <= recording.size:
                    return recording.replay(pixels)
            answer: NDArray[np.float32] = self._forward(torch.from_numpy(pixels).to(self._device)).cpu().numpy()
            return answer

    def close(self) -> None:
        """As `Backend.close`."""
        self._recordings.clear()
        del self._network

    def _forward(self, pixels: Tensor) -> Tensor:
        """(N, H, W, C) uint8 to (N, num_classes) float32, on the device."""
        # Seen as (N, C, H, W), images as they are decoded are channels_last already.
        images = pixels.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        # The cache of autocast would keep copies of weights; those it would copy are bfloat16 already.
        with torch.autocast(
            self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16", cache_enabled=False
        ):
            logits = self._network(images)
        return self._activation(logits.float())


class _Recording:
    """The kernels of a forward pass over a fixed number of images, recorded as a CUDA graph.

    Args:
        forward: (N, H, W, C) uint8 on the device to (N, num_classes) float32.
        shape: (N, H, W, C).
    """

    def __init__(self, forward: Callable[[Tensor], Tensor], shape: tuple[int, ...], device: torch.device) -> None:
        self.size = shape[0]
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._page_locked = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
        self._pixels = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode():
            self._stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UP_RUNS):
                    forward(self._pixels)
            self._stream.synchronize()
            # thread_local: other models may be computing at this moment.
            with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
                self._answer = forward(self._pixels)

    def replay(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute up to `size` images; rows behind them keep what they held and are not looked at."""
        count = len(pixels)
        self._page_locked[:count].numpy()[...] = pixels
        with torch.cuda.stream(self._stream):
            self._pixels[:count].copy_(self._page_locked[:count], non_blocking=True)
            self._graph.replay()
            answer: NDArray[np.float32] = self._answer[:count].cpu().numpy()
        return answer


def batch_sizes(max_batch: int) -> list[int]:
    """Sizes to record: powers of two below `max_batch`, and `max_batch`."""
    sizes = [1]
    while sizes[-1] * 2 < max_batch:
        sizes.append(sizes[-1] * 2)
    return sizes if max_batch == 1 else [*sizes, max_batch]


def _halve_weights(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(torch.bfloat16)


def _precisions(model: LoadedModel, device: torch.device) -> tuple[str, ...]:
    """bfloat16 where the hardware multiplies it; none for models that were converted."""
    if model.network is None:
        return ()
    return ("float32", "bfloat16") if multiplies_bfloat16(device) else ("float32",)


def _open(model: LoadedModel, device: torch.device, precision: str, max_batch: int) -> Backend:
    possible = _precisions(model, device)
    if precision not in possible:
        raise UserError(
            f"{device} does not compute in {precision} with torch",
            where="precision",
            fix=f"Use one of auto, {', '.join(possible)}.",
        )
    return TorchBackend(model, device, precision, max_batch)


TORCH = BackendKind(name="torch", missing=lambda: None, precisions=_precisions, open=_open)
