"""One process of a training job, started by `container` with its place in the environment.

    python -m imclass.sagemaker.worker REPORT PARENT

REPORT is the file that tells the parent process, whose number is PARENT, why this one failed.
"""

import json
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from imclass.parent import die_with
from imclass.pending_file import PendingFile
from imclass.sagemaker.failure import failure_of
from imclass.sagemaker.job import read_job
from imclass.sagemaker.layout import Layout
from imclass.sagemaker.workers import STOPPED_EARLY
from imclass.training import train


def main() -> None:
    """Train, and end with status 0; or report why not, for the parent process to tell, and end with another."""
    report, parent = Path(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGTERM, _end)  # until the run is under way, and answers it by saving
    die_with(parent)
    try:
        run_job(Layout.of(os.environ))
    except Exception as error:
        failure = failure_of(error)
        with PendingFile(report) as file:
            file.write(json.dumps(failure.to_dict()).encode())
        raise SystemExit(failure.exit_status) from error
    _leave()


def _leave() -> NoReturn:
    """End with status 0 at once.

    The usual end of Python unwinds threads that libraries still have in C++, which now and then aborts a process that
    has done all its work.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def run_job(layout: Layout) -> None:
    """The job's part of this process. Everything that a restart goes on with lies in the folder of checkpoints."""
    job = read_job(layout)
    train(
        output=layout.checkpoints,
        channels=job.channels,
        input_data_config=job.input_data_config,
        hyperparameters=job.hyperparameters,
        resume=True,
    )


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(STOPPED_EARLY)


if __name__ == "__main__":
    main()
