"""`.params`: MXNet's own files, all versions and types, and every kind of damage."""

import struct
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imclass.errors import ArtifactError
from imclass.models.mxnet import read_params
from tests.models.mxnet.files import (
    FOLDERS,
    MODELS,
    NUMPY_TYPES,
    V0,
    V1,
    V2,
    V3,
    array_bytes,
    list_bytes,
    params_of,
    same,
)
from tests.models.mxnet_golden import read_params as read_independently

VALUES = np.arange(6, dtype="<f4").reshape(2, 3)


def refusal(data):
    with pytest.raises(ArtifactError) as caught:
        read_params(data, "x.params")
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if "fp16" not in folder.id])
def test_files_of_mxnet_are_read_as_an_independent_reader_reads_them(folder):
    data = params_of(folder).read_bytes()
    ours, theirs = read_params(data), read_independently(data)
    assert list(ours) == list(theirs)
    assert all(same(ours[name], theirs[name]) for name in ours)


def test_float16_and_float32_lie_side_by_side():
    arrays = read_params(params_of(MODELS / "resnet20_28_fp16").read_bytes())
    half = {name for name, tensor in arrays.items() if tensor.dtype == torch.float16}
    assert half == {name for name in arrays if name.endswith("_weight") or name == "arg:fc1_bias"}
    assert {tensor.dtype for name, tensor in arrays.items() if name not in half} == {torch.float32}


@pytest.mark.parametrize("version", [V0, V1, V2, V3])
@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_every_version_and_type(version, dtype):
    values = np.array([[0, 1, 1], [1, 0, 100]]).astype(dtype)
    arrays = read_params(list_bytes([array_bytes(values, version, device=(2, 1))], ["arg:a"]))
    assert list(arrays) == ["arg:a"]
    assert str(arrays["arg:a"].dtype).removeprefix("torch.") == np.dtype(dtype).name
    assert same(arrays["arg:a"], values)


def test_bfloat16():
    bits = np.array([0x3F80, 0xC000, 0x4049], "<u2")  # 1, -2 and pi, cut off
    [tensor] = read_params(list_bytes([array_bytes(bits, dtype=12)], ["b"])).values()
    assert tensor.dtype == torch.bfloat16
    assert tensor.float().tolist() == [1.0, -2.0, 3.140625]


def test_a_scalar_and_an_empty_array():
    data = list_bytes([array_bytes(np.float32(2.5), V3), array_bytes(np.zeros((0, 4), "<f4"))], ["s", "e"])
    arrays = read_params(data)
    assert arrays["s"].shape == ()
    assert arrays["s"].item() == 2.5
    assert arrays["e"].shape == (0, 4)


def test_a_file_without_arrays():
    assert read_params(list_bytes([])) == {}


def test_the_bytes_of_the_file_are_copied():
    data = bytearray(list_bytes([array_bytes(VALUES)], ["a"]))
    tensor = read_params(bytes(data))["a"]
    tensor.zero_()
    assert same(read_params(bytes(data))["a"], VALUES)


SPARSE = struct.pack("<Ii", V2, 1) + bytes(60)
DAMAGED = {
    "starts with 0x1122, byte 0": struct.pack("<Q", 0x1122) + bytes(16),
    "promises 1,000,000 arrays, byte 16": list_bytes([array_bytes(VALUES)], ["a"], count=1_000_000),
    "ends early: the head of the file, byte 0": b"\x12\x01",
    "sparse (row_sparse), byte 24": list_bytes([SPARSE], ["a"]),
    "unknown element type 99, byte 60": list_bytes([array_bytes(VALUES, dtype=99)], ["a"]),
    "no array where one is expected, but 0xdeadbeef, byte 24": list_bytes([struct.pack("<I", 0xDEADBEEF)], ["a"]),
    "of 77 dimensions, byte 32": list_bytes([struct.pack("<Iii", V2, 0, 77) + bytes(800)], ["a"]),
    "of -1 dimensions, byte 32": list_bytes([struct.pack("<Iii", V2, 0, -1) + bytes(80)], ["a"]),
    "without a value, byte 24": list_bytes([struct.pack("<Iii", V2, 0, 0)], ["a"]),
    "array without a value, byte 24": list_bytes([struct.pack("<Iii", V3, 0, -1)], ["a"]),
    "impossible shape (-1,), byte 24": list_bytes([struct.pack("<Iiiqiii", V2, 0, 1, -1, 1, 0, 0)], ["a"]),
    "impossible shape (0, 4611686018427387904), byte 24": list_bytes(
        [struct.pack("<Iiiqqiii", V2, 0, 2, 0, 1 << 62, 1, 0, 0)], ["a"]
    ),
    "needs 4,398,046,511,104 bytes, byte 64": list_bytes(
        [struct.pack("<Iiiqqiii", V2, 0, 2, 1 << 20, 1 << 20, 1, 0, 0) + bytes(9)], ["a"]
    ),
    "no names for its arrays, byte 88": list_bytes([array_bytes(VALUES)]),
    "2 names for 1 arrays, byte 88": list_bytes([array_bytes(VALUES)], ["a", "b"]),
    "not UTF-8, byte 96": list_bytes([array_bytes(VALUES)], [b"\xff"]),
    "two arrays called 'a', byte 169": list_bytes([array_bytes(VALUES)] * 2, ["a", "a"]),
    "goes on for 3 bytes behind its end, byte 105": list_bytes([array_bytes(VALUES)], ["a"]) + b"end",
}


@pytest.mark.parametrize("said", DAMAGED)
def test_damage_is_named_with_its_place(said):
    error = refusal(DAMAGED[said])
    what, _, place = said.rpartition(", ")
    assert what.split(":")[0] in error.what
    assert error.where == f"x.params, {place}"


def test_no_memory_is_set_aside_for_a_promise():
    huge = struct.pack("<Iiiqqiii", V2, 0, 2, 1 << 16, 1 << 16, 1, 0, 0)
    tracemalloc.start()
    try:
        refusal(list_bytes([huge], ["a"]))
        refusal(list_bytes([array_bytes(VALUES)], ["a"], count=(1 << 63)))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


SOUND = list_bytes(
    [array_bytes(VALUES, version) for version in (V0, V1, V2, V3)] + [array_bytes(np.float64(1), V3)],
    ["arg:a", "arg:b", "aux:c", "aux:d", "e"],
)


@pytest.mark.parametrize("length", range(len(SOUND)))
def test_every_cut_is_noticed(length):
    assert "byte " in refusal(SOUND[:length]).where


def outcome(data):
    """The arrays, or the error; anything but an ArtifactError goes through and fails the test."""
    try:
        return read_params(data)
    except ArtifactError as error:
        return error


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_changed_bytes_give_an_error_or_arrays(data):
    content = bytearray(SOUND)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
        content[place] = data.draw(st.one_of(st.sampled_from([0, 1, 127, 255]), st.integers(0, 255)))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    result = outcome(bytes(content[:end]))
    assert "byte " in result.where if isinstance(result, ArtifactError) else len(result) == 5


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=300), headed=st.booleans())
def test_arbitrary_bytes_give_an_error_or_arrays(content, headed):
    result = outcome(struct.pack("<QQQ", 0x112, 0, 1) + content if headed else content)
    assert "byte " in result.where if isinstance(result, ArtifactError) else len(result) == headed
