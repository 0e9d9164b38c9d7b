"""The original's network a second time, as plain operations driven by the names of its arrays."""

from torch import nn


def reference_logits(state, images):
    """The original's network as its own description puts it, computed from nothing but the names in `state`."""

    def norm_relu(name, x, relu=True):
        names = ("running_mean", "running_var", "weight", "bias")
        x = nn.functional.batch_norm(x, *(state[f"{name}.{part}"] for part in names), training=False, eps=2e-5)
        return x.clamp(min=0) if relu else x

    def convolve(name, x, stride=1):
        weight = state[f"{name}.weight"]
        return nn.functional.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)

    x = norm_relu("bn_data", images, relu=False)
    if "bn0.weight" in state:
        x = nn.functional.max_pool2d(norm_relu("bn0", convolve("conv0", x, stride=2)), 3, 2, 1)
    else:
        x = convolve("conv0", x)
    for stage in range(1, 5):
        for unit in range(1000):
            name = f"stage{stage}.{unit}"
            if f"{name}.conv1.weight" not in state:
                break
            stride = 2 if unit == 0 and stage > 1 else 1
            strided = "conv2" if f"{name}.conv3.weight" in state else "conv1"
            shortcut, residual = x, x
            for number in (1, 2, 3):
                if f"{name}.conv{number}.weight" not in state:
                    continue
                residual = norm_relu(f"{name}.bn{number}", residual)
                if number == 1 and unit == 0:
                    shortcut = convolve(f"{name}.sc", residual, stride)
                convolution = f"conv{number}"
                residual = convolve(f"{name}.{convolution}", residual, stride if convolution == strided else 1)
            x = residual + shortcut
    return norm_relu("bn1", x).mean((2, 3)) @ state["fc1.weight"].T + state["fc1.bias"]
