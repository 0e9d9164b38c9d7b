"""SageMaker's runtime: InvokeEndpoint, passed on to a server process.

::

    POST /endpoints/NAME/invocations            -> POST /invocations of an instance
      Content-Type, Accept, X-Amzn-SageMaker-*     the same headers, and the token of the process
      body, at most 6 MiB                          the same
    answer                                      <- answer
      x-Amzn-Invoked-Production-Variant
      Content-Type, X-Amzn-SageMaker-Custom-Attributes, body: those of the instance

What the instance refuses becomes a ModelError with its status and words. Errors are JSON, and their kind is in the
header `x-amzn-errortype`.
"""

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.api.errors import ApiError
from imclass.sagemaker.control_plane.api.incoming import OF_RUNTIME, checked_body
from imclass.sagemaker.control_plane.api.signature import Verifier
from imclass.sagemaker.control_plane.hosting.data_capture import Exchange
from imclass.sagemaker.control_plane.hosting.documents import CHANGEABLE, ENDPOINT, UPDATING
from imclass.sagemaker.control_plane.hosting.fleet import log_group
from imclass.sagemaker.control_plane.hosting.http_client import Answer, ServerGoneError
from imclass.sagemaker.control_plane.hosting.instance import Instance
from imclass.sagemaker.control_plane.hosting.routing import (
    Lease,
    NoInstanceError,
    NoRouteError,
    NoVariantError,
    Router,
)
from imclass.sagemaker.control_plane.store.state import MissingError, State

log = logging.getLogger(__name__)

PATH = re.compile(r"/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)")
LARGEST_BODY = 6 << 20
ANSWER_SECONDS = 60.0
TRIES = 3
"""Instances that a request is sent to when one after the other breaks the connection."""

PASSED_ON = (b"content-type", b"accept")
OWN_HEADERS = b"x-amzn-sagemaker-"
CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
TARGET_VARIANT = "x-amzn-sagemaker-target-variant"
INFERENCE_ID = "x-amzn-sagemaker-inference-id"
UNSUPPORTED = {
    "x-amzn-sagemaker-target-model": "TargetModel cannot be given: every variant serves one model.",
    "x-amzn-sagemaker-target-container-hostname": "TargetContainerHostname cannot be given: models have one container.",
    "x-amzn-sagemaker-inference-component": "InferenceComponentName cannot be given: there are no such components.",
    "x-amzn-sagemaker-enable-explanations": "EnableExplanations cannot be given: the endpoint has no explainer.",
    "x-amzn-sagemaker-session-id": "SessionId cannot be given: requests do not depend on each other.",
}
"""By header, of what InvokeEndpoint offers, that which has no meaning here."""

OTHER_OPERATIONS = {
    "async-invocations": "InvokeEndpointAsync is not offered; use InvokeEndpoint, or a transform job.",
    "invocations-response-stream": "InvokeEndpointWithResponseStream is not offered; use InvokeEndpoint.",
}
TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)
FAULT = ApiError("InternalFailure", "The server has failed; its log tells why.", 500)


class ModelError(ApiError):
    """What a container has answered instead of a result.

    Args:
        status: of the container's answer; 0 without one.
        said: its body.
        stream_arn: of the instance's log.
    """

    def __init__(self, endpoint: str, account: Account, status: int, said: str, stream_arn: str) -> None:
        kind = "client" if 400 <= status < 500 else "server"
        console = (
            f"https://{account.region}.console.aws.amazon.com/cloudwatch/home?region={account.region}"
            f"#logEventViewer:group={log_group(endpoint)}"
        )
        message = (
            f'Received {kind} error ({status}) from primary with message "{said}". '
            f"See {console} in account {account.number} for more information."
        )
        super().__init__("ModelError", message, HTTPStatus.FAILED_DEPENDENCY)
        self.members = {"OriginalStatusCode": status, "OriginalMessage": said, "LogStreamArn": stream_arn}


def is_of_runtime(scope: Scope) -> bool:
    """Whether a request is for the runtime; one to a bucket called `endpoints` has parameters when it is a POST."""
    return (
        scope["method"] == "POST"
        and scope["path"].startswith("/endpoints/")
        and not scope["query_string"]
        and PATH.fullmatch(scope["path"]) is not None
    )


class Invocations:
    """The ASGI application of the runtime, for requests that `is_of_runtime`.

    Args:
        answer_seconds: after which an instance has answered, or the request has failed.
    """

    def __init__(
        self,
        router: Router,
        state: State,
        account: Account,
        verifier: Verifier,
        *,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._router = router
        self._state = state
        self._account = account
        self._verifier = verifier
        self._answer_seconds = answer_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._response(Request(scope, receive))
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        request_id = str(uuid.uuid4())
        try:
            response = await self._invoke(request)
        except ApiError as error:
            response = error_response(error)
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("A request to %s has failed", request.url.path)
            response = error_response(FAULT)
        response.headers["x-amzn-requestid"] = request_id
        return response

    async def _invoke(self, request: Request) -> Response:
        """One request, from its body to the answer.

        Raises:
            ApiError: it is refused, or has failed.
        """
        found = PATH.fullmatch(request.scope["path"])
        assert found is not None, "others do not come here"
        endpoint, operation = found.groups()
        body = await checked_body(request, self._verifier, OF_RUNTIME, most=LARGEST_BODY)
        if operation in OTHER_OPERATIONS:
            raise ApiError("ValidationError", OTHER_OPERATIONS[operation])
        problems = [words for name, words in UNSUPPORTED.items() if name in request.headers]
        if problems:
            raise ApiError("ValidationError", " ".join(problems))
        lease, answer = await self._answer(endpoint, request, body)
        if not 200 <= answer.status < 300:
            raise self._model_error(endpoint, lease, answer.status, answer.body.decode("utf-8", "replace"))
        if lease.capture is not None:
            lease.capture.take(exchange_of(request, body, lease, answer))
        headers = {"x-Amzn-Invoked-Production-Variant": lease.variant}
        for name in ("content-type", CUSTOM_ATTRIBUTES):
            if name in answer.headers:
                headers[name] = answer.headers[name]
        return Response(answer.body, headers=headers)

    async def _answer(self, endpoint: str, request: Request, body: bytes) -> tuple[Lease, Answer]:
        """The answer of an instance; when one ends before it has answered, the next is asked.

        Raises:
            ApiError: there is nobody to ask, or no answer in time.
        """
        avoided: Instance | None = None
        for _ in range(TRIES):
            try:
                with self._router.lease(endpoint, request.headers.get(TARGET_VARIANT), avoided) as lease:
                    try:
                        async with asyncio.timeout(self._answer_seconds):
                            return lease, await _exchange(lease, request, body)
                    except TimeoutError as error:
                        raise self._model_error(endpoint, lease, 0, TIMED_OUT) from error
            except ServerGoneError as error:
                log.warning("The instance %s has not answered a request: %s", lease.instance.id, error)
                avoided = lease.instance
            except NoVariantError as error:
                raise self._no_variant(endpoint, request.headers[TARGET_VARIANT], str(error)) from error
            except NoInstanceError:
                break
            except NoRouteError as error:
                raise await self._not_answering(endpoint) from error
        raise ApiError(
            "ServiceUnavailable", f"No instance of endpoint {endpoint} is healthy; new ones are being started.", 503
        )

    def _model_error(self, endpoint: str, lease: Lease, status: int, said: str) -> ModelError:
        stream = f"{lease.variant}/{lease.instance.id}"
        stream_arn = f"{self._account.log_group_arn(log_group(endpoint))}:log-stream:{stream}"
        return ModelError(endpoint, self._account, status, said, stream_arn)

    def _no_variant(self, endpoint: str, name: str, known: str) -> ApiError:
        return ApiError("ValidationError", f"Endpoint {endpoint} has no variant {name!r}; it has {known}.")

    async def _not_answering(self, endpoint: str) -> ApiError:
        """Why an endpoint gets no requests."""
        try:
            status = (await run_in_threadpool(self._state.get, ENDPOINT, endpoint))["status"]
        except MissingError:
            return ApiError("ValidationError", f"Endpoint {endpoint} of account {self._account.number} not found.")
        if status in (*CHANGEABLE, UPDATING):  # after a restart of this server, for a moment
            return ApiError("ServiceUnavailable", f"The instances of endpoint {endpoint} are being started.", 503)
        return ApiError(
            "ValidationError", f"Endpoint {endpoint} of account {self._account.number} is in status {status}."
        )


async def _exchange(lease: Lease, request: Request, body: bytes) -> Answer:
    pool = lease.process.pool
    assert pool is not None, "a process is not offered before it is healthy"
    return await pool.exchange(head_of(request.headers.raw, lease.process.token, len(body)), body)


def exchange_of(request: Request, body: bytes, lease: Lease, answer: Answer) -> Exchange:
    """A request with its answer, to be captured."""
    return Exchange(
        variant=lease.variant,
        input_type=request.headers.get("content-type", ""),
        input=body,
        output_type=answer.headers.get("content-type", ""),
        output=answer.body,
        inference_id=request.headers.get(INFERENCE_ID),
    )


def head_of(headers: Iterable[tuple[bytes, bytes]], token: str, length: int) -> bytes:
    """Request line and headers for an instance.

    Args:
        headers: of the client's request; names in lower case, values without line ends, as servers pass them on.
    """
    passed = [b"%s: %s" % header for header in headers if header[0] in PASSED_ON or header[0].startswith(OWN_HEADERS)]
    lines = [
        b"POST /invocations HTTP/1.1",
        b"Host: 127.0.0.1",
        b"Authorization: Bearer %s" % token.encode(),
        b"Content-Length: %d" % length,
        *passed,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def error_response(error: ApiError) -> Response:
    """An error as botocore's protocol rest-json reads it."""
    members: Mapping[str, object] = error.members if isinstance(error, ModelError) else {}
    return Response(
        json.dumps({"Message": error.message, **members}),
        error.status,
        headers={"x-amzn-errortype": error.code},
        media_type="application/json",
    )
