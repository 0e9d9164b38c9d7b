"""A step recorded as one CUDA graph.

A step of a small network is hundreds of short kernels, and Python needs longer to start them than the GPU to run
them. A recording starts them all at once. Everything that changes from step to step lies in tensors: the batch, the
learning rate, the share of mixed labels, the scale of the loss.
"""

import logging

import torch

from imclass.training.step import Answers, Training, Update

log = logging.getLogger(__name__)

STEPS_BEFORE = 3  # real steps, taken unrecorded: optimizer state is made and convolution algorithms are chosen in them


class RecordedUpdate:
    """An update for full batches, recorded at the fourth and replayed from then on.

    Batches of another size (unreadable images are left out) are taken unrecorded. Should recording fail, the log says
    so once and all steps are taken unrecorded.

    Args:
        update: `step.update`, or the compiled one.
        batch_size: of full batches.
    """

    def __init__(self, update: Update, batch_size: int) -> None:
        self.update = update
        self.batch_size = batch_size
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.steps = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.fails = False

    def __call__(
        self,
        training: Training,
        images: torch.Tensor,
        labels: torch.Tensor,
        partner_labels: torch.Tensor | None,
    ) -> Answers:
        if len(images) != self.batch_size or self.fails:
            return self.update(training, images, labels, partner_labels)
        self.steps += 1
        if self.steps <= STEPS_BEFORE:
            return self._step_aside(training, images, labels, partner_labels)
        if self.graph is None and not self._record(training, images, labels, partner_labels):
            return self.update(training, images, labels, partner_labels)
        assert self.graph is not None
        self.images.copy_(images)
        self.labels.copy_(labels)
        if partner_labels is not None:
            self.partner_labels.copy_(partner_labels)
        self.graph.replay()
        return self.answers

    def _step_aside(
        self,
        training: Training,
        images: torch.Tensor,
        labels: torch.Tensor,
        partner_labels: torch.Tensor | None,
    ) -> Answers:
        """A step on another stream than the usual one, as recording asks for."""
        usual = torch.cuda.current_stream()
        self.stream.wait_stream(usual)
        with torch.cuda.stream(self.stream):
            answers = self.update(training, images, labels, partner_labels)
        usual.wait_stream(self.stream)
        return answers

    def _record(
        self,
        training: Training,
        images: torch.Tensor,
        labels: torch.Tensor,
        partner_labels: torch.Tensor | None,
    ) -> bool:
        """Record a step without taking it; whether that worked."""
        self.images, self.labels = images.clone(), labels.clone()
        self.partner_labels = labels.clone()
        partners = None if partner_labels is None else self.partner_labels
        graph = torch.cuda.CUDAGraph()
        training.optimizer.zero_grad(set_to_none=True)
        try:
            # Threads that decode the next batches take memory meanwhile, which is no business of the recording.
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                self.answers = self.update(training, self.images, self.labels, partners)
        except RuntimeError as error:
            log.warning("Steps cannot be recorded as a CUDA graph, going on without: %s", str(error).splitlines()[0])
            self.fails = True
            training.scaler.update(training.scaler.get_scale())  # it forgets the step that was begun
            return False
        self.graph = graph
        return True


def can_be_recorded(training: Training) -> bool:
    """Whether a step runs on one GPU, and no other process takes part in it."""
    processes = training.processes
    return processes.device.type == "cuda" and processes.world_size == 1
