"""MXNet's arrays as the state of a network, and back."""

from collections.abc import Mapping

import torch
from torch import Tensor

from imclass.errors import ArtifactError, listing
from imclass.models.mxnet.recognition import Recognised
from imclass.models.resnet import ResNet

# fix_gamma: MXNet takes 1 for this scale, whatever is stored.
FIXED_SCALE = "bn_data.weight"
COUNTER = ".num_batches_tracked"  # kept by torch alone


def state_of(
    recognised: Recognised, arrays: Mapping[str, Tensor], network: ResNet, where: str = ".params"
) -> dict[str, Tensor]:
    """The complete state of a network.

    Args:
        recognised: what the graph beside the arrays is.
        arrays: by MXNet's name, of floating types; the "arg:" and "aux:" before a name may be missing.
        network: the same network as imclass builds it, also on the "meta" device.
        where: name of the file, for messages.

    Returns:
        Tensors on the CPU of the network's types.

    Raises:
        ArtifactError: an array is missing, not expected, of another shape or of an integer type; all are named.
    """
    expected = network.state_dict()
    names = {ours: _present(theirs, arrays) for ours, theirs in recognised.arrays.items()}
    assert names.keys() == {name for name in expected if not name.endswith(COUNTER)}
    problems = _problems(names, arrays, expected)
    if problems:
        raise ArtifactError(
            f"the arrays do not fit the network of {recognised.num_layers} layers that the symbol describes:\n"
            + listing(problems),
            where=where,
            fix="Use the .params and the -symbol.json file that were saved together, and the right image shape.",
        )
    state = {}
    for name, tensor in expected.items():
        if name.endswith(COUNTER):
            state[name] = torch.zeros(tensor.shape, dtype=tensor.dtype)
        elif name == FIXED_SCALE:
            state[name] = torch.ones(tensor.shape, dtype=tensor.dtype)
        else:
            state[name] = arrays[names[name]].to(tensor.dtype)
    return state


def arrays_of(
    recognised: Recognised, state: Mapping[str, Tensor], *, fixed_scale: Tensor | None = None
) -> dict[str, Tensor]:
    """The arrays of a network by MXNet's names, in MXNet's order: all arguments, then all statistics.

    Args:
        recognised: names of the arrays and type of the weights.
        state: the network's state on the CPU.
        fixed_scale: what to store where MXNet takes 1 anyway; 1 unless given.
    """
    arrays = {theirs: state[ours].detach() for ours, theirs in recognised.arrays.items()}
    if fixed_scale is not None:
        arrays[recognised.arrays[FIXED_SCALE]] = fixed_scale
    ordered = sorted(arrays.items(), key=lambda item: item[0].startswith("aux:"))
    if not recognised.head.float16:
        return dict(ordered)
    # Batch norms stay float32: their arrays have one side, and so has the bias of the last layer, which does not.
    bias = recognised.arrays["fc1.bias"]
    return {name: tensor.half() if tensor.ndim > 1 or name == bias else tensor for name, tensor in ordered}


def _present(name: str, arrays: Mapping[str, Tensor]) -> str:
    """The name as the file has it: with its kind, or without, as some tools write it."""
    bare = name.partition(":")[2]
    return bare if name not in arrays and bare in arrays else name


def _problems(names: Mapping[str, str], arrays: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    wanted = set(names.values())
    missing = [f"{theirs}: missing" for theirs in names.values() if theirs not in arrays]
    unexpected = [f"{name}: not expected" for name in arrays if name not in wanted]
    wrong = []
    for ours, theirs in names.items():
        if theirs not in arrays:
            continue
        array, tensor = arrays[theirs], expected[ours]
        if array.shape != tensor.shape:
            wrong.append(f"{theirs}: shape {tuple(array.shape)} instead of {tuple(tensor.shape)}")
        elif not array.is_floating_point():
            wrong.append(f"{theirs}: type {array.dtype} instead of a floating type")
    return missing + unexpected + wrong
