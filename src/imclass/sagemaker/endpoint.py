"""What SageMaker's environment variables mean for `imclass serve`."""

import shlex
from collections.abc import Mapping

from imclass.sagemaker.layout import Layout

PORT = "8080"
OPTIONS_VARIABLE = "IMCLASS_SERVE_OPTIONS"
COMPILED_GRAPH = "compiled.xml"
"""The file that an archive with a model for OpenVINO has, with `compiled.bin` beside it."""


def serve_arguments(layout: Layout, environment: Mapping[str, str]) -> list[str]:
    """The arguments of `imclass serve` for the model in /opt/ml/model.

    The server listens on all interfaces without token and TLS: the platform asks for that, and lets nobody else in.

    Args:
        environment: SAGEMAKER_BIND_TO_PORT and SAGEMAKER_MAX_PAYLOAD_IN_MB are the platform's; IMCLASS_SERVE_OPTIONS is
            the user's, comes last and wins. SAGEMAKER_BATCH is read by the server itself.
    """
    port = environment.get("SAGEMAKER_BIND_TO_PORT") or PORT
    compiled = layout.model / COMPILED_GRAPH
    model = compiled if compiled.exists() else layout.model
    arguments = [str(model), "--host", "0.0.0.0", "--port", port, "--insecure-public"]
    payload = environment.get("SAGEMAKER_MAX_PAYLOAD_IN_MB", "")
    if payload not in ("", "0"):  # 0 stands for no limit, which this server does not offer
        arguments += ["--max-body-mb", payload]
    return arguments + shlex.split(environment.get(OPTIONS_VARIABLE, ""))
