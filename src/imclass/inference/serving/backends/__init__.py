"""What computes: a network on a device, in one of several programs and precisions.

A backend is a module with a class that keeps the protocol `Backend`, and an entry in `BACKENDS`.
"""

from imclass.inference.serving.backends.openvino_backend import OPENVINO
from imclass.inference.serving.backends.protocol import Backend, BackendKind, LoadedModel
from imclass.inference.serving.backends.torch_backend import TORCH

__all__ = ["BACKENDS", "Backend", "BackendKind", "LoadedModel"]

BACKENDS: dict[str, BackendKind] = {kind.name: kind for kind in (TORCH, OPENVINO)}
"""The backends by name. The first computes the reference that the others must agree with."""
