"""A command of a container as a process of this machine, which ends with the process that started it.

python -m imclass.sagemaker.control_plane.contained train PARENT
"""

import sys

from imclass.parent import die_with
from imclass.sagemaker import container


def transform() -> None:
    """Do a transform job: `serve`, and what sends it objects."""
    from imclass.sagemaker.control_plane.transform.container import job

    job.main()


def compile_model() -> None:
    """Do a compilation job."""
    from imclass.sagemaker.control_plane.compilation import container as compiling

    compiling.main()


COMMANDS = {"train": container.train, "serve": container.serve, "transform": transform, "compile": compile_model}


def main() -> None:
    """Run the command as `docker run IMAGE COMMAND` does."""
    command, parent = sys.argv[1], int(sys.argv[2])
    die_with(parent)
    del sys.argv[1:]
    COMMANDS[command]()


if __name__ == "__main__":
    main()
