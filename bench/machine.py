"""What a figure was measured on."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import torch

from imclass.device import multiplies_bfloat16
from imclass.images import available_cores
from imclass.version import VERSION

PACKAGES = ("torch", "numpy", "opencv-python-headless", "simplejpeg", "openvino")
CPU = torch.device("cpu")


def describe(device: torch.device = CPU) -> dict[str, object]:
    """Processor, GPU, system and versions, for JSON."""
    described: dict[str, object] = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processor": _processor(),
        "cores": available_cores(),
        "multiplies_bfloat16": multiplies_bfloat16(CPU),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30,
        "load_average": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(),
        "imclass": VERSION,
        "commit": _commit(),
    }
    for package in PACKAGES:
        try:
            described[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            described[package] = None
    return described | (_gpu(device) if device.type == "cuda" else {})


def _gpu(device: torch.device) -> dict[str, object]:
    facts = torch.cuda.get_device_properties(device)
    return {
        "gpu": facts.name,
        "gpus": torch.cuda.device_count(),
        "gpu_memory_gib": round(facts.total_memory / 2**30, 1),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def in_words(described: dict[str, object]) -> str:
    """One line for above a table."""
    bfloat16 = "with" if described["multiplies_bfloat16"] else "without"
    return (
        f"{described['cores']} cores of {described['processor']} {bfloat16} bfloat16, "
        f"load {described['load_average']:.1f}; "
        f"Python {described['python']}, torch {described['torch']}, imclass {described['commit']}"
    )


def _processor() -> str:
    """The model; of Linux, which leaves it out of `platform.processor`, with family and number."""
    facts: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if sys.platform == "linux" and cpuinfo.exists():
        for line in cpuinfo.read_text().split("\n\n")[0].splitlines():
            name, _, value = line.partition(":")
            facts[name.strip()] = value.strip()
    if "model name" not in facts:
        return platform.processor() or platform.machine()
    return f"{facts['model name']} (family {facts['cpu family']}, model {facts['model']})"


def _commit() -> str | None:
    """Of the working tree that this file is in; None outside one."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip() or None
