"""One address for all services: which one a request is for shows in its headers and its path.

::

    X-Amz-Target: SageMaker.OPERATION           SageMaker
    X-Amz-Target: Logs_20140328.OPERATION       CloudWatch Logs
    X-Amz-Target: GraniteService....OPERATION   CloudWatch
    X-Amz-Target: Imclass.OPERATION             our own, see `own_service`
    POST / with a form, Version=2011-06-15      STS
    POST / with a form, Version=2010-05-08      IAM
    POST /endpoints/NAME/invocations            SageMaker's runtime
    POST / with a form, Version=2010-08-01      CloudWatch, as older clients send it
    /_console/..., and / for browsers           the console
    everything else                             S3
"""

import logging
import uuid

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from imclass.errors import UserError
from imclass.sagemaker.control_plane.api import own_service, protocols
from imclass.sagemaker.control_plane.api.errors import ApiError, invalid, unknown_operation
from imclass.sagemaker.control_plane.api.incoming import OF_JSON, OF_QUERY, Refusals, checked_body
from imclass.sagemaker.control_plane.api.service_models import service_model
from imclass.sagemaker.control_plane.api.signature import AcceptAll, Verifier
from imclass.sagemaker.control_plane.console.application import is_for_console
from imclass.sagemaker.control_plane.hosting.invocations import is_of_runtime
from imclass.sagemaker.control_plane.operations import (
    compilation_jobs,
    endpoint_configs,
    endpoints,
    identity,
    log_filter,
    logs,
    metrics,
    models,
    tags,
    training_jobs,
    transform_jobs,
    tuning_jobs,
)
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, perform
from imclass.sagemaker.control_plane.other_sites import REFUSAL, is_of_another_site

log = logging.getLogger(__name__)

OPERATIONS: dict[str, dict[str, Operation]] = {
    "sagemaker": {
        **training_jobs.OPERATIONS,
        **models.OPERATIONS,
        **endpoint_configs.OPERATIONS,
        **endpoints.OPERATIONS,
        **transform_jobs.OPERATIONS,
        **compilation_jobs.OPERATIONS,
        **tuning_jobs.OPERATIONS,
        **tags.OPERATIONS,
    },
    "logs": {**logs.OPERATIONS, **log_filter.OPERATIONS},
    "cloudwatch": metrics.OPERATIONS,
    "sts": identity.STS_OPERATIONS,
    "iam": identity.IAM_OPERATIONS,
    own_service.NAME: training_jobs.OWN_OPERATIONS,
}
"""By service and name: all that this server does beside S3."""

TARGETS = {
    "SageMaker": "sagemaker",
    "Logs_20140328": "logs",
    "GraniteServiceVersion20100801": "cloudwatch",
    own_service.TARGET: own_service.NAME,
}
VERSIONS = {"2011-06-15": "sts", "2010-05-08": "iam", "2010-08-01": "cloudwatch"}
LARGEST_BODY = 8 << 20
FAULT = ApiError("InternalFailure", "The server has failed; its log tells why.", 500)


class Application:
    """The ASGI application of the control plane.

    Args:
        console: what answers people; it knows them itself.
        runtime: what answers requests to endpoints; it checks signatures itself.
        s3: likewise, of S3.
    """

    def __init__(self, plane: Plane, verifier: Verifier, console: ASGIApp, runtime: ASGIApp, s3: ASGIApp) -> None:
        self._plane = plane
        self._verifier = verifier
        self._is_open = isinstance(verifier, AcceptAll)
        self._console = console
        self._runtime = runtime
        self._s3 = s3

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._s3(scope, receive, send)
            return
        if self._is_open and not is_for_console(scope) and is_of_another_site(scope["method"], Headers(scope=scope)):
            await PlainTextResponse(REFUSAL, 403)(scope, receive, send)
            return
        if is_of_runtime(scope):
            await self._runtime(scope, receive, send)
            return
        if is_for_console(scope):
            await self._console(scope, receive, send)
            return
        request = Request(scope, receive)
        if "x-amz-target" in request.headers:
            response = await self._answer_json(request)
        elif is_query(request):
            response = await self._answer_query(request)
        else:
            await self._s3(scope, receive, send)
            return
        await response(scope, receive, send)

    async def _answer_json(self, request: Request) -> Response:
        """Answer SageMaker, CloudWatch or our own service."""
        request_id = str(uuid.uuid4())
        try:
            body = await self._checked_body(request, OF_JSON)
            prefix, _, name = request.headers["x-amz-target"].partition(".")
            if prefix not in TARGETS:
                raise unknown_operation(f"{prefix}.{name}", sorted(TARGETS))
            service = TARGETS[prefix]
            values = await run_in_threadpool(
                perform, self._plane, service, OPERATIONS[service], name, protocols.read_json(body)
            )
            return protocols.json_response(values, service_model(service).operation_model(name), request_id)
        except ApiError as error:
            return protocols.json_error(error, request_id)
        except UserError as error:
            return protocols.json_error(invalid(str(error)), request_id)
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("%s has failed", request.headers["x-amz-target"])
            return protocols.json_error(FAULT, request_id)

    async def _answer_query(self, request: Request) -> Response:
        """Answer STS, IAM, or CloudWatch."""
        request_id = str(uuid.uuid4())
        try:
            fields = protocols.read_form(await self._checked_body(request, OF_QUERY))
            service, name = VERSIONS.get(fields.get("Version", "")), fields.get("Action", "")
            if service is None:
                raise invalid(f"Version must be one of {', '.join(VERSIONS)}.")
            offered = OPERATIONS[service]
            if name not in offered:
                raise unknown_operation(name, list(offered))
            model = service_model(service).operation_model(name)
            asked = protocols.form_values(fields, model.input_shape)
            values = await run_in_threadpool(perform, self._plane, service, offered, name, asked)
            return protocols.xml_response(values, model, request_id)
        except ApiError as error:
            return protocols.xml_error(error, request_id)
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("A request in the query protocol has failed")
            return protocols.xml_error(FAULT, request_id)

    async def _checked_body(self, request: Request, refusals: Refusals) -> bytes:
        return await checked_body(request, self._verifier, refusals, most=LARGEST_BODY)


def is_query(request: Request) -> bool:
    """Whether a request has the form of STS's and IAM's."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return request.method == "POST" and request.url.path == "/" and kind == protocols.FORM
