"""What a run needs to go on after it was killed, and the weights that its artifact is made of.

    OUTPUT/checkpoints/last.pt                  state after the last completed epoch (or step, after a SIGTERM)
    OUTPUT/checkpoints/best-NNNN.safetensors    weights of the best epoch so far; epochs count from 1
    OUTPUT/checkpoints/epoch-NNNN.safetensors   every `checkpoint_frequency` epochs

`last.pt` is read with `weights_only=True`: tensors, numbers, strings, lists and dictionaries, never code. Each file
is written under a temporary name and then replaced, and `last.pt` comes last, so that it only names files that exist.

The tensors of an epoch are copied to the host's memory, and the files are written while the next epoch trains: for a
small network, writing takes as long as a third of an epoch of CIFAR-10.
"""

import io
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
import torch.distributed as distributed
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from imclass.errors import ArtifactError, UserError, listing
from imclass.pending_file import PendingFile
from imclass.training.behind import Behind
from imclass.training.process_group import Processes
from imclass.training.progress import Progress
from imclass.training.step import Training

log = logging.getLogger(__name__)
original = logging.getLogger("imclass.original")

FORMAT = 1
LAST = "checkpoints/last.pt"
# What may differ between a run and its continuation.
CHANGEABLE = frozenset(
    {
        "epochs",
        "artifact_format",
        "bad_image_limit",
        "compile",
        "decoder",
        "early_stopping_min_epochs",
        "_tuning_objective_metric",
    }
)


class Checkpoints:
    """The checkpoints folder of one run. Only rank 0 writes. The files are complete when its `with` block ends."""

    def __init__(
        self, output: Path, settings: dict[str, str], data: str, class_names: tuple[str, ...] | None = None
    ) -> None:
        self.folder = output / "checkpoints"
        self.last = output / LAST
        self.settings = settings
        self.data = data
        self.class_names = class_names
        self._writing = Behind()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.finish()
        except Exception as problem:
            if error is None:
                raise
            log.error("%s", problem)  # what ended the run counts more

    def save(self, training: Training, progress: Progress, weights: Sequence[str] = ()) -> None:
        """Copy the state of a run and write it, while the caller goes on; `finish` waits. Call it on rank 0 only.

        Args:
            weights: names of the files that the weights that are validated are written to as well.

        Raises:
            UserError: what was to be written before could not be.
        """
        average = training.average
        state = {
            "format": FORMAT,
            "settings": self.settings,
            "data": self.data,
            "class_names": None if self.class_names is None else list(self.class_names),
            "progress": progress.to_dict(),
            "model": training.model.state_dict(),
            "optimizer": training.optimizer.state_dict(),
            "scaler": training.scaler.state_dict(),
            "average": average.model.state_dict() if average else None,
            "average_updates": average.updates if average else 0,
        }
        self.finish()
        self._writing.start(partial(self._write, _on_host(state), tuple(weights), progress.best.file))

    def finish(self) -> None:
        """Wait until all that was saved is written.

        Raises:
            UserError: it could not be.
        """
        self._writing.finish()

    def _write(self, state: dict[str, Any], weights: Sequence[str], best: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        evaluated = state["average"] or state["model"]
        for name in weights:
            with PendingFile(self.folder / name) as file:
                file.write(to_bytes({key: value.contiguous() for key, value in evaluated.items()}))
            original.info('Saved checkpoint to "%s"', self.folder / name)
        with PendingFile(self.last) as file:
            torch.save(state, file.stream)
        self._keep_only(best)

    def load_weights(self, name: str) -> dict[str, torch.Tensor]:
        return load_file(self.folder / name)

    def clear(self) -> None:
        """Remove what a run left that was killed before its first checkpoint."""
        for path in self.folder.glob("*.safetensors"):
            path.unlink()

    def periodic(self) -> list[Path]:
        """The periodic weights files, in order of their epochs."""
        return sorted(self.folder.glob("epoch-*.safetensors"))

    def _keep_only(self, name: str) -> None:
        """Remove the weights of epochs that are no longer the best."""
        for path in self.folder.glob("best-*.safetensors"):
            if path.name != name:
                path.unlink()

    def read(self, processes: Processes) -> dict[str, Any] | None:
        """The saved state, on every process, or None if there is none.

        Raises:
            ArtifactError: the file is damaged.
            UserError: the state is of a run with other hyperparameters or other data; every difference is named.
        """
        state = _read_state(self.last, processes)
        if state is not None:
            self._check(state)
        return state

    def _check(self, state: dict[str, Any]) -> None:
        old, new = state["settings"], self.settings
        names = sorted((old.keys() | new.keys()) - CHANGEABLE)
        different = [
            f"{name}: {old.get(name, 'not set')} before, {new.get(name, 'not set')} now"
            for name in names
            if old.get(name) != new.get(name)
        ]
        if state["data"] != self.data:
            different.append("the data is not what the run was started with")
        if different:
            raise UserError(
                f"the run in this folder was started differently:\n{listing(different)}",
                where=str(self.last),
                fix="Resume with the same settings and data, or choose another --output.",
            )

    def restore(self, state: dict[str, Any], training: Training) -> Progress:
        """Put a saved state into a freshly built training, strictly."""
        training.model.load_state_dict(state["model"])
        training.optimizer.load_state_dict(state["optimizer"])
        training.scaler.load_state_dict(state["scaler"])
        if training.average:
            training.average.model.load_state_dict(state["average"])
            training.average.updates = state["average_updates"]
        return Progress.from_dict(state["progress"])


def _on_host(value: Any) -> Any:
    """Copies of all tensors of a state, in the host's memory."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _on_host(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_on_host(part) for part in value]
    return value


def saved_settings(output: Path, processes: Processes) -> dict[str, str]:
    """The settings of the run in `output`, on every process.

    Raises:
        ArtifactError: its checkpoint is damaged.
    """
    state = _read_state(output / LAST, processes)
    assert state is not None, "asked only where there is a checkpoint"
    settings: dict[str, str] = state["settings"]
    return settings


def _read_state(path: Path, processes: Processes) -> dict[str, Any] | None:
    """The first process reads, and all get it: machines need not share the folder."""
    content = [path.read_bytes() if processes.is_main and path.exists() else None]
    if processes.world_size > 1:
        distributed.broadcast_object_list(content, src=0)
    if content[0] is None:
        return None
    return parse_state(content[0], path)


def parse_state(content: bytes, path: Path) -> dict[str, Any]:
    """The state in the bytes of `last.pt`.

    Raises:
        ArtifactError: it is damaged, or of another format.
    """
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        raise ArtifactError(
            f"the checkpoint cannot be read: {error}",
            where=str(path),
            fix="Delete the output folder to start afresh.",
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ArtifactError(f"this is no checkpoint of format {FORMAT}, which this version reads", where=str(path))
    return state
