"""The process of one trial.

    python -m imclass.tuning.trial_process FOLDER PARENT

FOLDER holds its order (see `trial_folder`); PARENT is the number of the process that started it, with which it dies.
SIGTERM lets it finish its step, write a checkpoint and its model and end with status 143.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from imclass.errors import UserError
from imclass.parent import die_with
from imclass.tuning.trial_folder import TrialFolder

USER_ERROR, TERMINATED = 2, 128 + signal.SIGTERM


def main() -> None:
    folder, parent = TrialFolder(Path(sys.argv[1]), "validation:accuracy"), int(sys.argv[2])
    signal.signal(signal.SIGTERM, _end)  # until the run is under way, and answers it by saving
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, which then says what to do
    die_with(parent)
    order = folder.read_order()
    os.sched_setaffinity(0, order.cores)
    # After the cores are set: PyTorch counts them when it is imported.
    from imclass.training import train

    try:
        run = train(output=folder.path, resume=True, **order.options)
    except UserError as error:
        folder.write_failure(str(error))
        raise SystemExit(USER_ERROR) from error
    except Exception as error:
        folder.write_failure(f"{type(error).__name__}: {error}")
        raise
    if run.interrupted:
        raise SystemExit(TERMINATED)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)


if __name__ == "__main__":
    main()
