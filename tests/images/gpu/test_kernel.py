"""The kernel goes through the whole compiler, down to machine code, for which no GPU is needed."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from imclass.images.gpu import kernel, warp

pointers = {"numbers": "*i64", "positions": "*fp32", "out": "*" + sys.argv[1]}
numbers = {"width": "i32", "height": "i32", "fill": "fp32"}
numbers |= {f"{name}_{channel}": "fp32" for name in ("mean", "std") for channel in range(3)}
constants = {"CHANNELS": int(sys.argv[2]), "BLOCK": warp._BLOCK}
signature = pointers | numbers | dict.fromkeys(constants, "constexpr")
source = ASTSource(fn=kernel.warp, signature=signature, constexprs=constants)
compiled = triton.compile(source, target=GPUTarget("cuda", int(sys.argv[3]), 32))
assert len(compiled.asm["cubin"]) > 1000
"""


@pytest.mark.parametrize(("kind", "channels", "capability"), [("u8", 3, 90), ("bf16", 3, 80), ("u8", 1, 75)])
def test_the_kernel_compiles(tmp_path, kind: str, channels: int, capability: int) -> None:
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, "-c", COMPILE, kind, str(channels), str(capability)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
