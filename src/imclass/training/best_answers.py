"""The best epoch's answers to the validation images, which the report needs and the temperature is fitted on."""

import logging

from imclass.data import PipeChannel
from imclass.images import Loader
from imclass.training.answers import FILE, Answers, joined, temperature_of, write_answers
from imclass.training.checkpoint import Checkpoints
from imclass.training.evaluation import evaluate_run
from imclass.training.job import Job
from imclass.training.process_group import Processes
from imclass.training.progress import Best
from imclass.training.step import Training
from imclass.training.stop_request import StopRequest

log = logging.getLogger(__name__)


def answer_again(
    training: Training, loader: Loader, job: Job, checkpoints: Checkpoints, best: Best, stop: StopRequest
) -> Answers | None:
    """The best epoch's answers of this process, in a run that went on after that epoch and so has them no more.

    Returns:
        None for a validation set that came through a pipe, and when a stop was requested meanwhile.
    """
    if isinstance(job.validation, PipeChannel):
        return None
    processes = training.processes
    weights = processes.gather(checkpoints.load_weights(best.file) if processes.is_main else None)[0]
    training.evaluated_model.load_state_dict(weights)
    evaluation = evaluate_run(training, loader, job, lambda: stop.requested)
    return None if evaluation is None else evaluation.answers


def keep_answers(job: Job, mine: Answers, epoch: int, processes: Processes) -> float | None:
    """Write the answers of all processes, and fit the temperature on them.

    Args:
        mine: answers of this process.
        epoch: that the weights are of, counted from 1.

    Returns:
        The temperature, on the first process; None on the others, and of answers that are not finite.
    """
    parts = processes.gather(mine)
    if not processes.is_main:
        return None
    answers = joined(parts)
    if not isinstance(job.validation, PipeChannel):  # whose images cannot be found again by their places
        write_answers(job.output / FILE, answers, epoch)
    temperature = temperature_of(answers, multi_label=job.settings.multi_label)
    if temperature is not None:
        log.info("Calibration on the validation images: temperature %.3f", temperature)
    return temperature
