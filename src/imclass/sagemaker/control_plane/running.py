"""The whole control plane, put together and run."""

import logging
import re
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from imclass.address import BACKLOG, Address, is_loopback, listening_socket
from imclass.errors import UserError
from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.api.secret import read_secret
from imclass.sagemaker.control_plane.api.signature import AcceptAll, SignatureError, SignatureVerifier, Verifier
from imclass.sagemaker.control_plane.application import OPERATIONS, Application
from imclass.sagemaker.control_plane.compilation.runs import CompilationRun
from imclass.sagemaker.control_plane.console.access import Access
from imclass.sagemaker.control_plane.console.application import ClosedConsole, Console, Inside
from imclass.sagemaker.control_plane.console.passing_on import SANDBOX, with_headers
from imclass.sagemaker.control_plane.hosting.endpoints import Endpoints
from imclass.sagemaker.control_plane.hosting.fleet import HostingPlaces
from imclass.sagemaker.control_plane.hosting.invocations import Invocations
from imclass.sagemaker.control_plane.jobs.runner import LocalRunner
from imclass.sagemaker.control_plane.jobs.runs import JobRuns, Places
from imclass.sagemaker.control_plane.jobs.slots import Slots
from imclass.sagemaker.control_plane.operations.plane import Plane
from imclass.sagemaker.control_plane.store.buckets import Buckets
from imclass.sagemaker.control_plane.store.local_buckets import LocalBuckets
from imclass.sagemaker.control_plane.store.log_files import LogFolder
from imclass.sagemaker.control_plane.store.s3_elsewhere import S3Elsewhere
from imclass.sagemaker.control_plane.store.state import opened_state
from imclass.sagemaker.control_plane.training.runs import TrainingRuns
from imclass.sagemaker.control_plane.transform.runs import TransformRun
from imclass.sagemaker.control_plane.tuning.runs import TuningPlaces, TuningRuns
from imclass.sagemaker.s3.application import S3Application
from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.store import Store

if TYPE_CHECKING:
    from imclass.sagemaker.control_plane.jobs.ray_runner import RayCluster, RayRunner

log = logging.getLogger(__name__)

REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
STOP_SECONDS = 10


def run(
    address: Address,
    data: Path,
    *,
    region: str = "us-east-1",
    slots: int,
    access_key: str | None = None,
    secret_key_file: Path | None = None,
    s3_endpoint: str | None = None,
    ray: "RayCluster | None" = None,
    console_token_file: Path | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, which is raised again; to be called in the main thread.

    Args:
        address: where to listen.
        data: folder of everything that is kept.
        region: of the ARNs.
        slots: how many jobs run at once.
        access_key, secret_key_file: requests must be signed with them; an address that others reach needs them.
        s3_endpoint: URL of an S3 that is used instead of our own.
        ray: the cluster that training jobs run on; without one they run here.
        console_token_file: the console asks for the token in it; where requests must be signed it needs one.

    Raises:
        UserError: the address cannot be had or is not protected, a file is wrong, or the folder is in use.
    """
    if REGION.fullmatch(region) is None:
        raise UserError(f"{region!r} is not the name of a region", where="--region", fix="Give one such as us-east-1.")
    verifier = make_verifier(address, access_key, secret_key_file)
    access = make_access(verifier, console_token_file)
    account = Account(region)
    data = data.absolute()
    with ExitStack() as stack:
        opened = stack.enter_context(listening_socket(address))
        state = stack.enter_context(opened_state(data))
        buckets, s3, store = opened_s3(data, s3_endpoint, verifier, region)
        logs = LogFolder(data / "logs")
        here = LocalRunner(Slots(slots))
        runner = here if ray is None else stack.enter_context(ray_runner(ray, data))
        places = Places(state, buckets, logs, here, account, data)
        runs = TrainingRuns(replace(places, runner=runner, folder=data / "jobs"))
        transforms = JobRuns(replace(places, folder=data / "transform-jobs"), TransformRun)
        compilations = JobRuns(replace(places, folder=data / "compilation-jobs"), CompilationRun)
        kinds: list[JobRuns[Any]] = [runs, transforms, compilations]
        for jobs in kinds:
            stack.enter_context(closing(jobs))
            jobs.reclaim()
        for jobs in kinds:  # only now: none of them takes a place that another one has had
            jobs.resume()
        tuning = TuningRuns(TuningPlaces(state, logs, account, runs))
        stack.enter_context(closing(tuning))
        tuning.resume()
        endpoints = Endpoints(HostingPlaces(state, buckets, logs, account, data / "endpoints"))
        endpoints.start()
        stack.enter_context(closing(endpoints))
        plane = Plane(
            account, state, buckets, logs, runs, endpoints, transforms, compilations, tuning, verifier.sessions
        )
        runtime = Invocations(endpoints.router, state, account, verifier)
        console = make_console(plane, access, store)
        application = Application(plane, verifier, console, runtime, s3)
        opened.listen(BACKLOG)  # so that whoever reads the next line can connect
        log.info("listening on %s", replace(address, port=opened.getsockname()[1]).url)
        uvicorn.Server(_config(application)).run([opened])


def make_verifier(address: Address, access_key: str | None, secret_key_file: Path | None) -> Verifier:
    """What checks who sends requests.

    Raises:
        UserError: only one half of the credentials is there, the secret cannot be read, or the address needs both.
    """
    if (access_key is None) != (secret_key_file is None):
        raise UserError("credentials have two halves", fix="Give both --access-key and --secret-key-file, or neither.")
    if access_key is not None and secret_key_file is not None:
        return SignatureVerifier(access_key, read_secret(secret_key_file))
    if not is_loopback(address.host):
        raise UserError(
            f"{address.host} can be reached from other machines, and anyone there could run jobs",
            where="--host",
            fix="Give --access-key and --secret-key-file.",
        )
    return AcceptAll()


def ray_runner(cluster: "RayCluster", data: Path) -> "closing[RayRunner]":
    """What runs jobs on a cluster, until the end of a block.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """
    from imclass.sagemaker.control_plane.jobs.ray_runner import RayRunner

    return closing(RayRunner(cluster, data))


def opened_s3(
    data: Path, endpoint: str | None, verifier: Verifier, region: str
) -> tuple[Buckets, ASGIApp, Store | None]:
    """The buckets for jobs, what answers requests of S3, and the store of both where it is our own.

    Raises:
        UserError: the folder cannot be used, or the endpoint is no address.
    """
    if endpoint is None:
        store = Store(data / "s3")
        return LocalBuckets(store), s3_application(store, verifier, region), store
    if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname:
        raise UserError(
            f"{endpoint!r} is no address of a server",
            where="--s3-endpoint",
            fix="Give one such as http://10.0.0.5:9000.",
        )
    from imclass.sagemaker.control_plane.store.remote_buckets import RemoteBuckets

    return RemoteBuckets(endpoint, region, data / "cache"), S3Elsewhere(endpoint), None


def make_access(verifier: Verifier, token_file: Path | None) -> Access | None:
    """Who may use the console; None for nobody, because a browser cannot sign and there is no token.

    Raises:
        UserError: the token cannot be read.
    """
    if token_file is not None:
        return Access(read_secret(token_file, "token of the console"))
    return Access() if isinstance(verifier, AcceptAll) else None


def make_console(plane: Plane, access: Access | None, store: Store | None) -> ASGIApp:
    """What answers people, in whose name it asks endpoints and S3 without a signature.

    Args:
        access: None for no console.
    """
    if access is None:
        return ClosedConsole()
    objects = None if store is None else S3Application(store, region=plane.account.region)
    runtime = Invocations(plane.endpoints.router, plane.state, plane.account, AcceptAll())
    return Console(plane, OPERATIONS, access, Inside(store, objects, runtime))


def s3_application(store: Store, verifier: Verifier, region: str) -> ASGIApp:
    """What answers requests of S3; signatures are checked as those of the other services are.

    Pages in buckets do not become pages of the console, which has the same origin.
    """

    def verify(method: str, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        try:
            verifier.check(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, headers, None)
        except SignatureError as error:
            raise S3Error(error.code, error.message) from error

    return with_headers(S3Application(store, verify, region), SANDBOX)


def _config(application: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        ws="none",
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=STOP_SECONDS,
    )
