"""The whole server, put together and run."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from imclass.address import Address, listening_socket
from imclass.device import choose_device
from imclass.inference.serving.admin import create_admin_application
from imclass.inference.serving.application import Parts, create_application
from imclass.inference.serving.decoding import Decoder
from imclass.inference.serving.limits import Limits
from imclass.inference.serving.metrics import Metrics
from imclass.inference.serving.models import Models
from imclass.inference.serving.opening import Computing, Opener
from imclass.inference.serving.server import (
    Process,
    check_exposure,
    check_tls,
    read_token,
)

ADMIN_HOST = "127.0.0.1"


def run(
    models: Mapping[str, str | Path],
    address: Address,
    *,
    insecure_public: bool = False,
    token_file: Path | None = None,
    cors_origins: tuple[str, ...] = (),
    admin_port: int | None = None,
    limits: Limits | None = None,
    device: str = "auto",
    backend: str | None = None,
    precision: str | None = None,
    max_batch: int | None = None,
    max_delay: float = 0.005,
    queue_size: int = 1024,
    threads: int = 0,
    calibrated: bool = False,
    class_names: tuple[str, ...] | None = None,
    image_shape: tuple[int, int, int] | None = None,
    batch_transform: bool = False,
) -> None:
    """Serve models until SIGTERM or Ctrl-C; to be called in the main thread. Then the signal is raised again.

    Args:
        models: paths by name.
        address: where to listen.
        insecure_public: allow an address that others can reach without a token and without TLS.
        token_file: requests must bear the token in it.
        cors_origins: web sites whose pages may send requests.
        admin_port: of 127.0.0.1, on which models are added and removed; None for no administration.
        limits: of requests.
        device: auto, cpu, cuda or cuda:N.
        backend, precision, max_batch, max_delay, queue_size: as in `Computing`.
        threads: that decode; 0 is one a core.
        calibrated: as in `Computing`.
        class_names, image_shape: of all models, as in `Opener.open`.
        batch_transform: whether SageMaker's batch transform sends the requests.

    Raises:
        UserError: the address cannot be had or is not protected, a file is wrong, or a model cannot be opened.
        RuntimeError: a model does not work.
    """
    limits = limits or Limits()
    token = None if token_file is None else read_token(token_file)
    check_tls(address.certificate, address.key)
    check_exposure(address, has_token=token is not None, insecure_public=insecure_public)
    computing = Computing(choose_device(device), backend, precision, max_batch, max_delay, queue_size, calibrated)
    with ExitStack() as stack:
        # Before the models are opened, which takes time: a port that is taken is found out at once.
        opened = stack.enter_context(listening_socket(address))
        admin_socket = None
        if admin_port is not None:
            admin_socket = stack.enter_context(listening_socket(Address(ADMIN_HOST, admin_port)))
        metrics, decoder = Metrics(), Decoder(threads, limits.pixels)
        opener = Opener(computing, decoder, limits, metrics)
        served = Models(
            [
                opener.open(name, Path(path), class_names=class_names, image_shape=image_shape)
                for name, path in models.items()
            ],
            metrics.remove,
        )
        process = Process(served)
        parts = Parts(
            models=served,
            decoder=decoder,
            metrics=metrics,
            limits=limits,
            batch_transform=batch_transform,
            token=token,
            cors_origins=cors_origins,
            on_fault=process.fail,
        )
        admin = None if admin_socket is None else (create_admin_application(served, opener), admin_socket)
        process.run(create_application(parts), address, opened, admin)
