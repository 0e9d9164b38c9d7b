"""Where to compute."""

import os

import torch

from imclass.errors import UserError

# Of x86 and of ARM, as `torch.cpu.get_capabilities` calls them.
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")

# Of a GPU's streams; the most that CUDA gives, which by itself gives 8. Streams that share a queue wait for each other:
# nvJPEG, which has 14, stood still for as long as a recorded training step was running.
_QUEUES = 32


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device called `name`: cpu, cuda or cuda:N; "auto" is a GPU where there is one, else the CPU.

    A GPU that this process has not used yet will have as many hardware queues as possible, unless the environment
    says CUDA_DEVICE_MAX_CONNECTIONS.

    Args:
        name: as the user typed it.
        local_rank: number of this process on its machine, which is also the number of its GPU unless `name` says
            another.

    Raises:
        UserError: there is no such device on this machine.
    """
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", str(_QUEUES))
    if name == "auto":
        return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise _no_device(name) from None
    if device.type == "cuda":
        device = torch.device("cuda", local_rank if device.index is None else device.index)
        if device.index >= torch.cuda.device_count():
            raise _no_device(name)
    elif device != torch.device("cpu"):
        raise _no_device(name)
    return device


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions that multiply bfloat16; others emulate it, more slowly than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    instructions = torch.cpu.get_capabilities()
    return any(instructions.get(name, False) for name in BFLOAT16_INSTRUCTIONS)


def _no_device(name: str) -> UserError:
    return UserError(
        f"there is no device {name!r} on this machine, which has {torch.cuda.device_count()} CUDA devices",
        where="device",
        fix="Use auto, cpu, cuda or cuda:N.",
    )
