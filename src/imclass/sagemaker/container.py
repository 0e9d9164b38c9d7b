"""The two commands of the container: `docker run IMAGE train` and `docker run IMAGE serve`.

What they need is imported once they have said that they were called, as the original does before anything else.
"""

import argparse
import os
import sys

from imclass.sagemaker.endpoint import OPTIONS_VARIABLE, serve_arguments
from imclass.sagemaker.layout import ROOT_VARIABLE, Layout


def train() -> None:
    """Run the training job in /opt/ml, and end with its exit status."""
    begin(
        "train",
        "Run the SageMaker training job in /opt/ml, as `docker run IMAGE train` does. For data of your own use "
        "`imclass train`.",
    )
    from imclass.sagemaker.supervision import run_container

    sys.exit(run_container(existing_layout("train")))


def serve() -> None:
    """Become `imclass serve`, which gets the platform's SIGTERM itself."""
    begin(
        "serve",
        "Serve the model in /opt/ml/model on port 8080 of all interfaces, as `docker run IMAGE serve` does. "
        f"{OPTIONS_VARIABLE} holds more options of `imclass serve`.",
    )
    arguments = serve_arguments(existing_layout("serve"), os.environ)
    os.execv(sys.executable, [sys.executable, "-m", "imclass", "serve", *arguments])


def begin(command: str, description: str) -> None:
    """Say that the command was called. There are no options: everything comes from files and the environment."""
    argparse.ArgumentParser(prog=command, description=description).parse_args()
    print(f"Docker entrypoint called with argument(s): {command}", flush=True)


def existing_layout(command: str) -> Layout:
    """The folders of the job, unless this is no container of SageMaker."""
    layout = Layout.of(os.environ)
    if not layout.root.is_dir():
        print(
            f"{command}: there is no {layout.root}, where SageMaker puts what a container is to work on; "
            f"{ROOT_VARIABLE} names another folder",
            file=sys.stderr,
        )
        sys.exit(2)
    return layout
