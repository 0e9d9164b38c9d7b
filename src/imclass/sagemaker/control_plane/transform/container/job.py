"""A transform job, told from its order to its end.

    python -m imclass.sagemaker.control_plane.contained transform PARENT

The exit status is 0 when every object has a result, 2 when some have none for a reason that the user can put right, and
1 for other reasons; /opt/ml/output/failure says which.
"""

import os
import signal
import sys
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from imclass.errors import UserError
from imclass.sagemaker.control_plane.hosting.model_archive import unpack_model
from imclass.sagemaker.control_plane.jobs.failure_file import tell_failure
from imclass.sagemaker.control_plane.store.log_files import LogWriter
from imclass.sagemaker.control_plane.transform.container.client import Client, ExecutionParameters, InvocationError
from imclass.sagemaker.control_plane.transform.container.in_order import in_order
from imclass.sagemaker.control_plane.transform.container.order import TransformFolder, TransformOrder
from imclass.sagemaker.control_plane.transform.container.processing import FilterError, Processing
from imclass.sagemaker.control_plane.transform.container.records import Broken, EndOfObject, Item, Record, items_of
from imclass.sagemaker.control_plane.transform.container.results import DataLog, Results
from imclass.sagemaker.control_plane.transform.container.server import ContainerError, ModelServer, model_server
from imclass.sagemaker.layout import Layout

DEFAULT_CONCURRENT_TRANSFORMS = 1
DEFAULT_PAYLOAD_IN_MB = 6
MEBIBYTE = 1 << 20
USERS, OURS = 2, 1
TERMINATED = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Failure:
    """Why a record has no result.

    Attributes:
        kind: such as `ClientError: 400`.
        message: what the container said.
    """

    kind: str
    message: str


def main() -> None:
    """Do the job whose folder is above that of the container, and end with its exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    layout = Layout.of(os.environ)
    try:
        sys.exit(transform(TransformFolder(layout.root.parent)))
    except UserError as error:
        tell_failure(layout, f"ClientError: {error}")
        sys.exit(USERS)
    except (ContainerError, InvocationError) as error:
        tell_failure(layout, f"AlgorithmError: {error}")
        sys.exit(OURS)


def transform(folder: TransformFolder) -> int:
    """Do the whole job.

    Returns:
        The exit status.

    Raises:
        UserError: the model cannot be had, or results cannot be written.
        ContainerError: the container does not serve, or serves no more.
        InvocationError: it does not say how it wants to be asked.
    """
    order = folder.read_order()
    if folder.model_archive.exists():  # else the files are in their place already
        unpack_model(folder.model_archive, folder.layout.model)
    with (
        LogWriter(Path(order.data_log)) as log,
        model_server(order.invocations_timeout) as server,
        closing(connected(server, order)) as client,
    ):
        results = transformed(order, folder, client, DataLog(log))
    if not results.failed:
        return 0
    is_users = all(reason.startswith("ClientError") for reason in results.failed.values())
    tell_failure(folder.layout, failure_text(order, results, is_users=is_users))
    return USERS if is_users else OURS


def connected(server: ModelServer, order: TransformOrder) -> Client:
    """A client of the server, which is healthy."""
    headers = {"Content-Type": order.content_type, "Accept": order.accept}
    return Client(
        server.wait_until_healthy(),
        {name: value for name, value in headers.items() if value is not None},
        order.invocations_timeout,
        order.invocations_max_retries,
        server.check_alive,
    )


def transformed(order: TransformOrder, folder: TransformFolder, client: Client, log: DataLog) -> Results:
    """Send all records and put the answers together.

    Raises:
        ContainerError: the container has ended.
    """
    concurrent, payload = settings_of(order, client.execution_parameters())
    log.write(f"MaxConcurrentTransforms={concurrent}, MaxPayloadInMB={payload}, BatchStrategy=SINGLE_RECORD")
    results, processing = Results(folder), Processing(order)
    items = items_of(order, folder, payload * MEBIBYTE, results.failed)
    with closing(results), closing(in_order(partial(answered, client, processing), items, concurrent)) as answers:
        for item, answer in answers:
            if isinstance(answer, bytes):
                results.add(item.object_number, answer)
            elif answer is not None and item.object_number not in results.failed:
                results.fail(item.object_number, answer.kind)
                name = order.places[item.object_number]
                log.write(f"{name}: {answer.kind}\n{name}: Message: {answer.message}")
            if isinstance(item, EndOfObject):
                results.end(item.object_number)
    return results


def answered(client: Client, processing: Processing, item: Item) -> tuple[Item, bytes | Failure | None]:
    """An item with its result; the end of an object has none."""
    if isinstance(item, Broken):
        return item, Failure("ClientError: bad object", item.reason)
    if not isinstance(item, Record):
        return item, None
    try:
        return item, processing.result(item, client.invoke(processing.body(item)))
    except FilterError as error:
        return item, Failure("ClientError: DataProcessing", str(error))
    except InvocationError as error:
        kind = "ClientError" if error.is_users else "AlgorithmError"
        return item, Failure(f"{kind}: {error.status or 'no answer'}", error.message)


def settings_of(order: TransformOrder, asked: ExecutionParameters) -> tuple[int, int]:
    """MaxConcurrentTransforms and MaxPayloadInMB: the job's, else the container's, else the usual ones."""
    concurrent = order.max_concurrent_transforms or asked.max_concurrent_transforms or DEFAULT_CONCURRENT_TRANSFORMS
    payload = order.max_payload_in_mb or asked.max_payload_in_mb or DEFAULT_PAYLOAD_IN_MB
    return concurrent, payload


def failure_text(order: TransformOrder, results: Results, *, is_users: bool) -> str:
    """What the user is told of objects without results; the log tells more."""
    number, reason = next(iter(results.failed.items()))
    kind = "ClientError" if is_users else "AlgorithmError"
    return (
        f"{kind}: See job logs for more information: {len(results.failed)} of {len(order.names)} objects have no "
        f"result, {order.names[number]!r} among them ({reason})"
    )
