"""Runs whose images come through pipes: what such a run needs, and the order of its batches."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from imclass.data import ArrivedSamples, LabelRules, Pass, PipeChannel, Seat, Source, check_labels, check_width
from imclass.errors import HyperparameterError, listing
from imclass.hyperparameters import Hyperparameters
from imclass.training.process_group import Processes


def check_pipe_settings(settings: Hyperparameters, *, trains_on_pipe: bool) -> None:
    """Check that a run with a pipe was told what it would otherwise count, and asks for nothing that needs all labels.

    Args:
        trains_on_pipe: whether it is the train channel that is a pipe, or validation alone.

    Raises:
        HyperparameterError: everything that is missing or cannot be.
    """
    problems = []
    if settings.num_classes is None:
        problems.append("num_classes must be given: nobody can count the classes of a stream in advance")
    if trains_on_pipe and settings.num_training_samples is None:
        problems.append("num_training_samples must be given: it is the length of an epoch")
    if trains_on_pipe and settings.class_weights == "balanced":
        problems.append("class_weights=balanced counts the labels of all training images, which needs File mode")
    if trains_on_pipe and settings.use_weighted_loss:
        problems.append("use_weighted_loss=1 counts the labels of all training images, which needs File mode")
    if problems:
        raise HyperparameterError(f"these settings do not go with Pipe mode:\n{listing(problems)}")


def seat(channels: tuple[Source | PipeChannel, ...], processes: Processes, stack: ExitStack) -> None:
    """Let the processes of each host find the one that reads the pipes; `stack` closes them."""
    place = Seat(processes.rank, processes.world_size, processes.local_world_size)
    for channel in channels:
        if isinstance(channel, PipeChannel):
            stack.callback(channel.close)
            addresses = processes.gather(channel.listen(place))
            channel.connect(addresses[processes.rank - processes.local_rank])


@dataclass(frozen=True)
class PipeSampler:
    """The order of a run on a pipe; the counterpart of `sampling.Sampler`.

    An epoch is one pass of `samples` samples. Its order and augmentation depend on the seed, the epoch and the place of
    each sample in the stream, so an epoch can be repeated, also in part, from a stream that begins anew.

    Attributes:
        channel: the train channel.
        samples: length of an epoch.
        batch_size: samples a step takes, over all processes.
        steps_per_epoch: steps of an epoch: whole batches only.
        seed: of the order.
        shuffle_buffer: samples that are held to shuffle them.
        rules: what labels may look like.
    """

    channel: PipeChannel
    samples: int
    batch_size: int
    steps_per_epoch: int
    seed: int
    shuffle_buffer: int
    rules: LabelRules

    def requests(self, begin: int, end: int, processes: Processes) -> Iterator[ArrivedSamples]:
        """This process's share of the batches of steps `begin` ... `end` - 1, which lie in one epoch.

        Raises (while iterating):
            DataError: the pipe fails, or labels do not fit.
        """
        epoch, first = divmod(begin, self.steps_per_epoch)
        one = Pass(
            number=epoch,
            samples=self.samples,
            rounds=range(first, first + end - begin),
            batch_size=self.batch_size,
            shuffle_buffer=self.shuffle_buffer,
            seed=self.seed,
            rules=self.rules,
        )
        return checked_batches(self.channel, one)


def evaluation_batches(
    channel: PipeChannel, batch_size: int, processes: Processes, *, num_classes: int, multi_label: bool
) -> Iterator[ArrivedSamples]:
    """This process's share of the next FIFO to its end; all shares together hold each sample once.

    Args:
        batch_size: most samples of a batch on one process.

    Raises (while iterating):
        DataError: the pipe fails, or labels do not fit.
    """
    one = Pass(
        number=0,
        samples=None,
        rounds=None,
        batch_size=batch_size * processes.world_size,
        shuffle_buffer=0,
        seed=0,
        rules=LabelRules(channel.label_format, num_classes, multi_label),
    )
    return checked_batches(channel, one)


def checked_batches(channel: PipeChannel, one: Pass) -> Iterator[ArrivedSamples]:
    """The batches of a pass, with the checks that a source's labels get all at once."""
    for batch in channel.batches(one):
        check_width(batch, one.rules.num_classes, one.rules.multi_label)
        check_labels(batch, one.rules.num_classes, one.rules.multi_label)
        yield batch


def count_samples(source: Source | PipeChannel, declared: int | None, processes: Processes) -> int:
    """Number of samples of a data set. All processes must ask at the same point.

    Args:
        declared: what is believed of a pipe; None counts what its last pass held, over all hosts.
    """
    if not isinstance(source, PipeChannel):
        return len(source)
    if declared is not None:
        return declared
    counts = processes.gather(source.counted or 0)
    return sum(counts[:: processes.local_world_size]) if source.is_sharded else max(counts)
