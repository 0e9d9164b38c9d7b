"""torch.compile for long runs on a GPU.

Small networks are bound by the time that Python needs to start their many kernels. A compiled network starts a few
fused ones, recorded as CUDA graphs. Compiling takes up to a minute, so it must be worth it.
"""

import logging

import torch
from torch import nn

log = logging.getLogger(__name__)

FEWEST_STEPS = 5_000


class CompiledNetwork(nn.Module):
    """Runs whole batches through the compiled model and others (with unreadable images left out) through the model.

    A batch of another size would be compiled anew. Should compilation fail, the model itself goes on, and the log
    says so once.
    """

    def __init__(self, model: nn.Module, batch_size: int) -> None:
        super().__init__()
        self.model = model
        self.batch_size = batch_size
        # Not a submodule, whose parameters would be counted twice.
        self._compiled = [torch.compile(model, mode="reduce-overhead", dynamic=False)]
        self._has_run = False

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) != self.batch_size or not self.training or not self._compiled:
            output: torch.Tensor = self.model(images)
            return output
        try:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            output = self._compiled[0](images)
        except Exception as error:
            if self._has_run:
                raise
            log.warning("torch.compile failed, going on without: %s", str(error).splitlines()[0])
            self._compiled.clear()
            output = self.model(images)
        self._has_run = True
        return output


def worth_compiling(device: torch.device, steps: int) -> bool:
    """Whether a run of `steps` steps gains more than compiling costs."""
    return device.type == "cuda" and steps >= FEWEST_STEPS
