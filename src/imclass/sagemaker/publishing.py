"""What the platform takes from a job: the model, and what else tells of the run."""

import logging
import shutil
import sys

from imclass.artifact.unpacking import unpack
from imclass.pending_file import remove_left_over
from imclass.sagemaker.layout import Layout

log = logging.getLogger(__name__)

MODEL = "model.tar.gz"
REPORTS = ("metrics.jsonl", "bad_images.jsonl", "run.json", "validation.safetensors")
"""What `imclass report` needs beside the model, and the list of unreadable images."""
EVENTS = "tensorboard"


def publish_model(layout: Layout, *, recovers: bool = False) -> bool:
    """Move the run's model file, unpacked, to /opt/ml/model, which the platform packs again.

    Args:
        recovers: the run was ended before it could write one; the checkpoint has the weights.

    Returns:
        False when there is none.
    """
    written = layout.checkpoints / MODEL
    if recovers:
        from imclass.training.outcome import recover_model  # needs PyTorch, and a second for it, as nothing else here

        recover_model(layout.checkpoints, written)
    if not written.exists():
        return False
    if layout.model.exists():
        remove_left_over(layout.model)  # of an attempt that was killed here
    names = unpack(written, layout.model, limit=sys.maxsize)  # our own file, however large
    written.unlink()  # else it would be kept in step with storage, beside the checkpoints that it is made of
    log.info("The model is in %s: %s", layout.model, ", ".join(names))
    return True


def publish_reports(layout: Layout) -> None:
    """Copy what tells of the run, as far as it is there, to /opt/ml/output/data."""
    layout.output_data.mkdir(parents=True, exist_ok=True)
    for name in REPORTS:
        if (layout.checkpoints / name).exists():
            shutil.copyfile(layout.checkpoints / name, layout.output_data / name)
    events = layout.checkpoints / EVENTS
    if events.exists():
        shutil.copytree(events, layout.output_data / EVENTS, dirs_exist_ok=True)
