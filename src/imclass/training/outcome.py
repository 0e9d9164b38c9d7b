"""What a run leaves: the model file and the list of unreadable images."""

import json
import logging
from pathlib import Path

from imclass import artifact
from imclass.hyperparameters import to_strings
from imclass.images import BadImages
from imclass.training.checkpoint import Checkpoints
from imclass.training.job import Job
from imclass.training.process_group import Processes
from imclass.training.progress import Progress
from imclass.training.step import Training
from imclass.version import VERSION

log = logging.getLogger(__name__)


def count_bad(bad_images: BadImages, processes: Processes) -> int:
    return len(_all_bad(bad_images, processes))


def _all_bad(bad_images: BadImages, processes: Processes) -> list[tuple[str, str, str]]:
    return sorted({entry for entries in processes.gather(bad_images.entries) for entry in entries})


def write_bad_images(bad_images: BadImages, output: Path, processes: Processes) -> None:
    """Write this machine's view of unreadable images, one JSON object a line, also when the run failed."""
    entries = sorted(bad_images.entries)
    name = "bad_images.jsonl" if processes.is_main else f"bad_images.{processes.rank}.jsonl"
    if not entries and not processes.is_main:
        return
    lines = [json.dumps({"key": key, "reason": reason, "source": source}) for source, key, reason in entries]
    temporary = output / f".{name}.tmp"
    temporary.write_text("".join(line + "\n" for line in lines))
    temporary.replace(output / name)
    if entries:
        log.warning("%d unreadable images are listed in %s", len(entries), output / name)


def write_artifact(job: Job, checkpoints: Checkpoints, training: Training, progress: Progress, path: Path) -> None:
    """model.tar.gz: the best epoch's weights (the present ones before the first epoch is done), and what they are."""
    settings = job.settings
    if progress.best.epoch >= 0:
        weights = checkpoints.load_weights(progress.best.file)
        metrics = progress.metrics[progress.best.epoch]
    else:
        weights = {key: value.contiguous().cpu() for key, value in training.evaluated_model.state_dict().items()}
        metrics = {}
    mean, std = training.model.normalisation  # type: ignore[misc]
    description = artifact.Description(
        network=job.network,
        num_layers=settings.num_layers,
        image_shape=settings.image_shape,
        num_classes=job.num_classes,
        class_names=job.class_names,
        multi_label=settings.multi_label,
        normalisation=artifact.Normalisation(mean=mean, std=std),
        resize=settings.resize,
        resize_mode=settings.resize_mode,
        fill_value=job.preprocessing.fill_value,
        hyperparameters=to_strings(settings),
        metrics=metrics,
        epoch=progress.best.epoch + 1,
        imclass_version=VERSION,
    )
    artifact.save(path, description, weights, checkpoints=checkpoints.periodic())
    log.info("Wrote %s", path)
