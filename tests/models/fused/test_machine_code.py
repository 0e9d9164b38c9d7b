"""The kernels go through the whole compiler, down to machine code of an H100 or H200, for which no GPU is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from imclass.models.fused import backward, forward

OF_VALUES = {"x", "y", "dy", "other_dy", "shortcut", "dz", "past", "dx", "d_shortcut"}
BLOCKS = {"BLOCK_ROWS": 32, "BLOCK_CHANNELS": 64, "BLOCK_PROGRAMS": 128}
COUNTS = {"rows", "channels", "programs", "rows_a_program", "height", "width", "pooled_height", "pooled_width"}

def kind_of(name):
    if name in OF_VALUES:
        return "*bf16"
    return {"winners": "*u8", "batches": "*i64", "eps": "fp32", "momentum": "fp32"}.get(
        name, "i32" if name in COUNTS else "constexpr" if name.isupper() else "*fp32"
    )

def check(kernel, of_images=False, **choices):
    signature = {name: kind_of(name) for name in kernel.arg_names}
    if of_images:
        signature["x"] = "*u8"
    values = BLOCKS | dict.fromkeys(("TWO_WAYS", "ADDS", "NORMS", "RELU", "PAST"), False) | choices
    constants = {name: values[name] for name, kind in signature.items() if kind == "constexpr"}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    assert len(compiled.asm["cubin"]) > 1000

for kernel in (forward.statistics, forward.of_batch, forward.pool):
    check(kernel)
for kernel in (forward.statistics, forward.of_batch):
    check(kernel, of_images=True)
for kernel in (backward.of_gradients, backward.pool_gradients, backward.pool_input):
    check(kernel)
check(forward.activate, RELU=True)
check(forward.activate, RELU=True, ADDS=True)
check(forward.activate, RELU=True, ADDS=True, NORMS=True)
for two_ways in (False, True):
    check(backward.gradients, RELU=True, TWO_WAYS=two_ways)
    check(backward.gradients, RELU=True, TWO_WAYS=two_ways, ADDS=True)
    check(backward.gradients, RELU=True, TWO_WAYS=two_ways, ADDS=True, NORMS=True)
    check(backward.of_input, RELU=True, TWO_WAYS=two_ways)
check(backward.of_input, RELU=True, PAST=True)
check(backward.of_input)
check(backward.of_input, NORMS=True)
"""


def test_the_kernels_compile(tmp_path: Path) -> None:
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, "-c", COMPILE]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
