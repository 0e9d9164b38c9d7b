"""What a process does with memory that it no longer needs."""

import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys, threading
from imclass.memory import keep_memory

if sys.argv[1] != "plain":
    assert keep_memory(of_all_threads=sys.argv[1] == "keep of all threads")
import torch

def forward():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    activations = torch.ones(16 * 2**20)
    for _ in range(8):
        activations = activations + 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def forwards():
    print(*[forward() for _ in range(8)])

if sys.argv[2] == "main thread":
    forwards()
else:
    thread = threading.Thread(target=forwards)
    thread.start()
    thread.join()
"""


def page_faults(mode: str, where: str) -> list[int]:
    """Of eight passes, each through nine tensors of 64 MiB, which glibc takes from the kernel by default."""
    command = [sys.executable, "-c", COUNT_FAULTS, mode, where]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout
    return [int(word) for word in output.split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
@pytest.mark.parametrize(("mode", "where"), [("keep", "main thread"), ("keep of all threads", "another thread")])
def test_memory_that_is_kept_costs_few_new_pages(mode: str, where: str) -> None:
    plain, kept = page_faults("plain", where), page_faults(mode, where)
    assert min(plain) > 9 * 64 * 2**20 // 4096 * 0.9
    assert sum(kept) < sum(plain) / 4, (plain, kept)
