"""What a run is asked to do, and what it gave."""

from dataclasses import dataclass
from pathlib import Path

from imclass.data import PipeChannel, Source
from imclass.hyperparameters import Hyperparameters
from imclass.images import Preprocessing


@dataclass(frozen=True)
class Job:
    """What to train on what.

    Attributes:
        train, validation: labelled images; labels checked against the settings, those of pipes as they arrive.
        settings: with num_classes and num_training_samples filled in.
        network: "resnet_v2" or "resnet_v1".
        class_names: index = class number, None when nobody knows them.
        output: folder for everything the run writes.
        pretrained: weights file to start from with a new last layer, or None.
        initial_model: model file to go on training, or None.
        threads: decoding threads, 0 for one a core.
    """

    train: Source | PipeChannel
    validation: Source | PipeChannel
    settings: Hyperparameters
    network: str
    class_names: tuple[str, ...] | None
    output: Path
    pretrained: Path | None = None
    initial_model: Path | None = None
    resume: bool = False
    threads: int = 0

    @property
    def num_classes(self) -> int:
        assert self.settings.num_classes is not None
        return self.settings.num_classes

    @property
    def preprocessing(self) -> Preprocessing:
        settings = self.settings
        return Preprocessing(image_shape=settings.image_shape, resize=settings.resize, resize_mode=settings.resize_mode)


@dataclass(frozen=True)
class Run:
    """What a run gave.

    Attributes:
        output: its folder.
        model_path: the model file in it.
        metrics: one dictionary an epoch, as in metrics.jsonl.
        best: the dictionary of the epoch whose weights the model file holds; empty if not one epoch was completed.
        hyperparameters: the settings used.
        interrupted: SIGTERM ended it early; `resume` goes on.
    """

    output: Path
    model_path: Path
    metrics: list[dict[str, float]]
    best: dict[str, float]
    hyperparameters: Hyperparameters
    interrupted: bool
