"""The usual ways to train: a plain PyTorch step, and the loaders of timm and torchvision before it.

Both loaders decode with Pillow in processes of their own. The network is timm's of the same depth (ResNet v1.5) in
channels_last memory under autocast, the optimizer torch's SGD with Nesterov's momentum.
"""

from collections.abc import Iterable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.gpu.pictures import CLASSES

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCHES = 4
AHEAD_OF_A_WORKER = 2  # batches, torch's default

Pairs = Iterable[tuple[torch.Tensor, torch.Tensor]]


def prepare_processes(*modules: str) -> None:
    """Let processes of loaders be copies of one that is started now and imports these modules, once for all.

    Copies of this process would inherit what it has on the device, and die of it; fresh ones would each need as long to
    import torch as the whole measurement takes.
    """
    torch.multiprocessing.set_start_method("forkserver")
    torch.multiprocessing.set_forkserver_preload([*modules, "timm.data", "torchvision.transforms.v2"])
    forkserver.ensure_running()


class PlainTraining:
    """What a hand-written training loop has.

    Args:
        compiled: with torch.compile, as a whole.
    """

    def __init__(self, num_layers: int, precision_dtype: str, device: torch.device, *, compiled: bool = False) -> None:
        import timm

        model = timm.create_model(f"resnet{num_layers}", num_classes=CLASSES)
        self.device = device
        self.dtype = getattr(torch, precision_dtype)
        self.model: nn.Module = model.to(device, memory_format=torch.channels_last).train()
        self.network: Any = torch.compile(self.model) if compiled else self.model
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4
        )
        self.loss = nn.CrossEntropyLoss()

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            loss = self.loss(self.network(images), labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def on_random_pixels(self, batch_size: int, side: int) -> Iterator[int]:
        """Steps on normalised images that are on the device already."""
        batches = [
            (
                torch.randn(batch_size, 3, side, side, device=self.device).contiguous(
                    memory_format=torch.channels_last
                ),
                torch.randint(0, CLASSES, (batch_size,), device=self.device),
            )
            for _ in range(BATCHES)
        ]
        while True:
            for images, labels in batches:
                self.step(images, labels)
                yield batch_size

    def from_loader(self, loader: Pairs) -> Iterator[int]:
        """Steps on batches of a loader, pass after pass."""
        while True:
            for images, labels in loader:
                there = images.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)
                self.step(there, labels.to(self.device, non_blocking=True))
                yield len(images)


def timm_loader(folder: Path, batch_size: int, side: int, workers: int, device: torch.device) -> Pairs:
    """timm's own: random resized crop and mirror in Pillow, normalisation on the device."""
    from timm.data import ImageDataset, create_loader

    loader: Pairs = create_loader(
        ImageDataset(str(folder)),
        input_size=(3, side, side),
        batch_size=batch_size,
        is_training=True,
        color_jitter=None,
        interpolation="bilinear",
        mean=MEAN,
        std=STD,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        use_prefetcher=True,
        device=device,
    )
    return loader


def torchvision_loader(folder: Path, batch_size: int, side: int, workers: int, device: torch.device) -> Pairs:
    """torchvision's transforms, version 2, in torch's loader."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(side, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    loader: Pairs = torch.utils.data.DataLoader(
        ImageFolder(str(folder), transform),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
    )
    return loader
