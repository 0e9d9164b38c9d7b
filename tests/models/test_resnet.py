"""The networks: layouts, names, counts and values, against MXNet's own files and the published tables."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from imclass.errors import UserError
from imclass.models import NETWORKS, build, initialise, layout_of
from imclass.models.batch_norm import Branches
from imclass.models.resnet import IMAGENET_MEAN, IMAGENET_STD
from tests.models.mxnet_golden import GOLDEN, params_file, read_params, state_of
from tests.models.reference_network import reference_logits

# depth, image size, classes, units, parameters, statistics, arrays of parameters, arrays of statistics
V2_TABLE = [
    (18, 224, 1000, (2, 2, 2, 2), 11_691_950, 7_942, 61, 38),
    (34, 224, 1000, (3, 4, 6, 3), 21_800_110, 15_366, 109, 70),
    (50, 224, 1000, (3, 4, 6, 3), 25_549_486, 45_574, 157, 102),
    (101, 224, 1000, (3, 4, 23, 3), 44_541_614, 97_798, 310, 204),
    (152, 224, 1000, (3, 8, 36, 3), 60_185_262, 143_878, 463, 306),
    (200, 224, 1000, (3, 24, 36, 3), 64_666_286, 168_454, 607, 402),
    (269, 224, 1000, (3, 30, 48, 8), 102_065_838, 245_254, 814, 540),
    (20, 28, 10, (3, 3, 3), 272_544, 1_382, 64, 40),
    (32, 28, 10, (5, 5, 5), 466_976, 2_278, 100, 64),
    (44, 28, 10, (7, 7, 7), 661_408, 3_174, 136, 88),
    (56, 28, 10, (9, 9, 9), 855_840, 4_070, 172, 112),
    (110, 28, 10, (18, 18, 18), 1_730_784, 8_102, 334, 220),
    (164, 28, 10, (18, 18, 18), 1_703_264, 24_230, 496, 328),
]


@pytest.mark.parametrize("row", V2_TABLE, ids=lambda row: f"{row[0]}-layers")
def test_v2_has_the_numbers_of_the_original(row):
    layers, size, classes, units, parameters, statistics, parameter_arrays, statistic_arrays = row
    with torch.device("meta"):
        network = build("resnet_v2", layers, (3, size, size), classes)
    running = [buffer for name, buffer in network.named_buffers() if "running" in name]
    assert network.layout.units == units
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert sum(buffer.numel() for buffer in running) == statistics
    assert len(list(network.parameters())) == parameter_arrays
    assert len(running) == statistic_arrays


def test_v2_of_32_pixels_has_the_large_layout_with_the_small_stem():
    with torch.device("meta"):
        network = build("resnet_v2", 18, (3, 32, 32), 10)
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_176_272
    assert "bn0.weight" not in network.state_dict()


# "num_params" in the documentation of torchvision, which has no 200 layers
@pytest.mark.parametrize(
    ("layers", "parameters"),
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
def test_v1_has_the_numbers_of_torchvision(layers, parameters):
    with torch.device("meta"):
        network = build("resnet_v1", layers, (3, 224, 224), 1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize("layers", [18, 34, 50, 101, 152, 200, 20, 56, 164])
def test_v1_has_as_many_weighted_layers_as_its_name_says(layers):
    with torch.device("meta"):
        network = build("resnet_v1", layers, (3, 224, 224), 10)
    layered = (nn.Conv2d, nn.Linear)
    weighted = [n for n, m in network.named_modules() if isinstance(m, layered) and "downsample" not in n]
    assert len(weighted) == layers


@pytest.mark.parametrize(
    ("layers", "height", "units", "bottleneck", "large_stem"),
    [
        (8, 16, (1, 1, 1), False, False),
        (20, 28, (3, 3, 3), False, False),
        (50, 28, (8, 8, 8), False, False),
        (152, 28, (25, 25, 25), False, False),
        (164, 28, (18, 18, 18), True, False),
        (200, 28, (22, 22, 22), True, False),
        (1001, 28, (111, 111, 111), True, False),
        (18, 28, (2, 2, 2, 2), False, False),
        (34, 28, (3, 4, 6, 3), False, False),
        (101, 28, (3, 4, 23, 3), True, False),
        (18, 29, (2, 2, 2, 2), False, False),
        (50, 29, (3, 4, 6, 3), True, False),
        (50, 32, (3, 4, 6, 3), True, False),
        (50, 33, (3, 4, 6, 3), True, True),
        (20, 32, (3, 3, 3), False, False),
        (20, 224, (3, 3, 3), False, False),
        (164, 64, (18, 18, 18), True, False),
    ],
)
def test_layout_follows_depth_and_height(layers, height, units, bottleneck, large_stem):
    layout = layout_of(layers, height)
    assert (layout.units, layout.bottleneck, layout.large_stem) == (units, bottleneck, large_stem)


@pytest.mark.parametrize("layers", [-4, 0, 1, 2, 7, 19, 21, 100, 151, 163, 1000, 1010, 10**9])
@pytest.mark.parametrize("height", [16, 32, 224])
def test_other_depths_are_refused_by_naming_the_valid_ones(layers, height):
    with pytest.raises(UserError, match=r"18, 34, 50, 101, 152, 200") as caught:
        layout_of(layers, height)
    assert str(layers) in caught.value.what
    assert "20, 32, 44, 56, 110" in caught.value.fix


@pytest.mark.parametrize("shape", [(2, 32, 32), (0, 32, 32), (4, 32, 32), (3, 0, 32), (3, 32, -1)])
@pytest.mark.parametrize("network", NETWORKS)
def test_impossible_shapes_are_refused(network, shape):
    with pytest.raises(UserError, match="image_shape"):
        build(network, 18, shape, 10)


def test_impossible_class_counts_and_unknown_networks_are_refused():
    with pytest.raises(UserError, match="num_classes = 0"):
        build("resnet_v2", 18, (3, 32, 32), 0)
    with pytest.raises(UserError, match="resnet_v2, resnet_v1"):
        build("vgg", 18, (3, 32, 32), 10)


# Together 13 MB, so a checkout may come without them; `reference_logits` covers the same paths in every one.
GOLDEN_NETWORKS = [
    pytest.param(
        name, marks=pytest.mark.skipif(not (GOLDEN / "models" / name).exists(), reason="large golden files absent")
    )
    for name in ("resnet20_28", "resnet18_64", "resnet164_28")
]


def golden_network(name):
    """The network of a golden folder with MXNet's weights, and the folder."""
    folder = GOLDEN / "models" / name
    info = json.loads((folder / "info.json").read_text())
    shape = tuple(map(int, info["image_shape"].split(",")))
    network = build("resnet_v2", info["num_layers"], shape, info["num_classes"]).eval()
    report = network.load_state_dict(state_of(read_params(params_file(folder))), strict=False)
    assert not report.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in report.missing_keys)
    return network, folder


@pytest.mark.parametrize(
    ("layers", "shape"), [(8, (3, 16, 16)), (164, (1, 20, 20)), (18, (3, 32, 32)), (18, (3, 70, 50)), (50, (3, 64, 64))]
)
def test_v2_computes_what_the_original_describes(layers, shape):
    network = build("resnet_v2", layers, shape, 5)
    generator = torch.Generator().manual_seed(5)
    initialise(network, generator)
    for name, tensor in network.state_dict().items():
        if tensor.ndim == 1 and name != "bn_data.weight":
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    network.double().eval()
    images = torch.rand(2, *shape, generator=generator).double() * 255
    with torch.inference_mode():
        torch.testing.assert_close(network(images), reference_logits(network.state_dict(), images))


@pytest.mark.parametrize("name", GOLDEN_NETWORKS)
def test_v2_computes_what_mxnet_computes(name):
    network, folder = golden_network(name)
    images, expected = torch.from_numpy(np.load(folder / "input.npy")), np.load(folder / "output_logits.npy")
    with torch.inference_mode():
        np.testing.assert_allclose(network(images).numpy(), expected, rtol=1e-4, atol=1e-4)
        reference = reference_logits(network.state_dict(), images)
    np.testing.assert_allclose(reference.numpy(), expected, rtol=1e-4, atol=1e-4)


def in_mxnet_order(network):
    parameters = [name for name, _ in network.named_parameters()]
    return parameters + [name for name, _ in network.named_buffers() if "running" in name]


@pytest.mark.parametrize("name", GOLDEN_NETWORKS)
def test_v2_lists_its_arrays_in_mxnet_order(name):
    network, folder = golden_network(name)
    assert in_mxnet_order(network) == list(state_of(read_params(params_file(folder))))


def test_v2_trains_as_mxnet_trains():
    """Four steps of plain SGD with momentum, from MXNet's start to MXNet's end, statistics included."""
    folder = GOLDEN / "train_trace" / "sgd"
    info = json.loads((folder / "info.json").read_text())
    batches = np.load(folder / "batches.npz")
    expected_outputs = np.load(folder / "train_outputs.npy")
    network = build("resnet_v2", 8, (3, 16, 16), 4)
    start = state_of(read_params((folder / "step-0000.params").read_bytes()))
    assert in_mxnet_order(network) == list(start)
    network.load_state_dict(start, strict=False)

    settings = info["settings"]
    trained = {name: value for name, value in network.named_parameters() if value.requires_grad}
    velocity = {name: torch.zeros_like(value) for name, value in trained.items()}
    network.train()
    for step, rate in enumerate(info["lr_used"]):
        images = torch.from_numpy(batches["x"][step]).float()
        labels = torch.from_numpy(batches["y"][step]).long()
        logits = network(images)
        np.testing.assert_allclose(logits.softmax(1).detach().numpy(), expected_outputs[step], rtol=0, atol=1e-5)
        network.zero_grad()
        nn.functional.cross_entropy(logits, labels).backward()
        with torch.no_grad():
            for name, value in trained.items():
                decay = settings["wd"] if name.endswith("weight") else 0.0
                velocity[name].mul_(settings["momentum"]).sub_(rate * (value.grad + decay * value))
                value.add_(velocity[name])

    expected = state_of(read_params((folder / "step-0004.params").read_bytes()))
    actual = network.state_dict()
    for name, value in expected.items():
        if "running_var" in name:
            # MXNet's CPU takes the biased variance, torch and cuDNN the unbiased one: of 8 images of at least
            # 4 x 4 values they differ by at most 1 / 127.
            torch.testing.assert_close(actual[name], value, rtol=1 / 127, atol=1e-4)
        else:
            torch.testing.assert_close(actual[name], value, rtol=1e-4, atol=1e-5)


def test_v2_state_key_examples():
    with torch.device("meta"):
        keys = build("resnet_v2", 50, (3, 224, 224), 5).state_dict().keys()
    assert {
        "bn_data.weight",
        "conv0.weight",
        "bn0.running_mean",
        "bn1.bias",
        "fc1.weight",
        "fc1.bias",
    } <= keys
    assert {"stage1.0.conv1.weight", "stage1.0.sc.weight", "stage4.2.bn3.running_var"} <= keys
    assert "stage1.1.sc.weight" not in keys
    assert not [key for key in keys if key.endswith("conv1.bias")]


def test_v1_state_keys_are_those_of_torchvision():
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in build("resnet_v1", 50, (3, 224, 224), 1000).state_dict().items()}
    assert len(shapes) == 320  # torchvision's resnet50 has 320 entries, batch counters included
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["bn1.running_mean"] == (64,)
    assert shapes["layer1.0.conv1.weight"] == (64, 64, 1, 1)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer1.0.downsample.1.num_batches_tracked"] == ()
    assert shapes["layer4.2.conv3.weight"] == (2048, 512, 1, 1)
    assert shapes["fc.weight"] == (1000, 2048)
    assert "layer1.1.downsample.0.weight" not in shapes


def test_v1_basic_stage_one_has_no_convolution_in_its_shortcut():
    with torch.device("meta"):
        keys = build("resnet_v1", 18, (3, 224, 224), 10).state_dict().keys()
    assert "layer1.0.downsample.0.weight" not in keys
    assert "layer2.0.downsample.0.weight" in keys


def test_v1_puts_the_stride_in_the_3x3_convolution():
    with torch.device("meta"):
        unit = build("resnet_v1", 50, (3, 224, 224), 10).layer2[0]
    assert (unit.conv1.stride, unit.conv2.stride, unit.conv3.stride) == ((1, 1), (2, 2), (1, 1))


def map_of(output):
    """The feature map that a stage of either family gives."""
    return output.residual if isinstance(output, Branches) else output


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("layers", "shape", "stage_one_side", "last_side"),
    [
        (18, (3, 224, 224), 56, 7),
        (20, (3, 28, 28), 28, 7),
        (18, (3, 32, 32), 32, 4),
        (18, (3, 33, 33), 9, 2),
        (20, (1, 28, 28), 28, 7),
    ],
)
def test_sides_shrink_as_in_the_original(network, layers, shape, stage_one_side, last_side):
    model = build(network, layers, shape, 4).eval()
    sides = {}
    for name in (model.stage_names[0], model.stage_names[-1]):
        getattr(model, name).register_forward_hook(
            lambda module, inputs, output, name=name: sides.update({name: tuple(map_of(output).shape[2:])})
        )
    with torch.inference_mode():
        logits = model(torch.zeros(2, *shape))
    assert logits.shape == (2, 4)
    assert sides[model.stage_names[0]] == (stage_one_side,) * 2
    assert sides[model.stage_names[-1]] == (last_side,) * 2


@pytest.mark.parametrize("network", NETWORKS)
def test_other_sizes_than_the_own_run(network):
    model = build(network, 18, (3, 64, 64), 4).eval()
    assert model(torch.zeros(1, 3, 70, 101)).shape == (1, 4)


def test_v1_normalises_inside_and_keeps_that_out_of_its_state():
    model = build("resnet_v1", 18, (3, 64, 64), 4).eval()
    assert model.normalisation == (IMAGENET_MEAN, IMAGENET_STD)
    assert not {"mean", "std"} & model.state_dict().keys()
    seen = []
    model.conv1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    image = torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1).expand(1, 3, 64, 64).clone()
    image[:, :, 0, 0] += torch.tensor(IMAGENET_STD)
    model(image)
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.ones(3))
    torch.testing.assert_close(seen[0][0, :, 1, 1], torch.zeros(3))


def test_v1_of_grey_images_normalises_with_the_averages():
    model = build("resnet_v1", 18, (1, 64, 64), 4).eval()
    (mean,), (std,) = model.normalisation
    assert mean == pytest.approx(sum(IMAGENET_MEAN) / 3)
    assert std == pytest.approx(sum(IMAGENET_STD) / 3)
    assert model(torch.zeros(1, 1, 64, 64)).shape == (1, 4)


def test_v2_leaves_normalisation_to_its_first_layer():
    assert build("resnet_v2", 20, (3, 28, 28), 4).normalisation == ((0.0,) * 3, (1.0,) * 3)
    assert build("resnet_v2", 20, (1, 28, 28), 4).normalisation == ((0.0,), (1.0,))


def test_constants_survive_a_layout_without_storage():
    with torch.device("meta"):
        model = build("resnet_v1", 18, (3, 64, 64), 4)
    torch.testing.assert_close(model.mean.flatten(), torch.tensor(IMAGENET_MEAN))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("layers", "shape"), [(18, (3, 40, 40)), (50, (3, 40, 40)), (20, (3, 28, 28)), (164, (3, 16, 16))]
)
def test_memory_layout_does_not_change_results_or_gradients(network, layers, shape):
    """In float64: 164 layers amplify rounding. Where an in-place operation spoiled a gradient, torch would raise."""
    model = build(network, layers, shape, 3)
    initialise(model, torch.Generator().manual_seed(1))
    model.double()
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(2)).double() * 255
    logits = []
    gradients = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        model = model.to(memory_format=memory_format)
        given = images.to(memory_format=memory_format)
        copy = given.clone()
        output = model.train()(given)
        model.zero_grad()
        output.sum().backward()
        assert torch.equal(given, copy)
        logits.append(output.detach())
        gradients.append(model.head.weight.grad.clone())
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("network", NETWORKS)
def test_channels_last_images_stay_so_until_the_last_stage(network):
    model = build(network, 18, (3, 64, 64), 3).eval().to(memory_format=torch.channels_last)
    formats = []
    getattr(model, model.stage_names[-1]).register_forward_hook(
        lambda module, inputs, output: formats.append(map_of(output).is_contiguous(memory_format=torch.channels_last))
    )
    with torch.inference_mode():
        model(torch.zeros(2, 3, 64, 64).to(memory_format=torch.channels_last))
    assert formats == [True]


@pytest.mark.parametrize("network", NETWORKS)
def test_backbone_is_everything_but_the_head(network):
    model = build(network, 20, (3, 28, 28), 7)
    backbone = list(model.backbone_parameters())
    assert len(backbone) == len(list(model.parameters())) - 2
    assert not {id(value) for value in backbone} & {id(value) for value in model.head.parameters()}
    assert (model.head.out_features, model.num_classes) == (7, 7)
    assert (model.family, model.num_layers, model.image_shape) == (network, 20, (3, 28, 28))


def test_only_the_scale_of_bn_data_is_frozen():
    model = build("resnet_v2", 20, (3, 28, 28), 7)
    assert [name for name, value in model.named_parameters() if not value.requires_grad] == ["bn_data.weight"]
    assert torch.equal(model.bn_data.weight, torch.ones(3))
