"""`imclass serve`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from imclass.cli.parameters import ClassNames, Device, ImageShape, Threads, class_name_list, pairs, shape_triple
from imclass.memory import keep_memory

_ADDRESS = "Address"
_COMPUTING = "Computing"
_LIMITS = "Limits"

ONLY_NAME = "model"
"""What a model is called that was given without a name."""


def command(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="A model as for predict, or an OpenVINO .xml file of imclass convert; or several as NAME=PATH, served "
            "under /models/NAME/invocations.",
            show_default=False,
        ),
    ],
    *,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to listen on.", rich_help_panel=_ADDRESS)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="0 is any free port.", rich_help_panel=_ADDRESS)
    ] = 8080,
    admin_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Port, on this machine only, on which models can be added and removed; without it there is none.",
            rich_help_panel=_ADDRESS,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Requests must bear the token in this file.", rich_help_panel=_ADDRESS),
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE.pem", help="Certificate chain for HTTPS.", rich_help_panel=_ADDRESS),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE.pem", help="Its private key.", rich_help_panel=_ADDRESS)
    ] = None,
    insecure_public: Annotated[
        bool,
        typer.Option(
            "--insecure-public",
            help="Listen on an address that others can reach without a token and without TLS.",
            rich_help_panel=_ADDRESS,
        ),
    ] = False,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Web site whose pages may send requests, such as https://example.org; may be given several times.",
            rich_help_panel=_ADDRESS,
        ),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="torch|openvino|auto",
            help="What computes (torch; openvino for .xml files); auto measures those that are installed, in seconds, "
            "and takes the fastest that agrees with validation.",
            show_default=False,
            rich_help_panel=_COMPUTING,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="float32|bfloat16|int8|auto",
            help="float32 gives validation's own probabilities, and is used unless the model was converted to int8; "
            "bfloat16 is faster where the hardware has it; auto measures both.",
            show_default=False,
            rich_help_panel=_COMPUTING,
        ),
    ] = None,
    calibrated: Annotated[
        bool,
        typer.Option(
            "--calibrated",
            help="Answer with probabilities that the model's temperature has calibrated, which training fits; they are "
            "not those of SageMaker's endpoints.",
            rich_help_panel=_COMPUTING,
        ),
    ] = False,
    max_batch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=1024,
            help="Most images of a batch (8 on a CPU, 64 on a GPU).",
            show_default=False,
            rich_help_panel=_COMPUTING,
        ),
    ] = None,
    max_delay_ms: Annotated[
        float,
        typer.Option(
            metavar="MS",
            min=0,
            max=10_000,
            help="Longest wait of a batch for images that are being decoded; a lonely request never waits.",
            rich_help_panel=_COMPUTING,
        ),
    ] = 5.0,
    queue_size: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Most images that are accepted and not yet answered; beyond them requests get 503.",
            rich_help_panel=_LIMITS,
        ),
    ] = 1024,
    explain_queue_size: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Most explanations, of all models, that are accepted and not yet answered; beyond them /explain "
            "answers 503.",
            rich_help_panel=_LIMITS,
        ),
    ] = 16,
    max_body_mb: Annotated[
        float,
        typer.Option(metavar="MIB", min=0.001, max=1024, help="Largest request.", rich_help_panel=_LIMITS),
    ] = 6.0,
    max_pixels: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=100_000_000, help="Largest image, width times height.", rich_help_panel=_LIMITS
        ),
    ] = 100_000_000,
    request_timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            max=3600,
            help="From the whole request to its answer; beyond it the request gets 503.",
            rich_help_panel=_LIMITS,
        ),
    ] = 60.0,
    body_timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.1, max=3600, help="For a request's body to arrive.", rich_help_panel=_LIMITS
        ),
    ] = 30.0,
    class_names: ClassNames = None,
    image_shape: ImageShape = None,
    device: Device = "auto",
    threads: Threads = 0,
) -> None:
    """Answer HTTP requests with the probabilities of a model.

    POST an image to /invocations; open / in a browser; /openapi.json describes the rest. SIGTERM and Ctrl-C let the
    server answer what it has accepted, within 30 seconds.

    [bold]Examples[/bold]

    imclass serve run1/model.tar.gz

    imclass serve cats=run1/model.tar.gz dogs=run2/model.tar.gz --port 9000

    imclass serve run1/model.tar.gz --backend auto --precision auto

    imclass serve run1/model.tar.gz --host 0.0.0.0 --token-file token.txt
    """
    shape, names = shape_triple(image_shape), class_name_list(class_names)
    paths = named_models(models)

    keep_memory(of_all_threads=True)
    from imclass.address import Address
    from imclass.cli.log_lines import log_lines_on_stderr
    from imclass.inference.serving.limits import MEBIBYTE, Limits
    from imclass.inference.serving.running import run

    with log_lines_on_stderr():
        run(
            paths,
            Address(host, port, tls_certificate, tls_key),
            insecure_public=insecure_public,
            token_file=token_file,
            cors_origins=tuple(cors_origin or ()),
            admin_port=admin_port,
            limits=Limits(
                body_bytes=round(max_body_mb * MEBIBYTE),
                pixels=max_pixels,
                body_seconds=body_timeout,
                request_seconds=request_timeout,
                waiting_explanations=explain_queue_size,
            ),
            device=device,
            backend=backend,
            precision=precision,
            calibrated=calibrated,
            max_batch=max_batch,
            max_delay=max_delay_ms / 1000,
            queue_size=queue_size,
            threads=threads,
            class_names=names,
            image_shape=shape,
            batch_transform=os.environ.get("SAGEMAKER_BATCH", "").lower() == "true",
        )


def named_models(texts: Sequence[str]) -> dict[str, Path]:
    """Paths by name: one PATH, or any number of NAME=PATH.

    Raises:
        typer.BadParameter: several without names, or names that are given twice.
    """
    if len(texts) == 1 and ("=" not in texts[0] or Path(texts[0]).exists()):
        return {ONLY_NAME: Path(texts[0])}
    nameless = [text for text in texts if "=" not in text]
    if nameless:
        raise typer.BadParameter(f"several models need names: write NAME={nameless[0]}")
    return {name: Path(path) for name, path in pairs("MODEL", texts).items()}
